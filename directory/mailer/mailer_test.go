package mailer_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"sealpost/directory/mailer"
	"sealpost/internal/address"
	"sealpost/internal/testkit"
)

const message = "From: <keys@example.com>\r\nSubject: a notice\r\n\r\n.a line with a dot\r\n"

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	if s == "" {
		return address.Address{}
	}
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func send(t testing.TB, m *mailer.Mailer, from, to string) error {
	t.Helper()
	return m.Send(t.Context(), parse(t, from), parse(t, to), []byte(message))
}

func TestSend(t *testing.T) {
	ca := testkit.NewCA(t)
	for name, c := range map[string]struct {
		sink   testkit.SinkOptions
		mailer mailer.Mailer
	}{
		"plain":    {},
		"STARTTLS": {testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example")}, mailer.Mailer{TLS: mailer.TLSRequire, Config: ca.ClientTLS("mx.example")}},
		"implicit": {testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example"), Implicit: true}, mailer.Mailer{TLS: mailer.TLSImplicit, Config: ca.ClientTLS("mx.example")}},
		"AUTH": {testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example"), NeedAuth: true, Users: map[string]string{"keys": "sesame"}},
			mailer.Mailer{TLS: mailer.TLSRequire, Config: ca.ClientTLS("mx.example"), Username: "keys", Password: "sesame"}},
	} {
		t.Run(name, func(t *testing.T) {
			sink := testkit.StartSink(t, c.sink)
			c.mailer.Address, c.mailer.Hostname = sink.Addr, "keys.example.com"
			for _, to := range []string{"anna@example.org", "jörg@example.org"} {
				if err := send(t, &c.mailer, "keys@example.com", to); err != nil {
					t.Fatal(err)
				}
			}
			if err := send(t, &c.mailer, "", "bert@example.net"); err != nil {
				t.Fatal(err)
			}
			if err := c.mailer.Probe(t.Context()); err != nil {
				t.Errorf("probe: %v", err)
			}
			got := sink.Wait(t, 3)
			if string(got[0].Raw) != message || got[0].From != "keys@example.com" || got[0].To[0].Address != "anna@example.org" ||
				got[0].TLS != (c.sink.TLS != nil) || got[0].UTF8 || got[0].User != c.mailer.Username {
				t.Errorf("%+v", got[0])
			}
			if !got[1].UTF8 || got[2].From != "" {
				t.Errorf("%+v", got[1:])
			}
		})
	}
}

func TestSendFails(t *testing.T) {
	ca := testkit.NewCA(t)
	client := ca.ClientTLS("mx.example")
	for name, c := range map[string]struct {
		sink   testkit.SinkOptions
		mailer mailer.Mailer
		from   string
		to     string
		is     func(error) bool
		probe  bool // finds it too
	}{
		"no TLS":        {probe: true, mailer: mailer.Mailer{TLS: mailer.TLSRequire, Config: client}},
		"another name":  {probe: true, sink: testkit.SinkOptions{TLS: ca.ServerTLS(t, "other.example")}, mailer: mailer.Mailer{TLS: mailer.TLSRequire, Config: client}},
		"not trusted":   {probe: true, sink: testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example")}, mailer: mailer.Mailer{TLS: mailer.TLSRequire}},
		"no SMTPUTF8":   {sink: testkit.SinkOptions{Minimal: true}, to: "jörg@example.org"},
		"AUTH in clear": {probe: true, sink: testkit.SinkOptions{Users: map[string]string{"keys": "sesame"}}, mailer: mailer.Mailer{Username: "keys", Password: "sesame"}, is: isAuth},
		"no AUTH": {probe: true, sink: testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example")},
			mailer: mailer.Mailer{TLS: mailer.TLSRequire, Config: client, Username: "keys", Password: "sesame"}, is: isAuth},
		"wrong password": {probe: true, sink: testkit.SinkOptions{TLS: ca.ServerTLS(t, "mx.example"), Users: map[string]string{"keys": "other"}},
			mailer: mailer.Mailer{TLS: mailer.TLSRequire, Config: client, Username: "keys", Password: "sesame"}, is: isReply(535)},
		"sender refused":    {from: "554@example.com", is: isReply(554)},
		"recipient refused": {to: "550@example.org", is: isReply(550)},
		"later":             {to: "451@example.org", is: isReply(451)},
		"data refused":      {to: "data-552@example.org", is: isReply(552)},
		"cut":               {to: "drop@example.org"},
		"cut at the end":    {to: "data-drop@example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			sink := testkit.StartSink(t, c.sink)
			c.mailer.Address, c.mailer.Hostname = sink.Addr, "keys.example.com"
			if c.from == "" {
				c.from = "keys@example.com"
			}
			if c.to == "" {
				c.to = "anna@example.org"
			}
			err := send(t, &c.mailer, c.from, c.to)
			if err == nil || c.is != nil && !c.is(err) {
				t.Errorf("%v", err)
			}
			if err := c.mailer.Probe(t.Context()); (err != nil) != c.probe {
				t.Errorf("probe: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") || strings.Contains(string(sink.Wire()), "sesame") {
				t.Error("the password is to be seen")
			}
		})
	}
}

func isAuth(err error) bool { return errors.Is(err, mailer.ErrAuth) }

func isReply(code int) func(error) bool {
	return func(err error) bool {
		var reply *smtp.SMTPError
		return errors.As(err, &reply) && reply.Code == code && reply.Temporary() == (code < 500)
	}
}

// A server that is away, or says nothing, holds nobody up for longer than the
// caller wants to wait.
func TestSendEnds(t *testing.T) {
	m := &mailer.Mailer{Address: testkit.FreeAddr(t), Hostname: "keys.example.com"}
	if err := send(t, m, "keys@example.com", "anna@example.org"); err == nil {
		t.Error("sent to nobody")
	}
	l, err := net.Listen("tcp", m.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, mode := range []mailer.TLSMode{mailer.TLSNone, mailer.TLSRequire, mailer.TLSImplicit} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			m := *m
			m.TLS = mode
			done <- m.Send(ctx, parse(t, "keys@example.com"), parse(t, "anna@example.org"), []byte(message))
		}()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("sent to a server that says nothing")
		}
		conn.Close()
	}
}
