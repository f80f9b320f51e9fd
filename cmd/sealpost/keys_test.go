package main

import (
	"crypto/sha256"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/lookup"
)

const changing = "anna@example.org"

// A keyTale is a running relay, a source whose key for anna the test changes,
// and everything that came out.
type keyTale struct {
	*testing.T
	*installation
	keys   *keyserver
	sink   *testkit.Sink
	canary testkit.Canary
	ids    map[string]*testkit.Identity // by a letter
	sent   int
	extra  string
}

const holding = "trust: {on_key_change: hold, known_keys: known.keys}\n"

// newKeyTale starts the relay; trust is its section. The rule would let mail go
// in the clear where there is no certificate: nothing here may ever do that.
func newKeyTale(t *testing.T, trust string) *keyTale {
	t.Helper()
	k := &keyTale{T: t, installation: newInstallation(t), sink: testkit.StartSink(t, testkit.SinkOptions{}), canary: testkit.NewCanary(t), ids: map[string]*testkit.Identity{}}
	for i, letter := range []string{"a", "b", "c"} {
		k.ids[letter] = k.ca.Issue(t, testkit.Leaf{
			Addresses: []string{changing}, Name: "Anna " + letter, NotBefore: time.Now().Add(time.Duration(i-10) * time.Minute), NotAfter: time.Now().Add(20 * time.Hour),
		})
	}
	k.keys = newKeyserver(t, k.installation)
	k.extra = "lookup:\n  timeout: 2s\n  cache: {ttl: 1h, file: lookup.cache}\n  sources:\n" + k.keys.source("") +
		"control: control.sock\npolicy:\n  - {name: default, no_key: plaintext}\n"
	k.trust(trust)
	k.start(t)
	return k
}

// trust writes the configuration with this section.
func (k *keyTale) trust(section string) {
	k.Helper()
	k.configure(k, k.sink.Addr, k.extra+section)
}

// offers has the source answer with the key of that letter from now on.
func (k *keyTale) offers(letter string) { k.enroll(changing, k.ids[letter]) }

// key runs `sealpost keys` and wants the exit code; it gives all that it wrote.
func (k *keyTale) key(code int, args ...string) string {
	k.Helper()
	out, errs, got := sealpost(k, "", append([]string{"keys", args[0], "--config", k.config}, args[1:]...)...)
	if got != code {
		k.Fatalf("keys %q: exit code %d, want %d\n%s%s", args, got, code, out, errs)
	}
	return out + errs
}

// forgets has the server ask its source at the next message.
func (k *keyTale) expires() {
	k.Helper()
	if _, errs, code := sealpost(k, "", "lookup", "--flush", "--config", k.config, changing); code != exitOK {
		k.Fatal(errs)
	}
}

// sealedTo sends a message, which must be sealed to the key of that letter
// alone.
func (k *keyTale) sealedTo(letter string) {
	k.Helper()
	message := sampleMail(k.canary)
	if got := k.dial(k).submit(k, message, changing); !strings.HasPrefix(got, "250") {
		k.Fatalf("want a message sealed to %s: %s", letter, got)
	}
	k.sent++
	raw := k.sink.Wait(k, k.sent)[k.sent-1].Raw
	entity := testkit.OpenSSLOpen(k, raw, k.ids[letter])
	if string(entity) != entityOf(message) {
		k.Fatalf("opened with %s it is another entity", letter)
	}
	k.nowhere(k, k.canary, k.sink.Wire())
}

// A new key takes the old one's place by itself, and the old one does not come
// back.
func TestKeyChangeAccepted(t *testing.T) {
	k := newKeyTale(t, "trust: {known_keys: known.keys}\n")
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.sealedTo("a") // what was looked up is still good
	k.expires()
	k.sealedTo("b")
	k.offers("a")
	k.expires()
	k.sealedTo("b")
	if n := k.metric(t, `sealpost_key_changes_total{result="accepted"}`); n != 1 {
		t.Errorf("%v changes", n)
	}
	if n := k.metric(t, "sealpost_keys_held"); n != 0 {
		t.Errorf("%v held", n)
	}
	if out := k.key(exitOK, "list"); out != "No key waits.\n" {
		t.Errorf("%s", out)
	}
	if out := k.key(exitOK, "list", "--all"); !strings.Contains(out, changing) || !strings.Contains(out, "in use") {
		t.Errorf("%s", out)
	}
	k.key(exitOK, "forget", changing)
	k.sealedTo("a")
}

// A new key waits, over a reload, a restart and a crash, until an operator
// accepts it, and is used at once then.
func TestKeyChangeHeldAndAccepted(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.expires()
	k.sealedTo("a")
	k.waitLog(t, "the key of an address has changed", changing)
	for name, again := range map[string]func(){
		"reload":  func() { k.reload(t) },
		"restart": func() { k.relaunch(t, syscall.SIGTERM) },
		"crash":   func() { k.relaunch(t, syscall.SIGKILL) },
	} {
		again()
		k.expires()
		k.sealedTo("a")
		if n := k.metric(t, "sealpost_keys_held"); n != 1 {
			t.Errorf("%s: %v held", name, n)
		}
	}
	k.compared()
	k.key(exitOK, "accept", changing)
	k.sealedTo("b")
	if n := k.metric(t, "sealpost_keys_held"); n != 0 {
		t.Errorf("%v held", n)
	}
	if n := k.metric(t, `sealpost_key_changes_total{result="confirmed"}`); n != 1 {
		t.Errorf("%v confirmed", n)
	}
	k.relaunch(t, syscall.SIGKILL) // the word is on disk, and so is that nothing else is remembered
	k.sealedTo("b")
	k.offers("a")
	k.expires()
	k.sealedTo("b")
}

// compared looks at what an operator is shown to compare by telephone.
func (k *keyTale) compared() {
	k.Helper()
	health, _, _ := sealpost(k, "", "health", "--verbose", "--config", k.config)
	if !strings.Contains(health, "keys: at 1 address a new key waits") {
		k.Errorf("%s", health)
	}
	var m mailboxKeys
	if err := json.Unmarshal([]byte(k.key(exitOK, "show", "--json", changing)), &m); err != nil {
		k.Fatal(err)
	}
	text, list := k.key(exitOK, "show", changing), k.key(exitOK, "list")
	if m.State != "held" || len(m.Accepted) != 1 || len(m.Held) != 1 {
		k.Fatalf("%+v", m)
	}
	for letter, r := range map[string]keyReport{"a": m.Accepted[0], "b": m.Held[0]} {
		cert, key := k.fingerprints(letter)
		if r.SHA256 != cert || r.KeySHA256 != key || r.Subject != "CN=Anna "+letter || r.Source != "keys" || r.Since.IsZero() {
			k.Errorf("%s: %+v", letter, r)
		}
		for _, want := range []string{grouped(cert.String()[:32]), grouped(key.String()[32:]), "CN=Anna " + letter, "CN=Sealpost Test Root"} {
			if !strings.Contains(text, want) {
				k.Errorf("no %q in\n%s", want, text)
			}
		}
		if !strings.Contains(list, key.String()) {
			k.Errorf("no key of %s in\n%s", letter, list)
		}
	}
	if strings.Index(text, "in use since") > strings.Index(text, "waits since") || !strings.Contains(text, changing+": a new key waits") {
		k.Errorf("%s", text)
	}
}

// fingerprints are computed by somebody else.
func (k *keyTale) fingerprints(letter string) (cert, key lookup.Fingerprint) {
	k.Helper()
	c := k.ids[letter].Cert
	return sha256.Sum256(c.Raw), sha256.Sum256(c.RawSubjectPublicKeyInfo)
}

// A key that is turned down is not used, even when it is the only one that is
// left; forgetting is what helps.
func TestKeyChangeRefused(t *testing.T) {
	k := newKeyTale(t, holding)
	k.ids["a"] = k.ca.Issue(t, testkit.Leaf{Addresses: []string{changing}, NotAfter: time.Now().Add(10 * time.Second)})
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.expires()
	k.key(exitOK, "show", changing)
	if out, _, _ := sealpost(t, "", "lookup", "--refresh", "--config", k.config, changing); !strings.Contains(out, "certificate-key-changed") && !strings.Contains(out, "certificate-superseded") {
		t.Errorf("%s", out)
	}
	k.key(exitOK, "refuse", changing)
	k.key(exitFailed, "refuse", changing)
	k.key(exitFailed, "accept", changing)
	testkit.Poll(t, "the end of the old certificate", func() bool { return time.Now().After(k.ids["a"].Cert.NotAfter) })
	d := k.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<"+changing+">") // and not in the clear
	k.key(exitOK, "forget", changing)
	k.sealedTo("b")
	if n := k.metric(t, `sealpost_key_changes_total{result="refused"}`); n != 1 {
		t.Errorf("%v refused", n)
	}
	if n := k.metric(t, `sealpost_key_changes_total{result="forgotten"}`); n != 1 {
		t.Errorf("%v forgotten", n)
	}
}

// The operator's own pin overrides what is remembered, and what waits.
func TestPinOverridesKeyChange(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.expires()
	k.sealedTo("a")
	cert, _ := k.fingerprints("b")
	k.trust("trust:\n  on_key_change: hold\n  known_keys: known.keys\n  pins:\n    - {address: " + changing + ", sha256: \"" + cert.String() + "\"}\n")
	if !k.reload(t) {
		t.Fatal("not reloaded")
	}
	k.sealedTo("b")
	k.offers("a")
	k.expires()
	d := k.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<"+changing+">") // none, says the source with authority, and the rule lets it go in the clear
	d.say(t, "250", "RSET")
	k.trust(holding)
	if !k.reload(t) {
		t.Fatal("not reloaded")
	}
	k.sealedTo("a")
}

// While a key waits, with its source away, with nonsense from it, whatever is
// offered: nothing ever leaves in the clear, though the rule would allow it.
func TestHoldNeverEndsInPlaintext(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	for _, letter := range []string{"b", "c", "a", "b"} {
		k.offers(letter)
		k.expires()
		k.sealedTo("a")
	}
	if out := k.key(exitFailed, "accept", changing); !strings.Contains(out, "several keys wait") || !strings.Contains(out, "--key") {
		t.Errorf("%s", out)
	}
	cert, key := k.fingerprints("b")
	k.key(exitOK, "refuse", "--key", strings.ToUpper(grouped(key.String())), changing)
	k.sealedTo("a")
	k.key(exitFailed, "accept", "--key", cert.String(), changing)
	cert, _ = k.fingerprints("c")
	k.key(exitOK, "accept", "--key", cert.String(), changing)
	k.sealedTo("c")
	k.expires()
	k.keys.Close()
	d := k.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "451 4.4.3", "RCPT TO:<"+changing+">")
	k.nowhere(t, k.canary, k.sink.Wire())
}

// Two operators accept at once: one of them did it, and the other is told that
// nothing waits any more.
func TestTwoAcceptAtOnce(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.expires()
	k.sealedTo("a")
	var both sync.WaitGroup
	codes := make([]int, 2)
	for i := range codes {
		both.Go(func() {
			_, _, codes[i] = sealpost(t, "", "keys", "accept", "--config", k.config, changing)
		})
	}
	both.Wait()
	slices.Sort(codes)
	if !slices.Equal(codes, []int{exitOK, exitFailed}) {
		t.Errorf("exit codes %v", codes)
	}
	k.sealedTo("b")
	if n := k.metric(t, `sealpost_key_changes_total{result="confirmed"}`); n != 1 {
		t.Errorf("%v confirmed", n)
	}
}

// With the server stopped the file itself is worked on; the word holds from the
// start, whatever was looked up before.
func TestKeysOfAStoppedServer(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	k.offers("b")
	k.expires()
	k.sealedTo("a")
	k.signal(t, syscall.SIGTERM)
	<-k.ended
	if out := k.key(exitOK, "list"); !strings.Contains(out, "the server is not running") || !strings.Contains(out, "waits") {
		t.Errorf("%s", out)
	}
	k.key(exitOK, "accept", changing)
	k.launch(t)
	k.sealedTo("b")
}

// What goes wrong is told, with what to do.
func TestKeysComplains(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), "")
	complains(t, exitUsage, []string{"known_keys: known.keys"}, "keys", "list", "--config", in.config)
	in.configure(t, testkit.FreeAddr(t), "trust: {known_keys: known.keys}\n")
	complains(t, exitFailed, []string{"there is no", "first starts"}, "keys", "list", "--config", in.config)
	if _, err := os.Stat(filepath.Join(in.dir, "known.keys")); err == nil {
		t.Error("the file was made")
	}
	file, err := lookup.OpenKeyFile(filepath.Join(in.dir, "known.keys"))
	if err != nil {
		t.Fatal(err)
	}
	complains(t, exitFailed, []string{"no control socket", "control: FILE"}, "keys", "list", "--config", in.config)
	in.configure(t, testkit.FreeAddr(t), "control: c.sock\ntrust: {known_keys: known.keys}\n")
	complains(t, exitFailed, []string{"does not answer", "try again"}, "keys", "list", "--config", in.config)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for _, do := range []string{"show", "accept", "refuse", "forget"} {
		complains(t, exitFailed, []string{"anna@example.org: ", "nothing is known"}, "keys", do, "--config", in.config, "anna@example.org")
		complains(t, exitUsage, []string{"anna"}, "keys", do, "--config", in.config, "anna")
		complains(t, exitUsage, []string{"address"}, "keys", do, "--config", in.config)
	}
	complains(t, exitUsage, []string{"64 hexadecimal"}, "keys", "accept", "--config", in.config, "--key", "abc", "anna@example.org")
	complains(t, exitUsage, []string{"one address"}, "keys", "accept", "--config", in.config, "--key", strings.Repeat("a", 64), "anna@example.org", "otto@example.org")
	l, err := net.Listen("unix", filepath.Join(in.dir, "c.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	defer l.Close()
	complains(t, exitFailed, []string{"does not answer"}, "keys", "list", "--config", in.config)
}

// A server that began without a memory says so, and one that has another
// control socket than the file says is not found.
func TestKeysOfAServerWithout(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), "control: c.sock\n")
	in.start(t)
	in.configure(t, testkit.FreeAddr(t), "control: c.sock\ntrust: {known_keys: known.keys}\n")
	complains(t, exitFailed, []string{"without trust.known_keys", "restart"}, "keys", "list", "--config", in.config)
	if in.reload(t) {
		t.Error("a memory of keys was begun while running")
	}
}
