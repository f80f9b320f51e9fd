package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/reason"
	"sealpost/relay/policy"
	"sealpost/smime"
)

// pieces writes its content in writes of the sizes given, in turn.
type pieces struct {
	data  []byte
	sizes []int
	err   error // after the data
	short int   // bytes announced and not written; negative: written and not announced
}

func (p pieces) Size() int64 { return int64(len(p.data) + p.short) }

func (p pieces) WriteTo(w io.Writer) (total int64, err error) {
	for i, rest := 0, p.data; len(rest) > 0; i++ {
		k := min(max(1, p.sizes[i%len(p.sizes)]), len(rest))
		n, err := w.Write(rest[:k])
		if total += int64(n); err != nil {
			return total, err
		}
		rest = rest[k:]
	}
	return total, p.err
}

// What a server reads is the content, whatever is in it and however it is cut
// into writes: by the dot-stuffing of DATA, and by BDAT.
func TestContentArrivesByteForByte(t *testing.T) {
	for _, extensions := range [][]string{nil, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
		t.Run(strings.Join(extensions, " "), func(t *testing.T) {
			f := &fake{ehlo: extensions}
			client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
			rapid.Check(t, func(r *rapid.T) {
				lines := rapid.SliceOf(rapid.SampledFrom([]string{"", ".", "..", "...", ". ", "a", "a.", ".b", "QUIT", "\x00\xff", strings.Repeat("x", 100)})).Draw(r, "lines")
				want := []byte(strings.Join(append(lines, ""), "\r\n"))
				c := pieces{data: want, sizes: rapid.SliceOfN(rapid.IntRange(1, 30), 1, 5).Draw(r, "sizes")}
				if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, c)); err != nil {
					r.Fatal(err)
				}
				got := f.contents()
				if !bytes.Equal(got[len(got)-1], want) {
					r.Fatalf("sent %q, arrived %q", want, got[len(got)-1])
				}
			})
			if f.connections() != 1 {
				t.Errorf("%d connections", f.connections())
			}
		})
	}
}

func TestLargeContent(t *testing.T) {
	want := []byte(strings.Repeat(".\r\n.."+strings.Repeat("y", 70)+"\r\n", 40000))
	for _, extensions := range [][]string{{"PIPELINING"}, {"CHUNKING"}} {
		for _, size := range []int{61, 4093, 1 << 16, len(want)} {
			f := &fake{ehlo: extensions}
			client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
			if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, pieces{data: want, sizes: []int{size}})); err != nil {
				t.Fatal(err)
			}
			if got := f.contents(); len(got) != 1 || !bytes.Equal(got[0], want) {
				t.Errorf("%v, writes of %d: other bytes arrived", extensions, size)
			}
		}
	}
}

// DATA cannot carry a last line without CRLF (RFC 5321 section 4.1.1.4): it is
// completed. BDAT can.
func TestOpenLastLine(t *testing.T) {
	for extensions, want := range map[string]string{"PIPELINING": "x\r\n\r\nopen\r\n", "CHUNKING": "x\r\n\r\nopen"} {
		f := &fake{ehlo: []string{extensions}}
		client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
		if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, literal("x\r\n\r\nopen"))); err != nil {
			t.Fatal(err)
		}
		if got := f.contents(); string(got[0]) != want {
			t.Errorf("%s: %q", extensions, got[0])
		}
	}
}

// A message that another server could read in another way does not get out,
// however its bytes are cut.
func TestBareNewlinesDoNotGetOut(t *testing.T) {
	for _, data := range []string{"a\nb\r\n", "a\rb\r\n", "a\r\r\n", "\n", "\r", "a\r\n.\n\r\n", "a\r\n.\rb\r\n", "a\n.\r\nb\r\n", "\r\n\n", "a\r\n\r"} {
		for _, extensions := range []string{"PIPELINING", "CHUNKING"} {
			for size := 1; size <= 3; size++ {
				t.Run(fmt.Sprintf("%q %s %d", data, extensions, size), func(t *testing.T) {
					f := &fake{ehlo: []string{extensions}}
					client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
					_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, pieces{data: []byte(data), sizes: []int{size}}))
					if fail, r := failure(t, err); r.Reason != reason.BareNewline || !r.Reply.Permanent() || fail.Taken != NotTaken {
						t.Errorf("%v", err)
					}
					if len(f.contents()) != 0 {
						t.Errorf("arrived: %q", f.contents())
					}
				})
			}
		}
	}
}

// Binary content (RFC 3030) goes by BDAT, and CR and LF are bytes in it.
func TestBinaryContent(t *testing.T) {
	f := &fake{ehlo: []string{"CHUNKING", "BINARYMIME", "8BITMIME"}}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	e := envelope(t, "anna@example.org")
	e.Body = "BINARYMIME"
	want := "a\nb\rc\r\n.\r\n\x00\r"
	if _, err := client.Send(t.Context(), e, cleared(t, literal(want))); err != nil {
		t.Fatal(err)
	}
	if got := f.contents(); string(got[0]) != want || !strings.Contains(f.commands(), " BODY=BINARYMIME") {
		t.Errorf("%q %q", got, f.commands())
	}
}

// Content that fails on our side ends as if nothing had been sent, and other
// servers are not asked: the fault would go with it.
func TestContentThatFails(t *testing.T) {
	broken := errors.New("disk gone")
	for _, c := range []pieces{
		{data: []byte(sample), sizes: []int{9}, err: broken},
		{data: []byte(sample), sizes: []int{9}, short: 5},
		{data: []byte(sample), sizes: []int{9}, short: -5},
	} {
		for _, extensions := range [][]string{{"PIPELINING"}, {"CHUNKING"}} {
			bad, good := &fake{ehlo: extensions}, &fake{}
			client := newClient(t, Options{Servers: []Server{{Address: bad.listen(t)}, {Address: good.listen(t)}}})
			_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, c))
			if f, r := failure(t, err); f.Stage != StageContent || !r.Reply.Temporary() || r.Reason != reason.InternalError {
				t.Errorf("%v", err)
			}
			if c.err != nil && !errors.Is(err, broken) {
				t.Errorf("%v does not hold the cause", err)
			}
			if len(bad.contents())+len(good.contents()) != 0 {
				t.Errorf("%v: something arrived: %q", extensions, bad.contents())
			}
		}
	}
}

// An abandoned BDAT ends with a reset: some servers take an orderly end of the
// connection for the end of the message.
func TestAbandonedChunkEndsWithReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer nc.Close()
		br := bufio.NewReader(nc)
		for _, say := range []string{"220 x", "250-x\r\n250 CHUNKING", "250 Ok", "250 Ok"} {
			fmt.Fprintf(nc, "%s\r\n", say)
			if _, err := br.ReadString('\n'); err != nil {
				ended <- err
				return
			}
		}
		_, err = io.Copy(io.Discard, br)
		ended <- err
	}()
	client := newClient(t, Options{Servers: []Server{{Address: l.Addr().String()}}})
	c := pieces{data: []byte(sample), sizes: []int{9}, short: 100}
	if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, c)); err == nil {
		t.Error("sent")
	}
	if err := <-ended; err == nil {
		t.Error("the server saw an orderly end of the connection")
	}
}

// big is more than all buffers on the way hold.
var big = []byte(strings.Repeat(strings.Repeat("z", 76)+"\r\n", 1<<17))

// A server that speaks before it has the whole message: a refusal is taken, a
// consent cannot mean this message.
func TestReplyBeforeTheEnd(t *testing.T) {
	for _, c := range []struct {
		says string
		code int
		why  reason.Token
	}{
		{"552 5.3.4 Too much", 552, reason.UpstreamRefused},
		{"452 4.3.1 No room", 452, reason.UpstreamDeferred},
		{"421 4.3.2 Bye", 451, reason.UpstreamDeferred},
		{"552 5.3.4 Too much!drop", 552, reason.UpstreamRefused},
		{"250 2.0.0 Ok", 451, reason.UpstreamProtocol},
		{"!drop", 451, reason.UpstreamUnreachable},
		{"!reset", 451, reason.UpstreamUnreachable},
	} {
		t.Run(c.says, func(t *testing.T) {
			lines := 0
			f := &fake{answer: func(_, _ int, stage, _ string) string {
				if stage == "line" {
					if lines++; lines == 10 {
						return c.says
					}
				}
				return ""
			}}
			client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
			_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, literal(big)))
			fail, r := failure(t, err)
			if fail.Taken != NotTaken || !r.Reply.Temporary() && r.Reply.Code != c.code {
				t.Errorf("%v, taken %v", err, fail.Taken)
			}
			// A reset may overtake the reply that was sent before it.
			if (r.Reply.Code != c.code || r.Reason != c.why) && r.Reason != reason.UpstreamUnreachable {
				t.Errorf("%v (%s), want %d (%s)", err, r.Reason, c.code, c.why)
			}
		})
	}
}

// A server that stops reading is given up after the time for one block.
func TestServerStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		f := &fake{answer: func(_, _ int, stage, _ string) string {
			if stage == "line" {
				<-held
			}
			return ""
		}}
		client := newClient(t, Options{Servers: []Server{{Address: "one:25"}}, Dial: f.dial, Timeouts: Timeouts{Block: time.Minute}})
		began := time.Now()
		_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), cleared(t, literal(big)))
		close(held)
		if fail, r := failure(t, err); r.Reason != reason.UpstreamTimeout || fail.Taken != NotTaken {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != time.Minute+lastWords {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheZeroBodyDoesNotLeave(t *testing.T) {
	f := &fake{}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	if _, err := Cleartext(policy.Clearance{}, literal(sample)); !errors.Is(err, ErrNoClearance) {
		t.Errorf("Cleartext without clearance: %v", err)
	}
	for _, b := range []Body{{}, Sealed(nil), Protected(nil, literal(sample)), Protected(&smime.Protected{}, literal(sample))} {
		_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), b)
		if _, r := failure(t, err); !errors.Is(err, ErrNoClearance) || !r.Reply.Temporary() {
			t.Errorf("Send: %v", err)
		}
		if b.Size() != 0 {
			t.Errorf("Size %d", b.Size())
		}
	}
	_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), Sealed(new(smime.Sealed)))
	if err == nil || len(f.contents()) != 0 {
		t.Errorf("a Sealed that nobody sealed: %v", err)
	}
}

// The outlet against a plain implementation of RFC 5321 section 4.5.2.
func TestStuffing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		data := []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{".", "a", "\r\n"})).Draw(r, "data"), ""))
		var got bytes.Buffer
		c := &conn{w: bufio.NewWriter(&got), peek: func() bool { return false }}
		c.r = newReplyReader(strings.NewReader(""))
		o := &outlet{c: c, t: &transaction{}, left: int64(len(data)), last: '\n', stuff: true}
		p := pieces{data: data, sizes: rapid.SliceOfN(rapid.IntRange(1, 4), 1, 4).Draw(r, "sizes")}
		if _, err := p.WriteTo(o); err != nil {
			r.Fatal(err)
		}
		c.w.Flush()
		want := strings.ReplaceAll("\r\n"+string(data), "\r\n.", "\r\n..")[2:]
		if got.String() != want {
			r.Fatalf("%q became %q, want %q", data, got.String(), want)
		}
	})
}
