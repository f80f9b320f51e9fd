package main

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// An mta is a mail system on one side of Sealpost.
type mta struct {
	addr string
	sink *testkit.Sink // behind it; nil: it relays to us
	log  func(testing.TB) string
}

// mtas start the real ones. next is where they relay to; "": to a sink.
var mtas = []struct {
	name  string
	start func(t *testing.T, next string, tls *testkit.Identity) mta
	tls   string // how Sealpost is to go there when it offers STARTTLS
	bdat  bool
}{
	{"Exim", func(t *testing.T, next string, tls *testkit.Identity) mta {
		e := testkit.StartExim(t, testkit.EximOptions{Relay: next, TLS: tls})
		return mta{e.Addr, e.Sink, e.Log}
	}, verifiedTLS, true},
	{"Exim without CHUNKING", func(t *testing.T, next string, tls *testkit.Identity) mta {
		e := testkit.StartExim(t, testkit.EximOptions{Relay: next, TLS: tls, NoChunking: true})
		return mta{e.Addr, e.Sink, e.Log}
	}, verifiedTLS, false},
	{"OpenSMTPD", func(t *testing.T, next string, tls *testkit.Identity) mta {
		o := testkit.StartOpenSMTPD(t, testkit.OpenSMTPDOptions{Relay: next, TLS: tls})
		return mta{o.Addr, o.Sink, o.Log}
	}, "tls: opportunistic", false},
}

// Debian 12's OpenSMTPD offers STARTTLS and then breaks the handshake (its
// keys are kept in another process, by an engine that OpenSSL 3 does not ask):
// what opportunistic TLS is for.
const verifiedTLS = "tls: require, server_name: mx.example, tls_roots: [root.pem]"

// longMail is a message of many chunks.
func longMail(canary testkit.Canary) string {
	return sampleMail(canary) + strings.Repeat(".the epilogue goes on and on, behind the last boundary\r\n", 6000)
}

// Exim and OpenSMTPD as upstream: with their TLS and without, on one connection
// after the other.
func TestOtherMailSystemsUpstream(t *testing.T) {
	for _, m := range mtas {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", m.name, secure), func(t *testing.T) {
				t.Parallel()
				in := newInstallation(t, "anna@example.org", "bert@example.org")
				var id *testkit.Identity
				upstream := "tls: none"
				if secure {
					id = in.ca.Issue(t, testkit.Leaf{DNSNames: []string{"mx.example"}, Key: "rsa2048", ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
					upstream = m.tls
				}
				peer := m.start(t, "", id)
				in.configure(t, "", "upstream:\n  - {address: \""+peer.addr+"\", "+upstream+"}\n")
				in.start(t)
				canary := testkit.NewCanary(t)
				d := in.dial(t)
				for _, message := range []string{sampleMail(canary), longMail(canary)} {
					before := len(peer.sink.Messages())
					if got := d.submit(t, message, "anna@example.org", "bert@example.org"); !strings.HasPrefix(got, "250 ") {
						t.Fatal(got)
					}
					for _, out := range peer.sink.Wait(t, before+2)[before:] {
						in.opened(t, out.Raw, out.To[0].Address, message)
					}
				}
				in.nowhere(t, canary, peer.sink.Wire(), []byte(peer.log(t)))
				for line := range strings.Lines(peer.log(t)) {
					if strings.Contains(line, " <= ") && strings.Contains(line, " K ") != m.bdat {
						t.Errorf("CHUNKING offered: %v, but Exim says: %s", m.bdat, line)
					}
				}
			})
		}
	}
}

// Exim and OpenSMTPD in front: they accept, and relay through Sealpost, by TLS
// where it offers that.
func TestOtherMailSystemsInFront(t *testing.T) {
	for _, m := range mtas {
		for mode, with := range map[string]string{"none": " with ESMTP id ", "starttls": " with ESMTPS id "} {
			if strings.Contains(m.name, "without") {
				continue // what it offers is of no matter here
			}
			t.Run(m.name+", TLS "+mode, func(t *testing.T) {
				t.Parallel()
				in := newInstallation(t, "anna@example.org", "bert@example.org")
				sink := testkit.StartSink(t, testkit.SinkOptions{})
				in.behind(t, sink.Addr, mode)
				peer := m.start(t, in.addr, nil)
				canary := testkit.NewCanary(t)
				d := dialSMTP(t, peer.addr)
				for _, message := range []string{plainMail(canary, 1), plainMail(canary, 5000)} {
					before := len(sink.Messages())
					if got := d.submit(t, message, "anna@example.org", "bert@example.org"); !strings.HasPrefix(got, "250 ") {
						t.Fatal(got)
					}
					for _, out := range sink.Wait(t, before+2)[before:] {
						in.opened(t, out.Raw, out.To[0].Address, message)
						if !strings.Contains(string(out.Raw), with) {
							t.Errorf("no %q:\n%.600s", with, out.Raw)
						}
					}
				}
				in.nowhere(t, canary, sink.Wire(), []byte(peer.log(t)))
				if m.bdat { // it logs a delivery some time after the sink has it
					testkit.Poll(t, "BDAT in the log of "+m.name, func() bool { return strings.Count(peer.log(t), " K ") >= 2 })
				}
				d.submit(t, plainMail(canary, 1), "nobody@example.org")
				testkit.Poll(t, "the reason in the log", func() bool { return strings.Contains(peer.log(t), "(no-certificate)") })
			})
		}
	}
}

// behind starts Sealpost for a mail system in front.
func (in *installation) behind(t *testing.T, upstream, mode string) {
	t.Helper()
	listen := "mode: none"
	if mode != "none" {
		in.serverCertificate(t)
		listen = "mode: " + mode + ", cert: relay.pem, key: relay.key"
	}
	in.configure(t, upstream, "on_trouble: defer\nlisten:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], tls: {"+listen+"}}\n")
	in.start(t)
}

// plainMail is 7-bit, which every mail system passes on as it is.
func plainMail(canary testkit.Canary, lines int) string {
	return "From: Example Bank <statements@bank.example>\r\nTo: Anna <anna@example.org>\r\nSubject: Your statement\r\n" +
		"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <43@bank.example>\r\n" +
		"Content-Type: text/plain\r\n\r\n" + strings.Repeat(".your balance is "+string(canary)+"\r\n", lines)
}

// While upstream is away nothing is lost and nothing comes twice: Exim keeps
// the message and brings it again.
func TestEximKeepsWhatWeDefer(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	next := testkit.FreeAddr(t)
	in.behind(t, next, "none")
	exim := testkit.StartExim(t, testkit.EximOptions{Relay: in.addr})
	canary := testkit.NewCanary(t)
	message := plainMail(canary, 3)
	dialSMTP(t, exim.Addr).submit(t, message, "anna@example.org")
	exim.WaitLog(t, "(upstream-unreachable)")
	sink := testkit.StartSink(t, testkit.SinkOptions{Addr: next})
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	exim.WaitLog(t, " Completed")
	if n := len(sink.Messages()); n != 1 {
		t.Errorf("%d messages came", n)
	}
	in.nowhere(t, canary, sink.Wire())
}
