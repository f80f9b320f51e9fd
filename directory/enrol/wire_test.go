package enrol_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"sealpost/directory/enrol"
	"sealpost/directory/mailer"
	"sealpost/internal/testkit"
)

func sha256Sum(b []byte) [32]byte { return sha256.Sum256(b) }

// dial opens a connection on which the test writes every octet itself.
func (w *world) dial(commands ...string) *textproto.Conn {
	w.Helper()
	raw, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	if err := raw.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		w.Fatal(err)
	}
	c := textproto.NewConn(raw)
	w.Cleanup(func() { c.Close() })
	w.expect(c, 220)
	for _, command := range commands {
		if err := c.PrintfLine("%s", command); err != nil {
			w.Fatal(err)
		}
		w.expect(c, 0)
	}
	return c
}

// expect reads a reply; code 0 stands for one that is no refusal.
func (w *world) expect(c *textproto.Conn, code int) {
	w.Helper()
	got, text, err := c.ReadResponse(code)
	if err != nil || code == 0 && got >= 400 {
		w.Errorf("%d %s: %v, want %d", got, text, err, code)
	}
}

// TestTruncatedBDAT: go-smtp takes a chunk that was cut off for a whole message.
func TestTruncatedBDAT(t *testing.T) {
	w := newWorld(t, nil)
	message := w.mail(w.ca.For(t, anna))
	c := w.dial("EHLO x", "MAIL FROM:<"+anna+">", "RCPT TO:<"+mailbox+">")
	fmt.Fprintf(c.W, "BDAT %d LAST\r\n%s", len(message)+1000, message)
	c.W.Flush()
	c.Close()
	testkit.Poll(t, "the broken message", func() bool { return w.server.Stats().Malformed == 1 })
	if s := w.server.Stats(); s.Messages != 0 {
		t.Errorf("%+v", s)
	}
}

// TestChunks: a message in chunks, after one was given up between chunks. With
// go-smtp the verdict of the one could reach the other, on one connection.
func TestChunks(t *testing.T) {
	w := newWorld(t, nil)
	message := w.mail(w.ca.For(t, anna))
	c := w.dial("EHLO x", "MAIL FROM:<eve@example.net>", "RCPT TO:<"+mailbox+">")
	fmt.Fprintf(c.W, "BDAT 10\r\nFrom: eve@RSET\r\nMAIL FROM:<eve@example.net>\r\n")
	c.W.Flush()
	w.expect(c, 250)
	testkit.Poll(t, "the message to be given up", func() bool { return w.server.Stats().Malformed == 1 })
	for n := 0; ; n++ {
		if _, err := c.ReadLine(); err != nil {
			break
		} else if n > 1 {
			t.Error("the connection goes on")
		}
	}
	c = w.dial("EHLO x", "MAIL FROM:<"+anna+">", "RCPT TO:<"+mailbox+">")
	fmt.Fprintf(c.W, "BDAT 100\r\n%sBDAT %d LAST\r\n%s", message[:100], len(message)-100, message[100:])
	c.W.Flush()
	w.expect(c, 250)
	w.expect(c, 250)
	if got, _, _ := w.answer(1); got.To[0].Address != anna {
		t.Errorf("answered %s", got.To[0].Address)
	}
	if s := w.settled(1); s.Learned != 1 || s.Malformed != 1 {
		t.Errorf("%+v", s)
	}
}

// TestStalledData: go-smtp goes on with commands where a stalled message left
// off. Here the connection ends.
func TestStalledData(t *testing.T) {
	w := newWorld(t, func(o *enrol.Options) { o.DataTime = 200 * time.Millisecond })
	c := w.dial("EHLO x", "MAIL FROM:<"+anna+">", "RCPT TO:<"+mailbox+">", "DATA")
	fmt.Fprintf(c.W, "From: %s\r\n\r\n", anna)
	c.W.Flush()
	testkit.Poll(t, "the server to lose patience", func() bool { return w.server.Stats().Malformed == 1 })
	fmt.Fprintf(c.W, "RSET\r\nNOOP\r\n")
	c.W.Flush() // fails if the connection is closed by now
	for {
		line, err := c.ReadLine()
		if err != nil {
			break
		}
		if strings.HasPrefix(line, "250") {
			t.Errorf("the rest of the message was taken for commands: %s", line)
		}
	}
}

// TestLMTP: the same by LMTP, and with every answer for its recipient.
func TestLMTP(t *testing.T) {
	w := newWorld(t, func(o *enrol.Options) { o.LMTP = true })
	c := w.dial("LHLO x", "MAIL FROM:<"+anna+">", "RCPT TO:<"+mailbox+">", "DATA")
	d := c.DotWriter()
	d.Write(w.mail(w.ca.For(t, anna)))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	w.expect(c, 250)
	if s := w.settled(1); s.Learned != 1 {
		t.Errorf("%+v", s)
	}
	w.answer(1)
}

// TestPostfix has a real Postfix between: it brings the signed mail, and takes
// the answer.
func TestPostfix(t *testing.T) {
	testkit.Need(t, "postfix", "openssl")
	for _, protocol := range []string{"smtp", "lmtp"} {
		t.Run(protocol, func(t *testing.T) {
			var postfix *testkit.Postfix
			later := &mailer.Mailer{Hostname: "directory.example"}
			w := newWorld(t, func(o *enrol.Options) { o.LMTP, o.Sender = protocol == "lmtp", later })
			_, port, err := net.SplitHostPort(w.addr)
			if err != nil {
				t.Fatal(err)
			}
			postfix = testkit.StartPostfix(t, testkit.PostfixOptions{
				Main: fmt.Sprintf("transport_maps = inline:{{%s = %s:[127.0.0.1]:%s}}\n", mailbox, protocol, port),
			})
			later.Address = postfix.Addr
			w.sink, w.addr = postfix.Sink, postfix.Addr
			id := w.ca.For(t, anna)
			if err := w.send(anna, w.mail(id)); err != nil {
				t.Fatal(err)
			}
			got, h, text := w.answer(1)
			if !strings.Contains(text, "has learned your certificate") || h.Get("Auto-Submitted") != "auto-replied" || got.To[0].Address != anna {
				t.Errorf("%v\n%s", h, text)
			}
			found, err := w.store.Lookup(t.Context(), []string{anna})
			if err != nil || len(found[0]) != 1 || !bytes.Equal(found[0][0].Cert.Raw, id.Cert.Raw) {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}
