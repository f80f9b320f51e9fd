package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// sampleMail is an ordinary statement with a canary in every place that must not be
// seen outside.
func sampleMail(canary testkit.Canary) string {
	c := string(canary)
	return strings.ReplaceAll(`From: Example Bank <statements@bank.example>
To: Anna <anna@example.org>
Bcc: auditor@bank.example, `+c+`@bank.example
Subject: Your statement
Message-ID: <42@bank.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="`+c+`"
Content-Description: `+c+`

--`+c+`
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße, your balance is `+c+`.
.a line that begins with a dot
--`+c+`
Content-Type: application/pdf; name="`+c+`.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="`+c+`.pdf"

JVBERi0xLjQK
--`+c+`--
`, "\n", "\r\n")
}

// entity is what of it must come out of the sealed copy, byte for byte, behind
// the MIME-Version that Sealpost puts first.
func entityOf(message string) string {
	return "MIME-Version: 1.0\r\n" + message[strings.Index(message, "Content-Type:"):]
}

// A dialog is an SMTP client that says what it is told and reads replies.
type dialog struct {
	net.Conn
	r *bufio.Reader
}

func dialSMTP(t testing.TB, addr string) *dialog {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	d := &dialog{c, bufio.NewReader(c)}
	d.expect(t, "220")
	d.say(t, "250", "EHLO mailer.bank.example")
	return d
}

// say sends a line and wants a reply that begins so.
func (d *dialog) say(t testing.TB, want, line string) string {
	t.Helper()
	if _, err := fmt.Fprintf(d, "%s\r\n", line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return d.expect(t, want)
}

func (d *dialog) expect(t testing.TB, want string) string {
	t.Helper()
	got := d.reply(t)
	if !strings.HasPrefix(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	return got
}

// reply gives all lines of one reply.
func (d *dialog) reply(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			t.Fatalf("no reply: %v (so far %q)", err, b.String())
		}
		b.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return b.String()
		}
	}
}

// submit does a transaction and gives the answer to the data.
func (d *dialog) submit(t testing.TB, message string, to ...string) string {
	t.Helper()
	d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	for _, r := range to {
		d.say(t, "250", "RCPT TO:<"+r+">")
	}
	d.say(t, "354", "DATA")
	stuffed := strings.ReplaceAll(message, "\r\n.", "\r\n..")
	if _, err := fmt.Fprintf(d, "%s.\r\n", stuffed); err != nil {
		t.Fatal(err)
	}
	return d.reply(t)
}

// swaks sends with swaks, an SMTP client that is not ours.
func swaks(t testing.TB, addr string, message string, args ...string) string {
	t.Helper()
	testkit.Need(t, "swaks")
	file := filepath.Join(t.TempDir(), "message")
	// swaks ends the data with a line end of its own.
	if err := os.WriteFile(file, []byte(strings.TrimSuffix(message, "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--server", addr, "--from", "statements@bank.example", "--data", "@" + file}, args...)
	out, err := exec.Command("swaks", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	return string(out)
}

// nowhere looks for the canary where it must not be: in the log, in everything
// on the disk, and in these.
func (in *installation) nowhere(t testing.TB, canary testkit.Canary, where ...[]byte) {
	t.Helper()
	canary.AbsentInTree(t, in.dir)
	for _, data := range where {
		canary.Absent(t, "what went out", data)
	}
}

// opened wants the sealed copy to open, for this recipient, to the entity of
// the message.
func (in *installation) opened(t testing.TB, sealed []byte, to, message string) {
	t.Helper()
	id := in.people[to]
	if id == nil {
		t.Fatalf("nobody is %s", to)
	}
	if got := testkit.OpenSSLOpen(t, sealed, id); !bytes.Equal(got, []byte(entityOf(message))) {
		t.Errorf("%s opened\n%q\nwant\n%q", to, got, entityOf(message))
	}
}
