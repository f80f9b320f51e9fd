package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// toDirectory configures a relay whose only source is this directory.
func (in *installation) toDirectory(t testing.TB, keys *installation, upstream, more string) {
	t.Helper()
	in.write(t, "feed.token", keys.token(t, "read,feed")+"\n")
	in.configure(t, upstream, "lookup:\n  timeout: 2s\n  cache: {ttl: 1h}\n  sources:\n    - {name: keys, type: directory, url: \"http://"+
		keys.keys+"\", token_file: feed.token"+more+"}\n")
}

// publish gives somebody a certificate in a directory, for which the relay's
// installation has the key.
func (in *installation) publish(t testing.TB, keys *installation, who string) {
	t.Helper()
	id := in.ca.For(t, who)
	in.enroll(who, id)
	file := keys.write(t, "published.pem", string(id.CertPEM))
	keys.directory(t, exitOK, "import", file)
}

// With a mirror mail goes on, sealed, while the directory is away and over
// restarts and reloads; what the directory revokes is not used any more, however
// long the cache would remember it; and who is not there is known not to be.
func TestMirrorOutlivesItsDirectory(t *testing.T) {
	keys := aDirectory(t, "")
	in := newInstallation(t)
	in.publish(t, keys, "anna@example.org")
	in.publish(t, keys, "bert@example.org")
	keys.start(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.toDirectory(t, keys, sink.Addr, ", mirror: keys.mirror, stale: 1h")
	in.start(t)
	complete := func(entries float64) {
		t.Helper()
		testkit.Poll(t, "the mirror", func() bool {
			return in.metric(t, `sealpost_mirror_complete{source="keys"}`) == 1 && in.metric(t, `sealpost_mirror_entries{source="keys"}`) == entries
		})
	}
	complete(2)
	message := sampleMail(testkit.NewCanary(t))
	sent := 0
	seal := func(who string) {
		t.Helper()
		if got := in.dial(t).submit(t, message, who); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		sent++
		in.opened(t, sink.Wait(t, sent)[sent-1].Raw, who, message)
	}
	refused := func(who string) {
		t.Helper()
		d := in.dial(t)
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		d.say(t, "550 5.7.1", "RCPT TO:<"+who+">")
		d.say(t, "221", "QUIT")
	}
	seal("anna@example.org")
	seal("bert@example.org")
	keys.directory(t, exitOK, "revoke", keys.fingerprint(t, "bert@example.org"))
	complete(1)
	testkit.Poll(t, "the revocation to be felt", func() bool {
		d := in.dial(t)
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		got := d.say(t, "", "RCPT TO:<bert@example.org>")
		d.say(t, "221", "QUIT")
		return strings.HasPrefix(got, "550 5.7.1")
	})

	if !in.reload(t) { // the new rooms have the same mirror
		t.Fatal(in.log(t))
	}
	in.publish(t, keys, "carla@example.org")
	complete(2)
	probe := func(code int, says string) {
		t.Helper()
		if out, errs, got := sealpost(t, "", "check", "--probe", "--config", in.config); got != code || !strings.Contains(out, says) {
			t.Errorf("exit code %d, no %q in\n%s%s", got, says, out, errs)
		}
	}
	probe(exitOK, "source keys: changes can be followed")
	keys.stop(t)
	probe(exitFailed, "source keys: FAILED") // whatever the mirror knows
	seal("carla@example.org")
	refused("nobody@example.org")
	if out, errs, code := sealpost(t, "", "lookup", "--config", in.config, "carla@example.org"); code != exitOK || !strings.Contains(out, "mirror of http://"+keys.keys) {
		t.Errorf("a command beside the server: %d\n%s%s", code, out, errs)
	}
	in.stop(t)
	in.launch(t)
	seal("anna@example.org")
	refused("bert@example.org")
	if at := in.metric(t, `sealpost_mirror_last_contact_timestamp_seconds{source="keys"}`); time.Since(time.Unix(int64(at), 0)) > time.Hour {
		t.Errorf("last contact at %v", at)
	}
	if in.metric(t, `sealpost_mirror_sequence{source="keys"}`) < 1 {
		t.Error("no sequence number")
	}
}

// Without a mirror the directory is asked each time: found, none, and away,
// which is no "none". A mirror cannot change its directory at a reload.
func TestDirectoryWithoutMirror(t *testing.T) {
	keys := aDirectory(t, "")
	in := newInstallation(t)
	in.publish(t, keys, "anna@example.org")
	keys.start(t)
	in.toDirectory(t, keys, testkit.StartSink(t, testkit.SinkOptions{}).Addr, "")
	look := func(who, says string, want int) {
		t.Helper()
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, who)
		if code != want || !strings.Contains(out, says) {
			t.Errorf("%s: exit code %d, no %q in\n%s%s", who, code, says, out, errs)
		}
	}
	look("anna@example.org", "http://"+keys.keys, exitOK)
	look("nobody@example.org", "(no-certificate)", exitFailed)
	keys.stop(t)
	look("anna@example.org", "(lookup-unavailable)", exitFailed)

	in.toDirectory(t, keys, "127.0.0.1:9", ", mirror: keys.mirror")
	in.start(t)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<nobody@example.org>") // an empty mirror knows nothing
	d.say(t, "221", "QUIT")
	keys.keys = testkit.FreeAddr(t)
	in.toDirectory(t, keys, "127.0.0.1:9", ", mirror: keys.mirror")
	if in.reload(t) || !strings.Contains(in.log(t), "name another file") {
		t.Error("the mirror of one directory is taken for another's")
	}
}

// A relay and its directory in one process: the relay asks it, and a command
// reads the database, whether the server runs or not.
func TestDirectoryInTheSameProcess(t *testing.T) {
	in := newInstallation(t)
	in.person(t, "anna@example.org")
	in.keys = testkit.FreeAddr(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  sources:\n    - {name: own, type: directory}\n"+
		"directory:\n  address: "+in.keys+"\n  require_token: true\n  store: {file: keys.db}\n")
	look := func(says string, want int) {
		t.Helper()
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, "anna@example.org")
		if code != want || !strings.Contains(out, says) {
			t.Errorf("exit code %d, no %q in\n%s%s", code, says, out, errs)
		}
	}
	look("(lookup-unavailable)", exitFailed) // there is no database yet
	in.directory(t, exitOK, "import", filepath.Join(in.dir, "certs"))
	look("mail is sealed with", exitOK)
	in.start(t)
	look("mail is sealed with", exitOK)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "550 5.7.1", "RCPT TO:<nobody@example.org>")
	d.say(t, "221", "QUIT")
}

// What becomes of a certificate in the directory of the same process is felt by
// the relay at once, whatever its cache remembers, also that there was none.
func TestOwnDirectoryIsNotOutlivedByTheCache(t *testing.T) {
	in := newInstallation(t)
	in.keys = testkit.FreeAddr(t)
	in.configure(t, "127.0.0.1:9", "lookup:\n  cache: {ttl: 1h, negative_ttl: 1h}\n  sources:\n    - {name: own, type: directory}\n"+
		"directory:\n  address: "+in.keys+"\n  store: {file: keys.db}\n")
	in.publish(t, in, "anna@example.org")
	in.start(t)
	hears := func(who, want string) {
		t.Helper()
		testkit.Poll(t, who+" to be answered "+want, func() bool {
			d := in.dial(t)
			d.say(t, "250", "MAIL FROM:<statements@bank.example>")
			got := d.say(t, "", "RCPT TO:<"+who+">")
			d.say(t, "221", "QUIT")
			return strings.HasPrefix(got, want)
		})
	}
	hears("anna@example.org", "250")
	hears("bert@example.org", "550 5.7.1")
	in.directory(t, exitOK, "revoke", in.fingerprint(t, "anna@example.org"))
	hears("anna@example.org", "550 5.7.1")
	in.publish(t, in, "bert@example.org")
	hears("bert@example.org", "250")
}
