package intake

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"sealpost/internal/testkit"
)

// go-smtp's client, which knows nothing of this server.
func TestGoSMTPClient(t *testing.T) {
	h, config := tlsHouse(t, TLSRequire, nil)
	c, err := smtp.DialStartTLS(h.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", "anna", "secret")); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat(".dotted line\r\n..\r\nplain\r\n", 5000)
	opts := &smtp.MailOptions{Size: int64(len(body)), UTF8: true, Body: smtp.Body8BitMIME, RequireTLS: true, Return: smtp.DSNReturnHeaders, EnvelopeID: "a+b=c"}
	if err := c.Mail("jürgen@example.org", opts); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("bert@example.org", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "b+c@example.org"}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	got := h.box.taken()[0]
	if got.body != body || got.mail.EnvID != "a+b=c" || got.mail.Ret != "HDRS" || !got.mail.RequireTLS || got.rcpts[0].ORcpt != "RFC822;b+c@example.org" {
		t.Errorf("%+v %+v, %d octets", got.mail, got.rcpts, len(got.body))
	}
}

func TestGoSMTPClientLMTP(t *testing.T) {
	h := open(t, lmtp)
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(nc)
	defer c.Close()
	if err := c.Mail("anna@example.org", nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"bert@example.org", "full@example.org"} {
		if err := c.Rcpt(to, nil); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "Subject: x\r\n\r\nbody\r\n")
	said, err := w.CloseWithLMTPResponse()
	if len(said) != 1 || err == nil { // one of two was refused
		t.Errorf("%v, %v", said, err)
	}
}

// swaks, as an administrator would try the relay.
func TestSwaks(t *testing.T) {
	testkit.Need(t, "swaks")
	h := open(t, func(o *Options) { o.XClient = loopback() })
	l := open(t, lmtp)
	proxied := open(t, func(o *Options) { o.Proxy = loopback() })
	for name, test := range map[string]struct {
		house *house
		args  []string
		with  string
	}{
		"plain":     {h, nil, "ESMTP"},
		"helo":      {h, []string{"--protocol", "SMTP"}, "SMTP"},
		"pipelined": {h, []string{"--pipeline"}, "ESMTP"},
		"xclient":   {h, []string{"--xclient-addr", "192.0.2.7", "--xclient-name", "spike.example"}, "ESMTP"},
		"lmtp":      {l, []string{"--protocol", "LMTP"}, "LMTP"},
		"proxy 1":   {proxied, []string{"--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "192.0.2.7", "--proxy-source-port", "4000", "--proxy-dest", "192.0.2.1", "--proxy-dest-port", "25"}, "ESMTP"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(test.house.box.taken())
			swaks(t, test.house.addr, test.args)
			letters := test.house.box.taken()
			if len(letters) != before+1 || !strings.Contains(letters[before].body, "\r\n.leading dot\r\n") {
				t.Fatalf("%d messages came: %v", len(letters)-before, letters)
			}
			if got := test.house.box.client(before); got.With() != test.with {
				t.Errorf("with %s, want %s", got.With(), test.with)
			}
		})
	}
}

func swaks(t *testing.T, addr string, args []string) {
	t.Helper()
	mail := filepath.Join(t.TempDir(), "mail")
	if err := os.WriteFile(mail, []byte("Subject: statement\n\nfirst\n.leading dot\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--server", addr, "--from", "anna@example.org", "--to", "bert@example.org", "--data", "@" + mail, "--helo", "client.example"}, args...)
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "swaks", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("swaks: %v\n%s", err, &out)
	}
}

// OpenSSL's client: its own STARTTLS, then commands that wait for nothing.
func TestOpenSSLClient(t *testing.T) {
	testkit.Need(t, "openssl")
	for mode, args := range map[TLSMode][]string{TLSRequire: {"-starttls", "smtp"}, TLSImplicit: nil} {
		h, _ := tlsHouse(t, mode, nil)
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_client", "-connect", h.addr, "-quiet"}, args...)...)
		cmd.Stdin = strings.NewReader(strings.ReplaceAll("EHLO c\nAUTH PLAIN "+b64("\x00anna\x00secret")+"\nMAIL FROM:<anna@example.org>\n"+
			"RCPT TO:<bert@example.org>\nDATA\nx\n.\nQUIT\n", "\n", "\r\n"))
		out, _ := cmd.Output() // the exit code tells how the peer closed, which is of no interest
		if len(h.box.taken()) != 1 {
			t.Fatalf("mode %d: no message came; openssl said\n%s", mode, out)
		}
		if got := h.box.client(0); got.With() != "ESMTPSA" {
			t.Errorf("mode %d: with %s", mode, got.With())
		}
	}
}
