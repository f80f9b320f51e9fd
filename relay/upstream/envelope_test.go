package upstream

import (
	"errors"
	"strings"
	"testing"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// fakeSealed passes for what smime seals, where only the envelope matters.
func fakeSealed(t testing.TB) Body {
	b := sampleBody(t)
	b.sealed = true
	return b
}

// What an envelope asks for, what the server offers, and what is said.
func TestParameters(t *testing.T) {
	full := func(e *Envelope) {
		e.Ret, e.EnvID = "HDRS", "a+b=c d"
		e.To[0].Notify, e.To[0].ORcpt = []string{"SUCCESS", "DELAY"}, "rfc822;anna+x@example.org"
	}
	for _, c := range []struct {
		name   string
		change func(e *Envelope)
		sealed bool
		offers []string
		mail   string // behind MAIL FROM:<bank@example.com>
		rcpt   string // behind RCPT TO:<anna@example.org>
		code   int
		detail reply.Enhanced
		why    reason.Token
	}{
		{name: "nothing offered", change: full},
		{name: "all offered", change: full, offers: []string{"SIZE", "DSN", "SMTPUTF8", "8BITMIME"},
			mail: " SIZE=47 RET=HDRS ENVID=a+2Bb+3Dc+20d", rcpt: " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;anna+2Bx@example.org"},
		{name: "utf-8 ORCPT", change: func(e *Envelope) { e.To[0].ORcpt = `utf-8;\x{E4}nne@example.org` }, offers: []string{"dsn"},
			rcpt: ` ORCPT=utf-8;\x{E4}nne@example.org`},
		{name: "line end in ENVID and ORCPT", change: func(e *Envelope) { e.EnvID, e.To[0].ORcpt = "a\r\nb", "rfc822;ä\r\nDATA" }, offers: []string{"DSN"},
			mail: " ENVID=a+0D+0Ab", rcpt: " ORCPT=rfc822;+C3+A4+0D+0ADATA"},
		{name: "8-bit", change: func(e *Envelope) { e.Body = "8bitmime" }, offers: []string{"8BITMIME"}, mail: " BODY=8BITMIME"},
		{name: "7-bit", change: func(e *Envelope) { e.Body = "7BIT" }, offers: []string{"8BITMIME"}, mail: " BODY=7BIT"},
		{name: "7-bit, unknown", change: func(e *Envelope) { e.Body = "7BIT" }},
		{name: "8-bit refused", change: func(e *Envelope) { e.Body = "8BITMIME" }, code: 554, detail: reply.Enhanced{5, 6, 3}, why: reason.UpstreamLacks},
		{name: "8-bit sealed", change: func(e *Envelope) { e.Body = "8BITMIME" }, sealed: true},
		{name: "binary sealed", change: func(e *Envelope) { e.Body = "BINARYMIME" }, sealed: true, offers: []string{"8BITMIME"}, mail: " BODY=8BITMIME"},
		{name: "binary refused", change: func(e *Envelope) { e.Body = "BINARYMIME" }, offers: []string{"8BITMIME", "BINARYMIME"}, code: 554, detail: reply.Enhanced{5, 6, 3}, why: reason.UpstreamLacks},
		{name: "SMTPUTF8 refused", change: func(e *Envelope) { e.UTF8 = true }, code: 550, detail: reply.Enhanced{5, 6, 7}, why: reason.UpstreamLacks},
		{name: "address beyond ASCII", change: func(e *Envelope) { e.From = mailbox(t, "bänk@example.com") }, code: 550, detail: reply.Enhanced{5, 6, 7}, why: reason.UpstreamLacks},
		{name: "REQUIRETLS refused", change: func(e *Envelope) { e.RequireTLS = true }, offers: []string{"REQUIRETLS"}, code: 550, detail: reply.Enhanced{5, 7, 30}, why: reason.UpstreamLacks},
		{name: "too large", change: func(*Envelope) {}, offers: []string{"SIZE 46"}, code: 552, detail: reply.Enhanced{5, 3, 4}, why: reason.MessageTooLarge},
		{name: "just fits", change: func(*Envelope) {}, offers: []string{"SIZE 47"}, mail: " SIZE=47"},
		{name: "SIZE without limit", change: func(*Envelope) {}, offers: []string{"SIZE 0"}, mail: " SIZE=47"},
		{name: "bad NOTIFY", change: func(e *Envelope) { e.To[0].Notify = []string{"NEVER\r\nDATA"} }, code: 501, detail: reply.Enhanced{5, 5, 4}, why: reason.ProtocolError},
		{name: "bad RET", change: func(e *Envelope) { e.Ret = "ALL" }, code: 501, detail: reply.Enhanced{5, 5, 4}, why: reason.ProtocolError},
		{name: "bad BODY", change: func(e *Envelope) { e.Body = "9BIT" }, code: 501, detail: reply.Enhanced{5, 5, 4}, why: reason.ProtocolError},
		{name: "bad ORCPT", change: func(e *Envelope) { e.To[0].ORcpt = "rfc 822;x" }, code: 501, detail: reply.Enhanced{5, 5, 4}, why: reason.ProtocolError},
		{name: "null recipient", change: func(e *Envelope) { e.To = append(e.To, Rcpt{}) }, code: 501, detail: reply.Enhanced{5, 1, 3}, why: reason.AddressInvalid},
		{name: "nobody", change: func(e *Envelope) { e.To = nil }, code: 554, detail: reply.Enhanced{5, 5, 1}, why: reason.ProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{ehlo: c.offers}
			client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
			e, b := envelope(t, "anna@example.org"), sampleBody(t)
			if c.change(&e); c.sealed {
				b = fakeSealed(t)
			}
			out, err := client.Send(t.Context(), e, b)
			if c.code != 0 {
				_, r := failure(t, err)
				if r.Reply.Code != c.code || r.Reply.Enhanced != c.detail || r.Reason != c.why || strings.Contains(f.commands(), "MAIL") {
					t.Errorf("%v (%s): %s", err, r.Reason, f.commands())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "EHLO relay.example|MAIL FROM:<bank@example.com>" + c.mail + "|RCPT TO:<anna@example.org>" + c.rcpt + "|DATA"
			if got := f.commands(); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if out.DSNDropped != (c.name == "nothing offered") {
				t.Errorf("DSNDropped %v", out.DSNDropped)
			}
		})
	}
}

func TestAddressesOnTheWire(t *testing.T) {
	f := &fake{ehlo: []string{"SMTPUTF8"}}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	e := envelope(t, `"a b"@example.org`, "änne@bücher.example", "x@[192.0.2.1]")
	e.From = mailbox(t, "o'neil@example.com")
	if _, err := client.Send(t.Context(), e, sampleBody(t)); err != nil {
		t.Fatal(err)
	}
	want := `MAIL FROM:<o'neil@example.com> SMTPUTF8|RCPT TO:<"a b"@example.org>|RCPT TO:<änne@bücher.example>|RCPT TO:<x@[192.0.2.1]>|DATA`
	if got := f.commands(); !strings.HasSuffix(got, want) {
		t.Error(got)
	}
	e = envelope(t, "anna@example.org")
	e.From = Envelope{}.From
	if _, err := client.Send(t.Context(), e, sampleBody(t)); err != nil || !strings.HasSuffix(f.commands(), "MAIL FROM:<>|RCPT TO:<anna@example.org>|DATA") {
		t.Errorf("%v: %s", err, f.commands())
	}
}

func TestXForward(t *testing.T) {
	who := Attributes{Name: "pc 1.example", Addr: "2001:db8::1", Port: "4711", Proto: "ESMTP", Helo: "pc=1\r\nDATA", Source: "REMOTE"}
	for _, c := range []struct{ offers, says, want string }{
		{"XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", "",
			"EHLO relay.example|XFORWARD NAME=pc+201.example ADDR=IPV6:2001:db8::1 PORT=4711|XFORWARD PROTO=ESMTP HELO=pc+3D1+0D+0ADATA IDENT=[UNAVAILABLE] SOURCE=REMOTE|MAIL"},
		{"XFORWARD addr NEWER", "", "EHLO relay.example|XFORWARD ADDR=IPV6:2001:db8::1|MAIL"},
		{"XFORWARD PROTO", "550 5.7.1 Not you", "EHLO relay.example|XFORWARD PROTO=ESMTP|MAIL"},
		{"DSN", "", "EHLO relay.example|MAIL"},
	} {
		f := &fake{ehlo: []string{"PIPELINING", c.offers}, answer: at("XFORWARD", c.says)}
		client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
		e := envelope(t, "anna@example.org")
		e.XForward = who
		if _, err := client.Send(t.Context(), e, sampleBody(t)); err != nil {
			t.Error(err)
		}
		if got := f.commands(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.offers, got)
		}
		e.XForward = Attributes{}
		if _, err := client.Send(t.Context(), e, sampleBody(t)); err != nil || strings.HasSuffix(f.commands(), "XFORWARD|") {
			t.Error(err)
		}
		if n := strings.Count(f.commands(), "XFORWARD"); n != strings.Count(c.want, "XFORWARD") {
			t.Errorf("said for a message without attributes: %s", f.commands())
		}
	}
}

func TestHelo(t *testing.T) {
	f := &fake{answer: at("EHLO", "502 5.5.1 What?")}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	send(t, client)
	if got := f.commands(); got != "EHLO relay.example|HELO relay.example|MAIL FROM:<bank@example.com>|RCPT TO:<anna@example.org>|DATA" {
		t.Error(got)
	}
}

func TestProbe(t *testing.T) {
	f := &fake{ehlo: []string{"PIPELINING", "size 1000", "XFORWARD NAME"}}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}, {Address: "127.0.0.1:1"}}})
	got := client.Probe(t.Context())
	if p := got[0]; p.Err != nil || p.MaxSize != 1000 || strings.Join(p.Extensions, " ") != "PIPELINING SIZE XFORWARD" {
		t.Errorf("%+v", p)
	}
	var fail *Failure
	if p := got[1]; !errors.As(p.Err, &fail) || fail.Server != "127.0.0.1:1" || fail.Stage != StageConnect {
		t.Errorf("%+v", p)
	}
	client.Close()
	if got := client.Probe(t.Context()); len(got) != 2 || got[0].Err == nil {
		t.Errorf("after Close: %+v", got)
	}
}
