package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// proxyHeader is a PROXY protocol header, version 2, in its binary form.
func proxyHeader(from, to string) string {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	family := byte(0x11) // TCP over IPv4
	if src.Addr().Is6() {
		family = 0x21
	}
	addresses := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	addresses = binary.BigEndian.AppendUint16(addresses, src.Port())
	addresses = binary.BigEndian.AppendUint16(addresses, dst.Port())
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, family)
	return string(append(binary.BigEndian.AppendUint16(b, uint16(len(addresses))), addresses...))
}

// origins are the ways to tell where a message comes from: what stands in
// Received, and what Postfix hears by XFORWARD.
var origins = []struct {
	name     string
	balanced bool     // at the listener behind a load balancer
	before   string   // sent before the greeting
	commands []string // after EHLO; a 220 greets anew
	received string
	heard    string // in Postfix's log
}{
	{name: "the connection itself", received: "from mailer.bank.example ([127.0.0.1])\r\n\tby relay", heard: "orig_client=unknown[127.0.0.1]"},
	{name: "XCLIENT", commands: []string{"XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=4711"},
		received: "from mailer.bank.example (spike.example [192.0.2.7])\r\n\tby relay", heard: "orig_client=spike.example[192.0.2.7]"},
	{name: "XCLIENT, IPv6", commands: []string{"XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7"},
		received: "from mailer.bank.example ([IPv6:2001:db8::7])\r\n\tby relay", heard: "orig_client=unknown[2001:db8::7]"},
	{name: "XCLIENT without an address", commands: []string{"XCLIENT LOGIN=anna ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]"},
		received: "from mailer.bank.example ([unknown])\r\n\tby relay", heard: "orig_client=unknown\n"},
	{name: "XFORWARD", commands: []string{"XFORWARD NAME=spike.example ADDR=192.0.2.8 PORT=4711", "XFORWARD HELO=pc1 PROTO=SMTP IDENT=4ABC SOURCE=REMOTE"},
		received: "from mailer.bank.example ([127.0.0.1])\r\n\t(for spike.example [192.0.2.8])\r\n\tby relay",
		heard:    "orig_queue_id=4ABC, orig_client=spike.example[192.0.2.8]"},
	{name: "PROXY 1", balanced: true, before: "PROXY TCP4 192.0.2.9 192.0.2.1 4711 25\r\n",
		received: "from mailer.bank.example ([192.0.2.9])\r\n\tby relay", heard: "orig_client=unknown[192.0.2.9]"},
	{name: "PROXY 2", balanced: true, before: proxyHeader("192.0.2.10:4711", "192.0.2.1:25"),
		received: "from mailer.bank.example ([192.0.2.10])\r\n\tby relay", heard: "orig_client=unknown[192.0.2.10]"},
	{name: "PROXY 2, IPv6", balanced: true, before: proxyHeader("[2001:db8::9]:4711", "[2001:db8::1]:25"),
		received: "from mailer.bank.example ([IPv6:2001:db8::9])\r\n\tby relay", heard: "orig_client=unknown[2001:db8::9]"},
}

// What a trusted peer tells of the client stands in Received, counts for who
// may relay, and goes on to a Postfix that takes it.
func TestOriginIsToldOn(t *testing.T) {
	in, balanced := newInstallation(t, "anna@example.org"), testkit.FreeAddr(t)
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "smtpd_authorized_xforward_hosts = 127.0.0.0/8\ninet_protocols = all\n"})
	in.configure(t, postfix.Addr, fmt.Sprintf(`listen:
  - {address: %q, networks: [127.0.0.0/8, 192.0.2.0/24, "2001:db8::/32"], xforward: [127.0.0.0/8]}
  - {address: %q, networks: [192.0.2.0/24, "2001:db8::/32"], proxy: [127.0.0.0/8]}
`, in.addr, balanced))
	in.start(t)
	message, ipv6 := sampleMail(testkit.NewCanary(t)), hasIPv6()
	for i, o := range origins {
		t.Run(o.name, func(t *testing.T) {
			d := in.come(t, map[bool]string{false: in.addr, true: balanced}[o.balanced], o.before)
			for _, c := range o.commands {
				if strings.HasPrefix(d.say(t, "2", c), "220") {
					d.say(t, "250", "EHLO mailer.bank.example")
				}
			}
			if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
				t.Fatal(got)
			}
			got := postfix.WaitDelivered(t, i+1)[i]
			if !strings.Contains(string(got.Raw), "Received: "+o.received) {
				t.Errorf("no %q in\n%.900s", o.received, got.Raw)
			}
			if ipv6 || !strings.Contains(o.heard, "2001:") {
				postfix.WaitLog(t, o.heard)
			}
		})
	}
	d := in.come(t, balanced, "PROXY TCP4 198.51.100.1 192.0.2.1 4711 25\r\n")
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "550 5.7.1", "RCPT TO:<anna@example.org>")
	d = in.dialog(t, connect(t, balanced))
	d.send(t, "EHLO mailer.bank.example\r\n")
	if text, err := d.r.ReadString('\n'); err == nil {
		t.Errorf("behind the load balancer, without its header: %q", text)
	}
}

// hasIPv6 reports whether this machine speaks IPv6 at all. Postfix refuses its
// addresses where it does not.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// come connects and greets; before goes out first.
func (in *installation) come(t testing.TB, addr, before string) *dialog {
	t.Helper()
	d := in.dialog(t, connect(t, addr))
	d.send(t, before)
	d.expect(t, "220")
	d.say(t, "250", "EHLO mailer.bank.example")
	return d
}

// Postfix in front tells Sealpost, and Sealpost tells Postfix behind.
func TestOriginFromPostfixToPostfix(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	back := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "smtpd_authorized_xforward_hosts = 127.0.0.0/8\n"})
	in.configure(t, back.Addr, "listen:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], xforward: [127.0.0.0/8]}\n")
	in.start(t)
	front := testkit.StartPostfix(t, testkit.PostfixOptions{
		Relay: in.addr,
		Main:  "smtp_send_xforward_command = yes\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\nmynetworks = 127.0.0.0/8, 192.0.2.0/24\n",
	})
	d := dialSMTP(t, front.Addr)
	d.say(t, "220", "XCLIENT NAME=spike.example ADDR=192.0.2.7 PORT=4711 HELO=pc1 PROTO=ESMTP")
	d.say(t, "250", "EHLO pc1")
	message := sampleMail(testkit.NewCanary(t))
	d.submit(t, message, "anna@example.org")
	got := back.WaitDelivered(t, 1)[0]
	in.opened(t, got.Raw, got.To, message)
	if !strings.Contains(string(got.Raw), "Received: from postfix.example ([127.0.0.1])\r\n\t(for spike.example [192.0.2.7])\r\n\tby relay.bank.example (Sealpost) ") {
		t.Errorf("Received does not name the client:\n%.900s", got.Raw)
	}
	back.WaitLog(t, "orig_client=spike.example[192.0.2.7]")
}
