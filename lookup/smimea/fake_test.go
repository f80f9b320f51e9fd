package smimea_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sealpost/internal/testkit"
	"sealpost/lookup/smimea"
)

// A fake is a resolver that answers as it likes: each question with any number
// of packets, over UDP and TCP.
type fake struct {
	addr            string
	answer          func(q *dns.Msg, tcp bool) [][]byte
	opened, asked   atomic.Int64 // TCP connections; questions for SMIMEA
	close           func()
	now, mostAtOnce atomic.Int64
}

func startFake(t testing.TB, answer func(q *dns.Msg, tcp bool) [][]byte) *fake {
	t.Helper()
	f := &fake{addr: testkit.FreeAddr(t), answer: answer}
	udp, err := net.ListenPacket("udp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	f.close = func() { udp.Close(); tcp.Close() }
	t.Cleanup(f.close)
	go f.packets(udp)
	go f.connections(tcp)
	return f
}

func (f *fake) replies(raw []byte, tcp bool) [][]byte {
	q := new(dns.Msg)
	if q.Unpack(raw) != nil {
		return nil
	}
	n := f.now.Add(1)
	defer f.now.Add(-1)
	for m := f.mostAtOnce.Load(); n > m && !f.mostAtOnce.CompareAndSwap(m, n); m = f.mostAtOnce.Load() {
	}
	if q.Question[0].Qtype == dns.TypeSMIMEA {
		f.asked.Add(1)
	}
	return f.answer(q, tcp)
}

func (f *fake) packets(conn net.PacketConn) {
	for {
		raw := make([]byte, 4096)
		n, from, err := conn.ReadFrom(raw)
		if err != nil {
			return
		}
		go func() {
			for _, packet := range f.replies(raw[:n], false) {
				_, _ = conn.WriteTo(packet, from)
			}
		}()
	}
}

func (f *fake) connections(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.opened.Add(1)
		go func() {
			defer conn.Close()
			for {
				var size uint16
				if binary.Read(conn, binary.BigEndian, &size) != nil {
					return
				}
				raw := make([]byte, size)
				if _, err := io.ReadFull(conn, raw); err != nil {
					return
				}
				replies := f.replies(raw, true)
				for _, packet := range replies {
					if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
						return
					}
				}
				if replies == nil {
					return
				}
			}
		}()
	}
}

// owner is where the records of hugh@example.com are.
const owner = "c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6._smimecert.example.com."

// ask asks one fake for owner.
func (f *fake) ask(t testing.TB, opts smimea.Options) (smimea.Answer, error) {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = 300 * time.Millisecond
	}
	if opts.Resolvers == nil {
		opts.Resolvers = []smimea.Resolver{{Address: f.addr}}
	}
	c, err := smimea.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.Ask(context.Background(), owner)
}

// secure is a reply with the records, as a validating resolver gives it.
func secure(q *dns.Msg, records ...dns.RR) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.AuthenticatedData, m.RecursionAvailable = true, true
	m.Answer = records
	if q.Question[0].Qtype == dns.TypeNS {
		m.Answer = []dns.RR{rr(". 60 IN NS ns.example.")}
	}
	return m
}

// denied is an authenticated denial.
func denied(q *dns.Msg) *dns.Msg {
	m := secure(q)
	m.Rcode = dns.RcodeNameError
	m.Ns = []dns.RR{rr("example.com. 60 IN SOA ns hostmaster 1 1 1 1 60"), rr("example.com. 60 IN NSEC x.example.com. NS SOA")}
	return m
}

func rr(text string) dns.RR {
	r, err := dns.NewRR(text)
	if err != nil {
		panic(err)
	}
	return r
}

var record = rr(owner + " 60 IN SMIMEA 3 0 0 3003020101")

// pack writes one message; changing it first is what change is for.
func pack(m *dns.Msg, change ...func(*dns.Msg)) [][]byte {
	for _, c := range change {
		c(m)
	}
	m.Compress = true
	raw, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return [][]byte{raw}
}
