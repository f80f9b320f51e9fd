package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
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
	r    *bufio.Reader
	hear func(reply string) // nil: nobody listens
}

// dialSMTP greets a server that is not ours.
func dialSMTP(t testing.TB, addr string) *dialog {
	t.Helper()
	d := newDialog(t, connect(t, addr))
	d.expect(t, "220")
	d.say(t, "250", "EHLO mailer.bank.example")
	return d
}

// dial greets the installation, which remembers all that it answers.
func (in *installation) dial(t testing.TB) *dialog {
	t.Helper()
	d := in.dialog(t, connect(t, in.addr))
	d.expect(t, "220")
	d.say(t, "250", "EHLO mailer.bank.example")
	return d
}

// dialog is a client on a connection to the installation.
func (in *installation) dialog(t testing.TB, c net.Conn) *dialog {
	t.Helper()
	d := newDialog(t, c)
	d.hear = func(reply string) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.heard = append(in.heard, reply)
		if why := untokened(reply); why != "" {
			t.Errorf("%s: %q", why, reply)
		}
	}
	return d
}

func connect(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newDialog(t testing.TB, c net.Conn) *dialog {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &dialog{Conn: c, r: bufio.NewReader(c)}
}

var tokenAtEnd = regexp.MustCompile(`\(([a-z-]+)\)\r\n$`)

// untokened says why a reply breaks the rule that every refusal ends with a
// word that docs/reasons.md explains.
func untokened(reply string) string {
	if reply == "" || reply[0] < '4' {
		return ""
	}
	m := tokenAtEnd.FindStringSubmatch(reply)
	if m == nil {
		return "a refusal without a reason"
	}
	if !slices.Contains(reason.All(), reason.Token(m[1])) {
		return "a refusal with a reason that is not in the list"
	}
	return ""
}

// say sends a line and wants a reply that begins so.
func (d *dialog) say(t testing.TB, want, line string) string {
	t.Helper()
	d.send(t, line+"\r\n")
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
			if d.hear != nil {
				d.hear(b.String())
			}
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
	return d.data(t, message)
}

// data sends the message of a transaction that is open, and gives the answer.
func (d *dialog) data(t testing.TB, message string) string {
	t.Helper()
	d.say(t, "354", "DATA")
	d.send(t, strings.ReplaceAll(message, "\r\n.", "\r\n..")+".\r\n")
	return d.reply(t)
}

func (d *dialog) send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(d, text); err != nil {
		t.Fatal(err)
	}
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
// on the disk, in what the clients heard, in the metrics, and in these.
func (in *installation) nowhere(t testing.TB, canary testkit.Canary, where ...[]byte) {
	t.Helper()
	canary.AbsentInTree(t, in.dir)
	in.mu.Lock()
	heard := strings.Join(in.heard, "")
	in.mu.Unlock()
	canary.Absent(t, "the replies", []byte(heard))
	if in.running() {
		canary.Absent(t, "the metrics", []byte(in.get(t, "/metrics")))
	}
	for _, data := range where {
		canary.Absent(t, "what went out", data)
	}
}

// opened wants the sealed copy to open, for this recipient, to the entity of
// the message.
func (in *installation) opened(t testing.TB, sealed []byte, to, message string) {
	t.Helper()
	id := in.identity(to)
	if id == nil {
		t.Fatalf("nobody is %s", to)
	}
	if got := testkit.OpenSSLOpen(t, sealed, id); !bytes.Equal(got, []byte(entityOf(message))) {
		t.Errorf("%s opened\n%q\nwant\n%q", to, got, entityOf(message))
	}
}
