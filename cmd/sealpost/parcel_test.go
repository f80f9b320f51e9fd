package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// Everybody gets a copy that only their own key opens and that names nobody
// else, whatever kinds of keys stand side by side.
func TestEachRecipientHasACopyOfTheirOwn(t *testing.T) {
	in := newInstallation(t)
	kinds := map[string]string{
		"rsa@example.org": "rsa2048", "large@example.org": "rsa4096", "p256@example.org": "p256", "p384@example.org": "p384",
		"p521@example.org": "p521", "x25519@example.org": "x25519",
	}
	var to []string
	for address, kind := range kinds {
		in.personWith(t, address, testkit.Leaf{Key: kind})
		to = append(to, address)
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	if got := in.dial(t).submit(t, message, to...); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	copies := sink.Wait(t, len(to))
	if len(copies) != len(to) {
		t.Fatalf("%d copies for %d recipients", len(copies), len(to))
	}
	for _, m := range copies {
		address := m.To[0].Address
		if len(m.To) != 1 {
			t.Errorf("a copy for %v", m.To)
		}
		for other := range kinds {
			if other != address && bytes.Contains(m.Raw, []byte(other)) {
				t.Errorf("the copy for %s names %s", address, other)
			}
		}
		if kinds[address] == "x25519" { // OpenSSL 3.0 has no RFC 8418
			in.openedByUs(t, m.Raw, address, message)
			continue
		}
		in.opened(t, m.Raw, address, message)
		if _, err := testkit.OpenSSLTry(t, m.Raw, in.people["rsa@example.org"]); err == nil && address != "rsa@example.org" {
			t.Errorf("another's key opens the copy for %s", address)
		}
	}
	in.nowhere(t, canary, sink.Wire())
}

// openedByUs is opened with `sealpost open`.
func (in *installation) openedByUs(t testing.TB, sealed []byte, to, message string) {
	t.Helper()
	cert, key := in.people[to].WriteFiles(t, t.TempDir(), "reader")
	out, errs, code := sealpost(t, string(sealed), "open", "--cert", cert, "--key", key)
	if code != exitOK || out != entityOf(message) {
		t.Errorf("%s: open: %d, %s\n%q", to, code, errs, out)
	}
}

// One who holds keys of both kinds gets the RSA one alone: readers that know
// no elliptic curves stumble over the mixture.
func TestBothKindsOfKeys(t *testing.T) {
	in := newInstallation(t)
	const anna = "anna@example.org"
	curve := in.personWith(t, anna, testkit.Leaf{Key: "p256"})
	rsa := in.person(t, anna)
	in.write(t, "certs/"+anna+".pem", string(curve.CertPEM)+string(rsa.CertPEM))
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	if got := in.dial(t).submit(t, message, anna); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	sealed := sink.Wait(t, 1)[0].Raw
	in.opened(t, sealed, anna, message)
	if _, err := testkit.OpenSSLTry(t, sealed, curve); err == nil {
		t.Error("the copy is sealed to the curve key too")
	}
}

// An LMTP client hears one answer for each recipient, and each is true.
func TestLMTP(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "data-550@example.org", "bert@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, fmt.Sprintf("listen:\n  - {address: %q, protocol: lmtp, networks: [127.0.0.0/8]}\n", in.addr)+`policy:
  - {name: marked, recipient: "*@open.example", header: {name: Subject, value: "[public]*"}, encrypt: never}
  - {name: default}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dialog(t, connect(t, in.addr))
	d.expect(t, "220")
	d.say(t, "500", "EHLO mailer.bank.example")
	d.say(t, "250", "LHLO mailer.bank.example")
	d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "550", "RCPT TO:<nokey@example.org>")
	d.say(t, "250", "RCPT TO:<data-550@example.org>")
	d.say(t, "250", "RCPT TO:<nokey@open.example>") // the header may let it pass
	d.say(t, "250", "RCPT TO:<bert@example.org>")
	answers := d.data(t, message)
	for range 3 {
		answers += d.reply(t)
	}
	for i, want := range []string{"250 2.0.0", "550 5.7.42", "550 5.7.1 <nokey@open.example>", "250 2.0.0"} {
		if line := strings.SplitAfter(answers, "\r\n")[i]; !strings.HasPrefix(line, want) {
			t.Errorf("answer %d is %q, want %s", i+1, line, want)
		}
	}
	for _, m := range sink.Wait(t, 2) {
		in.opened(t, m.Raw, m.To[0].Address, message)
	}
	in.nowhere(t, canary, sink.Wire())
}

// Rules that look at the header decide after DATA: one recipient that is
// refused then means that nobody gets the message.
func TestHeaderRuleRefusesTheWholeMessage(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, `policy:
  - {name: public, header: {name: X-Class, value: public}, encrypt: never}
  - {name: default}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	got := d.submit(t, message, "anna@example.org", "nokey@example.org")
	if !strings.HasPrefix(got, "550 5.7.1 <nokey@example.org>") || !strings.Contains(got, "nothing was sent") {
		t.Error(got)
	}
	in.nowhere(t, canary, sink.Wire())
	if n := len(sink.Messages()); n != 0 {
		t.Fatalf("%d copies went out", n)
	}
	public := "X-Class: Public\r\n" + message
	if got := d.submit(t, public, "anna@example.org", "nokey@example.org"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	m := sink.Wait(t, 1)[0]
	if len(m.To) != 2 || !strings.HasSuffix(string(m.Raw), public) {
		t.Errorf("%d recipients of one copy:\n%s", len(m.To), m.Raw)
	}
}

// A signature that the sender made still verifies when the recipient has
// opened the message.
func TestSignedMailStillVerifies(t *testing.T) {
	testkit.Need(t, "openssl")
	in := newInstallation(t, "anna@example.org", "statements@bank.example")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	dir := t.TempDir()
	cert, key := in.people["statements@bank.example"].WriteFiles(t, dir, "bank")
	inner := filepath.Join(dir, "inner")
	if err := os.WriteFile(inner, []byte("Content-Type: text/plain; charset=utf-8\r\n\r\n Gr\xc3\xbc\xc3\x9fe  \t\r\n\r\nlast\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signed, err := exec.Command("openssl", "cms", "-sign", "-in", inner, "-signer", cert, "-inkey", key, "-crlfeol", "-binary",
		"-from", "statements@bank.example", "-to", "anna@example.org", "-subject", "signed").Output()
	if err != nil {
		t.Fatal(err)
	}
	message := strings.ReplaceAll(strings.ReplaceAll(string(signed), "\r\n", "\n"), "\n", "\r\n")
	if got := in.dial(t).submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	sealed := sink.Wait(t, 1)[0].Raw
	entity := filepath.Join(dir, "entity")
	if err := os.WriteFile(entity, testkit.OpenSSLOpen(t, sealed, in.people["anna@example.org"]), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "cms", "-verify", "-in", entity, "-CAfile", filepath.Join(in.dir, "root.pem")).CombinedOutput()
	if err != nil {
		t.Errorf("the signature does not verify any more: %v\n%s", err, out)
	}
}

// What is encrypted already passes as it came; what only says so is sealed.
func TestEncryptedAlready(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "bert@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	sealed := string(sink.Wait(t, 1)[0].Raw)
	if got := d.submit(t, sealed, "anna@example.org", "bert@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	passed := sink.Wait(t, 2)[1]
	if !strings.HasSuffix(string(passed.Raw), sealed) || len(passed.To) != 2 {
		t.Errorf("not passed as it came, or not to both: %v\n%.1000s", passed.To, passed.Raw)
	}
	in.waitLog(t, "msg=recipient", "to=<bert@example.org>", "action=passed", "already_encrypted=true")
	for n, claim := range []string{
		"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64Of(string(canary)+" not encrypted at all") + "\r\n",
		"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + string(canary) + "\r\n--b--\r\n",
		sealed + "\r\n" + string(canary) + "\r\n",
	} {
		if !strings.HasPrefix(claim, "Content-Type") {
			claim = claim[strings.Index(claim, "Content-Type"):]
		}
		claims := "From: statements@bank.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n" + claim
		if got := d.submit(t, claims, "bert@example.org"); !strings.HasPrefix(got, "250") {
			t.Fatal(got)
		}
		m := sink.Wait(t, 3+n)[2+n]
		in.opened(t, m.Raw, "bert@example.org", claims)
		in.nowhere(t, canary, m.Raw)
	}
}
