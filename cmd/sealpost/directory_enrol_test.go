package main

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// A mail signed by OpenSSL reaches the directory's mailbox through Postfix: it
// is learned, and its sender is told, through Postfix again; a relay that follows
// the directory seals to him, and OpenSSL opens that. A mail that is not signed
// has the reason sent back. Nothing of either comes back.
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

			sink := testkit.StartSink(t, testkit.SinkOptions{})
			relay := newInstallation(t)
			relay.follow(t, in, sink.Addr)

			canary := testkit.NewCanary(t)
			signed, signer := in.opensslSigned(t, anna, mailbox, "I agree.")
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
			for series, want := range map[string]float64{
				`sealpost_directory_enrol_messages_total{result="learned"}`: 1, `sealpost_directory_enrol_messages_total{result="refused"}`: 1,
				`sealpost_directory_enrol_answers_total{result="sent"}`: 2, `sealpost_directory_enrol_answers_total{result="lost"}`: 0,
			} {
				if got := in.metric(t, series); got != want {
					t.Errorf("%s is %v, want %v", series, got, want)
				}
			}
			if page := in.page(t); !strings.Contains(page, "mailto:"+mailbox) {
				t.Errorf("the page does not name the mailbox: %s", page)
			}
			in.nowhere(t, canary)
			relay.replies(t, sink, 1, signer)
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
