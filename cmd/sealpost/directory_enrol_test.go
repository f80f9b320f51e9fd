package main

import (
	"bytes"
	"crypto/x509"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// signedMail is a mail that OpenSSL has signed with a new certificate for its
// sender.
func (in *installation) signedMail(t testing.TB, from, to string) string {
	t.Helper()
	testkit.Need(t, "openssl")
	id := in.ca.Issue(t, testkit.Leaf{
		Addresses: []string{from}, Usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	})
	id.WriteFiles(t, in.dir, "signer")
	in.write(t, "text", "Content-Type: text/plain\r\n\r\nI agree.\r\n")
	out, err := exec.Command("openssl", "cms", "-sign", "-in", filepath.Join(in.dir, "text"), "-signer", filepath.Join(in.dir, "signer.pem"),
		"-inkey", filepath.Join(in.dir, "signer.key"), "-from", from, "-to", to, "-subject", "yes", "-crlfeol").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A mail signed by OpenSSL reaches the directory's mailbox through Postfix: it
// is learned, and its sender is told, through Postfix again. A mail that is not
// signed has the reason sent back. Nothing of either comes back.
func TestDirectoryMailbox(t *testing.T) {
	const mailbox, anna, bert = "keys@keys.bank.example", "anna@example.org", "bert@example.org"
	for _, protocol := range []string{"smtp", "lmtp"} {
		t.Run(protocol, func(t *testing.T) {
			in := aDirectory(t, "")
			door := testkit.FreeAddr(t)
			host, port, err := net.SplitHostPort(door)
			if err != nil {
				t.Fatal(err)
			}
			next := protocol + ":[" + host + "]:" + port
			if protocol == "lmtp" {
				next = "lmtp:inet:" + door
			}
			postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "transport_maps = inline:{ {" + mailbox + " = " + next + "} }"})
			in.config = in.write(t, "directory.yaml", "hostname: keys.bank.example\nmetrics: {address: \""+in.monitor+"\"}\n"+
				"trust: {roots: [root.pem]}\ndirectory:\n  address: "+in.keys+"\n  store: {file: keys.db}\n  page: {name: The Bank}\n"+
				"  enrol: {address: \""+door+"\", protocol: "+protocol+", mailbox: "+mailbox+", upstream: {address: \""+postfix.Addr+"\"}}\n")
			in.start(t)

			canary := testkit.NewCanary(t)
			signed := in.signedMail(t, anna, mailbox)
			unsigned := "From: <" + bert + ">\r\nTo: <" + mailbox + ">\r\nSubject: hello\r\n\r\n" + string(canary) + "\r\n"
			for from, message := range map[string]string{anna: signed, bert: unsigned} {
				if err := smtp.SendMail(postfix.Addr, nil, from, []string{mailbox}, []byte(message)); err != nil {
					t.Fatal(err)
				}
			}
			for _, got := range postfix.WaitDelivered(t, 2) {
				want := map[string]string{anna: "The Bank has learned your certificate", bert: "(reason: message-not-signed)"}[got.To]
				if text := letter(t, got.Raw); got.From != "" || want == "" || !strings.Contains(text, want) {
					t.Errorf("to %q, from %q: %s", got.To, got.From, text)
				}
				canary.Absent(t, "an answer", got.Raw)
			}
			if a, err := in.keydb(t, "", nil).Lookup(t.Context(), parsed(t, anna)); err != nil || len(a.Certificates) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
			if page := in.page(t); !strings.Contains(page, "mailto:"+mailbox) {
				t.Errorf("the page does not name the mailbox: %s", page)
			}
			in.nowhere(t, canary)
		})
	}
}

// letter is the text of an answer.
func letter(t testing.TB, raw []byte) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// page is what a person sees at the directory.
func (in *installation) page(t testing.TB) string {
	t.Helper()
	resp, err := http.Get("http://" + in.keys + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
