package smimea

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// What we say that we take in one packet: it goes through every network in
	// one piece (DNS flag day 2020).
	packetSize = 1232
	// What we really take, of servers that do not listen.
	packetBuffer = 8192
	resendAfter  = time.Second // doubled each time
	maxNoise     = 64          // packets that answer something else
)

var (
	errOther = errors.New("the reply is to another question")
	errNoise = errors.New("too many packets that answer other questions")
)

// newQuestion asks for a name with DNSSEC: DO for the proofs, AD for the
// resolver's verdict, and never CD, which would turn its checks off.
func newQuestion(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype) // a random identifier, and RD
	q.AuthenticatedData = true
	q.SetEdns0(packetSize, true)
	return q
}

// answers reports a reply to this very question. Servers that do not understand
// one may leave it out of their refusal.
func answers(m, q *dns.Msg) bool {
	if !m.Response || m.Id != q.Id || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	got, want := m.Question[0], q.Question[0]
	return len(m.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

// exchange asks one question and waits for the reply.
func (p *peer) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	q := newQuestion(name, qtype)
	if p.Transport == UDP {
		m, err := p.byPacket(ctx, q)
		if err != nil || !m.Truncated {
			return m, err
		}
	}
	return p.byStream(ctx, q)
}

// byPacket asks over UDP, from a port of its own, and again when nothing comes.
func (p *peer) byPacket(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "udp", p.Address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	conn := &dns.Conn{Conn: raw, UDPSize: packetBuffer}
	defer endWith(ctx, raw)()
	noise := 0
	for wait := resendAfter; ; wait *= 2 {
		if err := conn.WriteMsg(q); err != nil {
			return nil, ended(ctx, err)
		}
		m, err := readPacket(ctx, conn, q, wait, &noise)
		deadline, ok := ctx.Deadline()
		again := errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !(ok && time.Now().After(deadline))
		if !again {
			return m, ended(ctx, err)
		}
	}
}

// readPacket waits for the reply for a while. Packets that answer something
// else are passed over: anybody can send one.
func readPacket(ctx context.Context, conn *dns.Conn, q *dns.Msg, wait time.Duration, noise *int) (*dns.Msg, error) {
	until := time.Now().Add(wait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	if err := conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // it may have ended just before the deadline was set anew
		return nil, ctx.Err()
	}
	for ; *noise < maxNoise; *noise++ {
		var header dns.Header
		packet, err := conn.ReadMsgHeader(&header)
		if errors.Is(err, dns.ErrShortRead) || err == nil && header.Id != q.Id {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		if err := m.Unpack(packet); err != nil {
			return nil, fmt.Errorf("the reply cannot be read: %w", err)
		}
		if answers(m, q) {
			return m, nil
		}
	}
	return nil, errNoise
}

// byStream asks over TCP or TLS, on an idle connection if there is one. The
// resolver may have closed that meanwhile; then a fresh one is opened.
func (p *peer) byStream(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	if conn := p.pool.take(); conn != nil {
		if m, err := p.converse(ctx, conn, q); err == nil || ctx.Err() != nil {
			return m, err
		}
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return p.converse(ctx, conn, q)
}

func (p *peer) dial(ctx context.Context) (net.Conn, error) {
	if p.Transport == TLS {
		return (&tls.Dialer{Config: p.TLS}).DialContext(ctx, "tcp", p.Address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", p.Address)
}

// converse asks on a connection, and keeps it for the next question unless
// something is wrong with it.
func (p *peer) converse(ctx context.Context, raw net.Conn, q *dns.Msg) (m *dns.Msg, err error) {
	stop := endWith(ctx, raw)
	defer func() {
		if stop() && err == nil {
			p.pool.put(raw)
			return
		}
		raw.Close()
	}()
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	conn := &dns.Conn{Conn: raw}
	if err := conn.WriteMsg(q); err != nil {
		return nil, ended(ctx, err)
	}
	m, err = conn.ReadMsg()
	switch {
	case err != nil && m != nil:
		return nil, fmt.Errorf("the reply cannot be read: %w", err)
	case err != nil:
		return nil, ended(ctx, err)
	case !answers(m, q):
		return nil, errOther
	}
	return m, nil
}

// endWith makes reads and writes fail once ctx has ended. The function that it
// gives ends the watch, and reports whether that was before ctx did.
func endWith(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// ended says of an error that it was for lack of time, where it was.
func ended(ctx context.Context, err error) error {
	switch cause := ctx.Err(); {
	case err == nil:
		return nil
	case cause != nil:
		return fmt.Errorf("no reply in time: %w", cause)
	case errors.Is(err, os.ErrDeadlineExceeded): // which is ctx's, a moment before ctx knows
		return fmt.Errorf("no reply in time: %w", context.DeadlineExceeded)
	}
	return err
}
