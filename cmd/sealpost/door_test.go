package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"

	"sealpost/internal/testkit"
)

// users writes a password file as `htpasswd -B` does.
func (in *installation) users(t testing.TB, pairs ...string) {
	t.Helper()
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		hash, err := bcrypt.GenerateFromPassword([]byte(pairs[i+1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(pairs[i] + ":" + string(hash) + "\n")
	}
	in.write(t, "users", b.String())
}

// serverCertificate puts a new certificate into relay.pem and relay.key.
func (in *installation) serverCertificate(t testing.TB) *x509.Certificate {
	t.Helper()
	id := in.ca.Server(t, "relay.bank.example")
	id.WriteFiles(t, in.dir, "relay")
	return id.Cert
}

// doors configures three listeners that want a login, one for each TLS mode.
func (in *installation) doors(t testing.TB, upstream string) (starttls, require, implicit string) {
	t.Helper()
	starttls, require, implicit = in.addr, testkit.FreeAddr(t), testkit.FreeAddr(t)
	in.serverCertificate(t)
	in.users(t, "mailer", "correct horse", "other", "battery staple")
	listen := "listen:\n"
	for mode, addr := range map[string]string{"starttls": starttls, "require": require, "implicit": implicit} {
		listen += "  - {address: \"" + addr + "\", tls: {mode: " + mode + ", cert: relay.pem, key: relay.key}, auth: {users: users}}\n"
	}
	in.configure(t, upstream, listen)
	return starttls, require, implicit
}

// startTLS goes on inside TLS.
func (in *installation) startTLS(t testing.TB, d *dialog) *dialog {
	t.Helper()
	d.say(t, "220", "STARTTLS")
	c := tls.Client(d.Conn, in.ca.ClientTLS("relay.bank.example"))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	inside := in.dialog(t, c)
	inside.say(t, "250", "EHLO mailer.bank.example")
	return inside
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestLoginOnlyInsideTLS(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	_, require, _ := in.doors(t, sink.Addr)
	in.start(t)

	d := in.dial(t)
	if got := d.say(t, "250", "EHLO mailer.bank.example"); strings.Contains(got, "AUTH") || !strings.Contains(got, "STARTTLS") {
		t.Errorf("before TLS: %q", got)
	}
	d.say(t, "538 5.7.11", "AUTH PLAIN "+base64Of("\x00mailer\x00correct horse"))
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "550 5.7.1", "RCPT TO:<anna@example.org>")
	d.say(t, "250", "RSET")

	d = in.startTLS(t, d)
	for _, wrong := range []string{"\x00nobody\x00correct horse", "\x00mailer\x00battery staple"} {
		d.say(t, "535 5.7.8", "AUTH PLAIN "+base64Of(wrong))
	}
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	if got := d.say(t, "550 5.7.1", "RCPT TO:<anna@example.org>"); !strings.HasSuffix(got, "(relay-denied)\r\n") {
		t.Error(got)
	}
	d.say(t, "250", "RSET")
	d.say(t, "334", "AUTH LOGIN")
	d.say(t, "334", base64Of("mailer"))
	d.say(t, "235", base64Of("correct horse"))
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")

	must := in.dialog(t, connect(t, require))
	must.expect(t, "220")
	must.say(t, "250", "EHLO mailer.bank.example")
	must.say(t, "530 5.7.0", "MAIL FROM:<statements@bank.example>")
	must = in.startTLS(t, must)
	must.say(t, "235", "AUTH PLAIN "+base64Of("\x00mailer\x00correct horse"))
	must.say(t, "250", "MAIL FROM:<statements@bank.example>")

	for _, password := range []string{"correct horse", base64Of("correct horse"), base64Of("\x00mailer\x00correct horse")} {
		if strings.Contains(in.log(t), password) {
			t.Error("the log has the password")
		}
	}
}

// Clients that are not ours log in at each kind of listener.
func TestClientsLogIn(t *testing.T) {
	testkit.Need(t, "swaks")
	testkit.NeedPerl(t, "Net::SSLeay", "libnet-ssleay-perl")
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	starttls, require, implicit := in.doors(t, sink.Addr)
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	sent := 0
	for _, c := range []struct {
		addr, tls, auth string
	}{
		{starttls, "--tls", "PLAIN"}, {require, "--tls", "LOGIN"}, {implicit, "--tls-on-connect", "PLAIN"}, {implicit, "--tls-on-connect", "LOGIN"},
	} {
		swaks(t, c.addr, message, "--to", "anna@example.org", c.tls, "--tls-verify", "--tls-ca-path", filepath.Join(in.dir, "root.pem"),
			"--auth", c.auth, "--auth-user", "mailer", "--auth-password", "correct horse")
		sent++
	}
	wrong := exec.Command("swaks", "--server", starttls, "--from", "statements@bank.example", "--to", "anna@example.org",
		"--tls", "--auth", "PLAIN", "--auth-user", "mailer", "--auth-password", "wrong")
	if out, err := wrong.CombinedOutput(); err == nil || !strings.Contains(string(out), "535 5.7.8") {
		t.Errorf("swaks with a wrong password: %v\n%s", err, out)
	}
	in.goSMTP(t, starttls, sasl.NewPlainClient("", "mailer", "correct horse"), message)
	in.goSMTP(t, require, sasl.NewLoginClient("other", "battery staple"), message)
	for _, m := range sink.Wait(t, sent+2) {
		in.opened(t, m.Raw, "anna@example.org", message)
		if !strings.Contains(string(m.Raw), " with ESMTPSA id ") || !strings.Contains(string(m.Raw), "(using TLS 1.3 with cipher ") {
			t.Errorf("Received does not tell how it came:\n%.400s", m.Raw)
		}
	}
	in.nowhere(t, canary, sink.Wire())
	in.waitLog(t, "msg=message", "sasl_username=other", `tls="TLS 1.3`, "proto=ESMTPSA")
}

// goSMTP sends a message by STARTTLS with go-smtp's client.
func (in *installation) goSMTP(t testing.TB, addr string, login sasl.Client, message string) {
	t.Helper()
	c, err := smtp.DialStartTLS(addr, in.ca.ClientTLS("relay.bank.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = errors.Join(c.Auth(login), c.SendMail("statements@bank.example", []string{"anna@example.org"}, strings.NewReader(message)), c.Quit())
	if err != nil {
		t.Errorf("go-smtp: %v", err)
	}
}

// A reload exchanges the certificate for the next connection; those that are
// open stay.
func TestReloadExchangesTheCertificate(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	_, _, implicit := in.doors(t, sink.Addr)
	in.start(t)
	serial := func() (*dialog, string) {
		c, err := tls.Dial("tcp", implicit, in.ca.ClientTLS("relay.bank.example"))
		if err != nil {
			t.Fatal(err)
		}
		d := in.dialog(t, c)
		d.expect(t, "220")
		d.say(t, "250", "EHLO mailer.bank.example")
		return d, c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	open, before := serial()
	next := in.serverCertificate(t)
	in.users(t, "newcomer", "tr0ub4dor")
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	fresh, after := serial()
	if after == before || after != next.SerialNumber.String() {
		t.Errorf("the next connection got %s; before %s, on the disk %s", after, before, next.SerialNumber)
	}
	open.say(t, "250", "NOOP")
	fresh.say(t, "535", "AUTH PLAIN "+base64Of("\x00mailer\x00correct horse"))
	fresh.say(t, "235", "AUTH PLAIN "+base64Of("\x00newcomer\x00tr0ub4dor"))

	// Half a pair, as while a new one is being copied, changes nothing.
	if err := os.WriteFile(filepath.Join(in.dir, "relay.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if in.reload(t) {
		t.Error("a broken key was loaded")
	}
	if _, still := serial(); still != after {
		t.Error("a reload that failed exchanged the certificate")
	}
}
