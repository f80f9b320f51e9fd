package intake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"sealpost/relay/reply"
)

func writeChunk(b *bytes.Buffer, chunk []byte, last bool) {
	fmt.Fprintf(b, "BDAT %d", len(chunk))
	if last {
		b.WriteString(" LAST")
	}
	b.WriteString("\r\n")
	b.Write(chunk)
}

// A drain takes mail and forgets it.
type drain struct{}

func (drain) Mail(context.Context, *Client, Mail) (Transaction, error) { return drain{}, nil }
func (drain) Rcpt(context.Context, Rcpt) error                         { return nil }
func (drain) Close()                                                   {}
func (drain) Data(_ context.Context, content io.Reader) []reply.Reply {
	if _, err := io.Copy(io.Discard, justWriter{content}); err != nil {
		return nil
	}
	return drained
}

var drained = []reply.Reply{{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "OK"}}

type justWriter struct{ io.Reader }

func (j justWriter) WriteTo(w io.Writer) (int64, error) { return j.Reader.(io.WriterTo).WriteTo(w) }

// A loop is a connection that sends the same message n times, as a client
// without waiting for replies would.
type loop struct {
	script
	unit []byte
	n    int
}

func (l *loop) Read(p []byte) (int, error) {
	if len(l.in) == 0 {
		if l.n == 0 {
			return 0, io.EOF
		}
		l.n--
		l.in = l.unit
	}
	return l.script.Read(p)
}

func (l *loop) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkMessage(b *testing.B) {
	line := strings.Repeat("x", 74) + "\r\n"
	for _, size := range []struct {
		name   string
		octets int
	}{{"5KB", 5 << 10}, {"50KB", 50 << 10}, {"1MB", 1 << 20}} {
		body := strings.Repeat(line, size.octets/len(line))
		envelope := "MAIL FROM:<anna@example.org>\r\nRCPT TO:<bert@example.org>\r\n"
		b.Run("DATA/"+size.name, func(b *testing.B) { benchmark(b, envelope+"DATA\r\n"+body+".\r\n") })
		var chunk bytes.Buffer
		writeChunk(&chunk, []byte(body), true)
		b.Run("BDAT/"+size.name, func(b *testing.B) { benchmark(b, envelope+chunk.String()) })
	}
}

func benchmark(b *testing.B, unit string) {
	s, _ := newTestServer(b, func(o *Options) { o.Handler = drain{} })
	b.SetBytes(int64(len(unit)))
	b.ReportAllocs()
	nc := &loop{unit: []byte(unit), n: b.N}
	nc.in = []byte("EHLO c\r\n")
	c := newConn(s, nc)
	if e := s.add(c); e != nil {
		b.Fatal(e)
	}
	b.ResetTimer()
	c.serve()
}
