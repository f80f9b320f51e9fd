package intake

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func annaOnly(_ context.Context, user, password string) bool {
	return user == "anna" && password == "secret"
}

// tlsHouse opens a server with TLS and AUTH.
func tlsHouse(t *testing.T, mode TLSMode, change func(*Options)) (*house, *tls.Config) {
	t.Helper()
	server, client := tlsPair(t)
	h := open(t, func(o *Options) {
		o.TLS, o.TLSConfig, o.Auth = mode, func() *tls.Config { return server }, annaOnly
		if change != nil {
			change(o)
		}
	})
	return h, client
}

func TestStartTLS(t *testing.T) {
	h, config := tlsHouse(t, TLSStart, nil)
	c := h.call(t)
	if ext := c.hello("EHLO"); !slices.Contains(ext, "STARTTLS") || slices.Contains(ext, "AUTH PLAIN LOGIN") || slices.Contains(ext, "REQUIRETLS") {
		t.Fatalf("in the clear: %v", ext)
	}
	c = c.startTLS(config)
	c.say("MAIL FROM:<anna@example.org>", "503 5.5.1 Greet first (protocol-error)") // RFC 3207 section 4.2
	if ext := c.hello("EHLO"); slices.Contains(ext, "STARTTLS") || !slices.Contains(ext, "AUTH PLAIN LOGIN") || !slices.Contains(ext, "REQUIRETLS") {
		t.Fatalf("inside TLS: %v", ext)
	}
	c.say("STARTTLS", "503 5.5.1 TLS is on already (protocol-error)")
	c.say("MAIL FROM:<anna@example.org> REQUIRETLS AUTH=anna@example.org", "250 2.1.0 OK")
	c.say("RCPT TO:<bert@example.org>", "250 2.1.5 OK")
	c.say("DATA", strings.TrimSpace(go354))
	c.say("x\r\n.", "250 2.0.0 Queued")
	c.say("QUIT", "221 2.0.0 Bye")
	c.closed()
	got := h.box.client(0)
	if got.With() != "ESMTPS" || got.TLS == nil || got.TLS.Version != tls.VersionTLS13 {
		t.Errorf("client: %+v", got)
	}
	if m := h.box.taken()[0].mail; !m.RequireTLS || m.Auth != "<>" { // RFC 4954 section 5: nobody's word
		t.Errorf("mail: %+v", m)
	}
}

func TestStartTLSInMail(t *testing.T) {
	h, _ := tlsHouse(t, TLSStart, nil)
	c := h.call(t)
	c.say("STARTTLS", "503 5.5.1 Greet first (protocol-error)")
	c.hello("EHLO")
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
	c.say("STARTTLS", "503 5.5.1 Not during a mail transaction (protocol-error)")
}

// Commands sent behind STARTTLS in the clear never run, whether they come in
// the same segment or after the reply (CVE-2011-0411).
func TestStartTLSInjection(t *testing.T) {
	h, _ := tlsHouse(t, TLSStart, nil)
	c := h.call(t)
	c.hello("EHLO")
	c.send("STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
	c.expect("554 5.5.1 Commands were sent behind STARTTLS (protocol-error)")
	c.closed()

	c = h.call(t)
	c.hello("EHLO")
	c.say("STARTTLS", "220 2.0.0 Ready to start TLS")
	c.send("MAIL FROM:<evil@example.org>\r\n")
	for {
		if b, err := c.r.ReadByte(); err != nil {
			break
		} else if b == '2' {
			t.Fatal("a command in place of TLS was answered")
		}
	}
	if h.box.opened > 0 {
		t.Error("a transaction began")
	}
}

func TestImplicitTLS(t *testing.T) {
	h, config := tlsHouse(t, TLSImplicit, nil)
	nc, err := tls.Dial("tcp", h.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newCaller(t, nc)
	c.expect("220 relay.example ESMTP Sealpost")
	if ext := c.hello("EHLO"); slices.Contains(ext, "STARTTLS") {
		t.Errorf("STARTTLS inside TLS: %v", ext)
	}
	c.say("MAIL FROM:<anna@example.org>", "250 2.1.0 OK")
}

// A new certificate serves the next handshake; there is nothing to restart.
func TestCertificateReload(t *testing.T) {
	one, trustOne := tlsPair(t)
	two, trustTwo := tlsPair(t)
	var now atomic.Pointer[tls.Config]
	now.Store(one)
	h := open(t, func(o *Options) { o.TLS, o.TLSConfig = TLSStart, now.Load })
	for _, trust := range []*tls.Config{trustOne, trustTwo} {
		c := h.call(t)
		c.hello("EHLO")
		c.startTLS(trust)
		now.Store(two)
	}
	now.Store(nil)
	c := h.call(t)
	c.hello("EHLO")
	c.say("STARTTLS", "454 4.7.0 TLS not available (internal-error)")
}

func TestHandshakeTimeout(t *testing.T) {
	h, _ := tlsHouse(t, TLSImplicit, func(o *Options) { o.Timeouts.Handshake = time.Millisecond })
	h.dial(t).closed()
}

func TestAuth(t *testing.T) {
	h, config := tlsHouse(t, TLSRequire, nil)
	const ok, wrong = "235 2.7.0 Authentication successful", "535 5.7.8 Authentication credentials invalid (auth-failed)"
	for name, steps := range map[string][]string{
		"PLAIN with initial response":    {"AUTH PLAIN " + b64("\x00anna\x00secret"), ok},
		"PLAIN in two steps":             {"AUTH PLAIN", "334 ", b64("\x00anna\x00secret"), ok},
		"PLAIN, lower case":              {"auth plain " + b64("anna\x00anna\x00secret"), ok},
		"LOGIN":                          {"AUTH LOGIN", "334 VXNlcm5hbWU6", b64("anna"), "334 UGFzc3dvcmQ6", b64("secret"), ok},
		"LOGIN with initial response":    {"AUTH LOGIN " + b64("anna"), "334 UGFzc3dvcmQ6", b64("secret"), ok},
		"wrong password":                 {"AUTH PLAIN " + b64("\x00anna\x00wrong"), wrong},
		"no name":                        {"AUTH PLAIN " + b64("\x00\x00secret"), wrong},
		"for another":                    {"AUTH PLAIN " + b64("bert\x00anna\x00secret"), wrong},
		"control character":              {"AUTH LOGIN " + b64("anna\n"), "334 UGFzc3dvcmQ6", b64("secret"), wrong},
		"empty initial response":         {"AUTH PLAIN =", "501 5.5.2 Cannot decode response (protocol-error)"},
		"cancelled":                      {"AUTH LOGIN", "334 VXNlcm5hbWU6", "*", "501 5.7.0 Authentication cancelled (protocol-error)"},
		"no base64":                      {"AUTH PLAIN !!", "501 5.5.2 Cannot decode response (protocol-error)"},
		"unknown mechanism":              {"AUTH SCRAM-SHA-256", "504 5.5.4 Authentication mechanism not supported (protocol-error)"},
		"too long":                       {"AUTH PLAIN", "334 ", strings.Repeat("A", 12300), "500 5.5.6 Authentication exchange line too long (protocol-error)"},
		"long, but within the limit":     {"AUTH PLAIN", "334 ", b64("\x00anna\x00" + strings.Repeat("x", 9000)), wrong},
		"long, with an initial response": {"AUTH PLAIN " + b64("\x00anna\x00"+strings.Repeat("x", 9000)), wrong},
	} {
		t.Run(name, func(t *testing.T) {
			c := h.call(t)
			c.hello("EHLO")
			c.say("AUTH PLAIN", "538 5.7.11 Encryption required for requested authentication mechanism (auth-needs-tls)")
			c = c.startTLS(config)
			c.say("AUTH PLAIN", "503 5.5.1 Greet first (protocol-error)")
			c.hello("EHLO")
			for i := 0; i < len(steps); i += 2 {
				c.say(steps[i], steps[i+1])
			}
			if steps[len(steps)-1] != ok {
				c.say("NOOP", "250 2.0.0 OK")
				return
			}
			c.say("AUTH PLAIN", "503 5.5.1 Already authenticated (protocol-error)")
			c.say("MAIL FROM:<anna@example.org> AUTH=anna+2Bx@example.org", "250 2.1.0 OK")
			h.box.mu.Lock()
			defer h.box.mu.Unlock()
			if got := h.box.clients[len(h.box.clients)-1]; got.User != "anna" || got.With() != "ESMTPSA" {
				t.Errorf("client: %+v", got)
			}
		})
	}
}

func TestAuthFailuresAreBounded(t *testing.T) {
	calls := 0
	h, config := tlsHouse(t, TLSImplicit, func(o *Options) {
		o.Limits.AuthFailures = 4
		o.Auth = func(context.Context, string, string) bool { calls++; return false }
	})
	const wrong, blocked = "535 5.7.8 Authentication credentials invalid (auth-failed)", "421 4.7.0 Too many failed authentications (auth-failed)"
	for _, replies := range [][]string{{wrong, wrong, wrong + "\n" + blocked}, {wrong, blocked}, {blocked}} {
		nc, err := tls.Dial("tcp", h.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		c := newCaller(t, nc)
		c.expect("220 relay.example ESMTP Sealpost")
		c.hello("EHLO")
		for _, r := range replies {
			c.say("AUTH PLAIN "+b64("\x00anna\x00wrong"), strings.Split(r, "\n")...)
		}
		c.closed()
		nc.Close()
	}
	if calls != 4 {
		t.Errorf("%d passwords were tried, want 4", calls)
	}
}

func TestFailureWindow(t *testing.T) {
	f := newFailureCounter(1)
	who, now := clientPrefix(loopback()[0].Addr()), time.Unix(1000000, 0)
	if !f.begin(who, now) || f.begin(who, now) {
		t.Error("the limit is not one")
	}
	f.forgive(who)
	if !f.begin(who, now) || f.begin(who, now.Add(failureWindow)) || !f.begin(who, now.Add(failureWindow+1)) {
		t.Error("the window is wrong")
	}
}
