package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// BenchmarkSend is one connection to a server that throws everything away, so
// that the figures are ours: per message, client and this server together.
func BenchmarkSend(b *testing.B) {
	for _, extensions := range []string{"PIPELINING", "PIPELINING CHUNKING", ""} {
		for _, size := range []int{5 << 10, 50 << 10, 1 << 20} {
			name := map[string]string{"PIPELINING": "DATA", "PIPELINING CHUNKING": "BDAT", "": "DATA-unpipelined"}[extensions]
			b.Run(fmt.Sprintf("%s/%dKB", name, size>>10), func(b *testing.B) {
				client := newClient(b, Options{Servers: []Server{{Address: discard(b, strings.Fields(extensions))}}})
				e := envelope(b, "anna@example.org")
				body := cleared(b, literal(strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78)))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := client.Send(b.Context(), e, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkOutlet is dot-stuffing and the search for bare newlines alone.
func BenchmarkOutlet(b *testing.B) {
	data := []byte(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1<<20/78))
	c := &conn{w: bufio.NewWriterSize(io.Discard, writeSize), peek: func() bool { return false }}
	c.r = newReplyReader(strings.NewReader(""))
	o := &outlet{c: c, t: &transaction{}, last: '\n', stuff: true}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		o.left = int64(len(data))
		if _, err := o.Write(data); err != nil {
			b.Fatal(err)
		}
	}
}

// discard is a server that is as fast as it can be and takes everything.
func discard(b *testing.B, extensions []string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			discardOne(nc, "250-sink\r\n250-"+strings.Join(append(extensions, "8BITMIME"), "\r\n250-")+"\r\n250 SIZE\r\n")
		}
	}()
	b.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

func discardOne(nc net.Conn, ehlo string) {
	defer nc.Close()
	br, w := bufio.NewReaderSize(nc, 256<<10), bufio.NewWriter(nc)
	w.WriteString("220 sink\r\n")
	for {
		if br.Buffered() == 0 {
			w.Flush()
		}
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case line[0] == 'E':
			w.WriteString(ehlo)
		case line[0] == 'D':
			w.WriteString("354 go\r\n")
			w.Flush()
			// The benchmark's content has no dots: the first one is the end.
			for {
				_, err := br.ReadSlice('.')
				if err == nil {
					break
				}
				if err != bufio.ErrBufferFull {
					return
				}
			}
			br.Discard(2)
			w.WriteString("250 2.0.0 ok queued as 1\r\n")
		case line[0] == 'B':
			size := 0
			fmt.Sscanf(string(line), "BDAT %d", &size)
			if _, err := br.Discard(size); err != nil {
				return
			}
			w.WriteString("250 2.0.0 ok queued as 1\r\n")
		default:
			w.WriteString("250 ok\r\n")
		}
	}
}
