package intake

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

func TestXForward(t *testing.T) {
	h := open(t, func(o *Options) { o.XForward = loopback() })
	c := h.call(t)
	c.say("XFORWARD NAME=x", "503 5.5.1 Greet first (protocol-error)")
	if ext := c.hello("EHLO"); !slices.Contains(ext, "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE") {
		t.Fatalf("XFORWARD is not offered: %v", ext)
	}
	c.say("XFORWARD NAME=spike.example ADDR=IPV6:2001:db8::1 PORT=45678", "250 2.0.0 OK")
	c.say("XFORWARD PROTO=ESMTP HELO=a+20b IDENT=4ABC SOURCE=remote", "250 2.0.0 OK")
	for _, bad := range []string{"", "NAME", "NAME=", "FOO=x", "ADDR=here", "ADDR=fe80::1%eth0", "PORT=70000", "SOURCE=ELSEWHERE", "NAME=a+0Ab", "NAME=" + strings.Repeat("x", 256)} {
		c.say("XFORWARD "+bad, "501 5.5.4 Bad attribute (protocol-error)")
	}
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	c.say("XFORWARD NAME=x", "503 5.5.1 Not during a mail transaction (protocol-error)")
	c.say("RSET", "250 2.0.0 OK")
	c.say("XFORWARD NAME=[UNAVAILABLE]", "250 2.0.0 OK")
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	want := Attributes{Name: "spike.example", Addr: "2001:db8::1", Port: "45678", Proto: "ESMTP", Helo: "a b", Ident: "4ABC", Source: "REMOTE"}
	if got := h.box.client(0).XForward; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := h.box.client(1).XForward; got != (Attributes{}) { // nothing stays from the transaction before
		t.Errorf("left over: %+v", got)
	}
}

func TestXClient(t *testing.T) {
	h := open(t, func(o *Options) { o.XClient = loopback() })
	c := h.call(t)
	c.hello("EHLO")
	c.say("XCLIENT ADDR=192.0.2.7 FOO=1", "501 5.5.4 Bad attribute (protocol-error)")
	c.say("XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=4000 LOGIN=anna HELO=x PROTO=ESMTP DESTADDR=192.0.2.1 DESTPORT=25", "220 relay.example ESMTP Sealpost")
	c.say("MAIL FROM:<anna@example.org>", "503 5.5.1 Greet first (protocol-error)")
	c.hello("EHLO")
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	got := h.box.client(0)
	if got.Remote.String() != "192.0.2.7:4000" || got.Name != "spike.example" || got.User != "anna" || !strings.HasPrefix(got.Local.String(), "192.0.2.1:") {
		t.Errorf("client: %+v", got)
	}
	c.say("RSET", "250 2.0.0 OK")
	c.say("XCLIENT ADDR=[UNAVAILABLE]", "220 relay.example ESMTP Sealpost")
	c.hello("EHLO")
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	if got := h.box.client(1); got.Remote.Addr().IsValid() {
		t.Errorf("a client without an address has %v", got.Remote)
	}
}

func TestProxyProtocol(t *testing.T) {
	h := open(t, func(o *Options) { o.Proxy, o.XClient = loopback(), loopback() })
	from, to := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25}
	for i, version := range []byte{1, 2} {
		c := h.dial(t)
		if _, err := proxyproto.HeaderProxyFromAddrs(version, from, to).WriteTo(c); err != nil {
			t.Fatal(err)
		}
		c.expect("220 relay.example ESMTP Sealpost")
		// The balancer may use XCLIENT; who comes through it may not.
		if ext := c.hello("EHLO"); slices.ContainsFunc(ext, func(s string) bool { return strings.HasPrefix(s, "XCLIENT") }) {
			t.Errorf("XCLIENT is offered to a stranger: %v", ext)
		}
		c.say("XCLIENT ADDR=127.0.0.1", "550 5.7.1 Insufficient authorization (relay-denied)")
		c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
		if got := h.box.client(i); got.Remote.String() != "192.0.2.7:4000" || got.Local.String() != "192.0.2.1:25" {
			t.Errorf("version %d: %v to %v", version, got.Remote, got.Local)
		}
	}
	c := h.dial(t) // a health check
	if _, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL}).WriteTo(c); err != nil {
		t.Fatal(err)
	}
	c.expect("220 relay.example ESMTP Sealpost")
}

func TestProxyHeaderIsRequired(t *testing.T) {
	h := open(t, func(o *Options) { o.Proxy = loopback(); o.Timeouts.Proxy = time.Millisecond })
	for _, first := range []string{"", "EHLO client.example\r\n", "PROXY TCP4 nonsense\r\n"} {
		c := h.dial(t)
		c.send(first)
		if line, err := c.r.ReadString('\n'); err == nil {
			t.Errorf("%q: %s", first, line)
		}
	}
}

// From anybody else a PROXY header is just an unknown command.
func TestProxyHeaderFromStrangers(t *testing.T) {
	h := open(t, func(o *Options) { foreignX(o); o.Proxy = o.XClient })
	c := h.call(t)
	c.say("PROXY TCP4 192.0.2.7 192.0.2.1 4000 25", "500 5.5.2 Command not recognized (protocol-error)")
}
