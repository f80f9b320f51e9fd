package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// remembering is an installation whose relay keeps what it looked up.
func remembering(t *testing.T, more string, pinned ...string) (*installation, *keyserver, *testkit.Sink) {
	in := newInstallation(t, pinned...)
	for _, p := range []string{"anna@example.org", "otto@example.org"} {
		in.enroll(p, in.ca.For(t, p))
	}
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 500ms\n  cache: {file: lookup.cache}\n  sources:\n"+keys.source("")+more+
		"policy:\n  - {name: default, no_key: plaintext}\n")
	in.start(t)
	return in, keys, sink
}

// relaunch ends the process by a signal and begins another.
func (in *installation) relaunch(t *testing.T, s syscall.Signal) {
	t.Helper()
	in.signal(t, s)
	<-in.ended
	in.launch(t)
}

// Right after a reboot, in order or by a crash, with the directory away: mail to
// recipients who are known goes on, sealed; others wait with the sender.
func TestRestartWithTheDirectoryAway(t *testing.T) {
	in, keys, sink := remembering(t, "")
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	send := func(to, want string) {
		t.Helper()
		d := in.dial(t)
		d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
		d.say(t, want, "RCPT TO:<"+to+">")
		if want == "250" {
			if got := d.data(t, message); !strings.HasPrefix(got, "250") {
				t.Error(got)
			}
		}
	}
	send("anna@example.org", "250")
	send("otto@example.org", "250")
	testkit.Poll(t, "the cache to be written", func() bool { return in.metric(t, "sealpost_lookup_cache_file_entries") == 2 })
	if info, err := os.Stat(filepath.Join(in.dir, "lookup.cache")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// A command beside the server does without the file.
	if out, errs, code := sealpost(t, "", "lookup", "--config", in.config, "anna@example.org"); code != exitOK {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	keys.Close()
	for i, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		in.relaunch(t, s)
		send("anna@example.org", "250")
		send("nobody@example.org", "451 4.4.3")
		if n := in.metric(t, "sealpost_lookup_cache_file_hits_total"); n != 1 {
			t.Errorf("%v: %v answers came out of the file", s, n)
		}
		in.opened(t, sink.Wait(t, 3+i)[2+i].Raw, "anna@example.org", message)
	}
	in.nowhere(t, canary, sink.Wire())
}

// Two servers cannot share the file, and the error says so.
func TestCacheFileIsInUse(t *testing.T) {
	in, _, _ := remembering(t, "")
	other := strings.NewReplacer(in.addr, testkit.FreeAddr(t), in.monitor, testkit.FreeAddr(t))
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	second := in.write(t, "second.yaml", other.Replace(string(text)))
	_, errs, code := sealpost(t, "", "serve", "--config", second)
	if code != exitFailed || !strings.Contains(errs, "lookup.cache: is in use by another process") {
		t.Errorf("%d: %s", code, errs)
	}
	if _, errs, code := sealpost(t, "", "check", "--config", second); code != exitOK {
		t.Errorf("%d: %s", code, errs)
	}
}

// SIGHUP without a change: the very cache goes on, and asks nobody.
func TestReloadGoesOnWithTheCache(t *testing.T) {
	in, keys, _ := remembering(t, "")
	message := sampleMail(testkit.NewCanary(t))
	if got := in.dial(t).submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	asked := len(keys.queries())
	for range 2 {
		if !in.reload(t) {
			t.Fatal("not reloaded")
		}
		if got := in.dial(t).submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
	}
	if n := len(keys.queries()); n != asked {
		t.Errorf("asked %d times more", n-asked)
	}
	// The new sources are asked for others.
	if got := in.dial(t).submit(t, message, "otto@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
}

// Other roots than before: nothing that was found under the old ones is used,
// neither after a reload nor after a restart.
func TestOtherTrustForgets(t *testing.T) {
	in, keys, _ := remembering(t, "")
	if got := in.dial(t).submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	testkit.Poll(t, "the cache to be written", func() bool { return in.metric(t, "sealpost_lookup_cache_file_entries") == 1 })
	keys.Close()
	text, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	in.write(t, "sealpost.yaml", string(text)+"trust: {min_rsa_bits: 3072}\n")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	refused := func() {
		t.Helper()
		d := in.dial(t)
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		d.say(t, "451 4.4.3", "RCPT TO:<anna@example.org>")
	}
	refused()
	in.relaunch(t, syscall.SIGTERM)
	refused()
	// The file itself only a restart exchanges.
	in.write(t, "sealpost.yaml", strings.Replace(string(text), "lookup.cache", "other.cache", 1)+"trust: {min_rsa_bits: 3072}\n")
	if in.reload(t) {
		t.Error("another cache file was taken while running")
	}
}

// What changed in a folder of certificates while the server was down counts at
// once, whatever the file holds.
func TestFolderChangedWhileDown(t *testing.T) {
	const eva = "eva@example.org"
	in, keys, sink := remembering(t, "    - {name: pinned, type: files, dir: certs}\n", eva)
	message := sampleMail(testkit.NewCanary(t))
	old := in.identity(eva)
	in.enroll(eva, nil) // the key server does not know her
	if got := in.dial(t).submit(t, message, eva); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	testkit.Poll(t, "the cache to be written", func() bool { return in.metric(t, "sealpost_lookup_cache_file_entries") == 1 })
	in.signal(t, syscall.SIGTERM)
	<-in.ended
	now := in.personWith(t, eva, testkit.Leaf{})
	in.enroll(eva, nil)
	in.launch(t)
	if got := in.dial(t).submit(t, message, eva); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	both := sink.Wait(t, 2)
	for i, id := range []*testkit.Identity{old, now} {
		in.enroll(eva, id)
		in.opened(t, both[i].Raw, eva, message)
	}
	if n := len(keys.queries()); n != 2 {
		t.Errorf("the key server was asked %d times", n)
	}
}
