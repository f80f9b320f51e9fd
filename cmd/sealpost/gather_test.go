package main

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// opensslSigned is a mail that OpenSSL has signed in a folder of its own, and
// who signed it.
func (in *installation) opensslSigned(t testing.TB, from, to, text string) (string, *testkit.Identity) {
	t.Helper()
	id := in.ca.Issue(t, testkit.Leaf{Addresses: []string{from}, Usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment})
	return opensslSignedBy(t, id, from, to, text), id
}

func opensslSignedBy(t testing.TB, id *testkit.Identity, from, to, text string) string {
	t.Helper()
	testkit.Need(t, "openssl")
	dir := t.TempDir()
	cert, key := id.WriteFiles(t, dir, "signer")
	file := filepath.Join(dir, "text")
	if err := os.WriteFile(file, []byte("Content-Type: text/plain\r\n\r\n"+text+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "cms", "-sign", "-in", file, "-signer", cert, "-inkey", key, "-from", from, "-to", to,
		"-subject", "yes").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(out), "\r\n", "\n"), "\n", "\r\n")
}

// The whole circle with real programs: a mail that OpenSSL has signed passes
// through a relay; a second relay, which follows the directory with a mirror,
// seals to its signer; OpenSSL opens that. The directory is the relay's own, or
// another one.
func TestPassingMailTeaches(t *testing.T) {
	for _, where := range []string{"own", "another"} {
		t.Run(where, func(t *testing.T) {
			sink := testkit.StartSink(t, testkit.SinkOptions{})
			keys := aDirectory(t, "trust: {roots: [root.pem]}\n")
			in := newInstallation(t, "bert@example.org")
			in.ca = keys.ca
			in.write(t, "root.pem", string(keys.ca.PEM))
			listen := "listen:\n  - {address: \"" + in.addr + "\", networks: [127.0.0.0/8], harvest: true}\ntrust: {roots: [root.pem]}\n"
			if where == "own" {
				in.keys = keys.keys
				in.configure(t, sink.Addr, listen+"directory: {address: \""+in.keys+"\", store: {file: keys.db}}\n")
				keys = in
			} else {
				keys.start(t)
				in.configure(t, sink.Addr, listen+"harvest: {url: \"http://"+keys.keys+"\"}\n")
			}
			in.start(t)
			second := newInstallation(t)
			second.follow(t, keys, sink.Addr)

			canary := testkit.NewCanary(t)
			signed, anna := in.opensslSigned(t, "anna@example.org", "bert@example.org", string(canary))
			forged := strings.Replace(signed, string(canary), string(canary)+"!", 1)
			in.mail(t, "anna@example.org", signed, "bert@example.org")
			in.mail(t, "anna@example.org", forged, "bert@example.org")
			in.mail(t, "anna@example.org", "From: anna@example.org\r\n\r\nnot signed\r\n", "bert@example.org")
			for result, want := range map[string]float64{"learned": 1, "refused": 1, "failed": 0, "dropped": 0, "too-large": 0} {
				testkit.Poll(t, "the metric "+result, func() bool {
					return in.metric(t, "sealpost_harvest_messages_total{result=\""+result+"\"}") == want
				})
			}
			in.nowhere(t, canary)
			second.replies(t, sink, 4, anna)
		})
	}
}

// follow makes a relay that looks up in a mirror of this directory and nowhere
// else, and that has all that the directory has now.
func (in *installation) follow(t testing.TB, keys *installation, upstream string) {
	t.Helper()
	in.toDirectory(t, keys, upstream, ", mirror: keys.mirror")
	in.start(t)
	testkit.Poll(t, "the mirror", func() bool { return in.metric(t, `sealpost_mirror_complete{source="keys"}`) == 1 })
}

// replies waits until a relay's mirror has somebody new, and writes to him.
// OpenSSL must open what the sink gets as its nth message.
func (in *installation) replies(t testing.TB, sink *testkit.Sink, nth int, to *testkit.Identity) {
	t.Helper()
	testkit.Poll(t, "the mirror to follow", func() bool { return in.metric(t, `sealpost_mirror_entries{source="keys"}`) == 1 })
	who := to.Cert.EmailAddresses[0]
	in.enroll(who, to)
	canary := testkit.NewCanary(t)
	text := "From: bert@example.org\r\nTo: " + who + "\r\nContent-Type: text/plain\r\n\r\nthank you, " + string(canary) + "\r\n"
	if got := in.mail(t, "bert@example.org", text, who); !strings.HasPrefix(got, "250 ") {
		t.Fatal(got)
	}
	raw := sink.Wait(t, nth)[nth-1].Raw
	canary.Absent(t, "the wire", raw)
	if got := testkit.OpenSSLOpen(t, raw, to); !bytes.Contains(got, []byte("thank you, "+string(canary))) {
		t.Errorf("%q", got)
	}
	in.nowhere(t, canary)
}

// A directory that is away takes nothing from the mail.
func TestPassingMailWithoutItsDirectory(t *testing.T) {
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in := newInstallation(t, "bert@example.org")
	in.configure(t, sink.Addr, "listen:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], harvest: true}\nharvest: {url: \"http://"+testkit.FreeAddr(t)+"\"}\n")
	in.start(t)
	signed, _ := in.opensslSigned(t, "anna@example.org", "bert@example.org", "hello")
	for range 3 {
		in.mail(t, "anna@example.org", signed, "bert@example.org")
	}
	sink.Wait(t, 3)
	testkit.Poll(t, "the failures to be counted", func() bool {
		return in.metric(t, `sealpost_harvest_messages_total{result="failed"}`) == 3
	})
	in.stop(t)
}
