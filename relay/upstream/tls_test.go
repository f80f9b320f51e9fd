package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

func with(extensions []string, more ...string) []string {
	return append(append([]string(nil), extensions...), more...)
}

func TestTLSModes(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	good := ca.ServerTLS(t)
	offers := with(allExtensions, "STARTTLS")
	for _, c := range []struct {
		name     string
		server   Server
		offers   []string
		answer   func(int, int, string, string) string
		tls      bool // the message went through TLS
		verified bool
		fails    reason.Token
		conns    int
	}{
		{name: "none", server: Server{TLS: TLSNone}, offers: offers, conns: 1},
		{name: "opportunistic", server: Server{TLSConfig: ca.ClientTLS("")}, offers: offers, tls: true, verified: true, conns: 1},
		{name: "opportunistic, stranger", server: Server{TLSConfig: stranger.ClientTLS("")}, offers: offers, tls: true, conns: 1},
		{name: "opportunistic, not offered", offers: allExtensions, conns: 1},
		{name: "opportunistic, refused", offers: offers, answer: at("STARTTLS", "454 4.7.0 No"), conns: 1},
		{name: "opportunistic, refused and closed", offers: offers, answer: at("STARTTLS", "421 4.7.0 No"), fails: reason.UpstreamTLS, conns: 1},
		{name: "opportunistic, broken", offers: offers, answer: at("STARTTLS", "!raw 220 Ok\r\n"), conns: 2},
		{name: "require", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("")}, offers: offers, tls: true, verified: true, conns: 1},
		{name: "require, name", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("localhost")}, offers: offers, tls: true, verified: true, conns: 1},
		{name: "require, stranger", server: Server{TLS: TLSRequire, TLSConfig: stranger.ClientTLS("")}, offers: offers, fails: reason.UpstreamTLS, conns: 1},
		{name: "require, other name", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("mx.example.org")}, offers: offers, fails: reason.UpstreamTLS, conns: 1},
		{name: "require, not verified", server: Server{TLS: TLSRequire, TLSConfig: stranger.ClientTLS(""), NoVerify: true}, offers: offers, tls: true, conns: 1},
		{name: "require, not offered", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("")}, offers: allExtensions, fails: reason.UpstreamTLS, conns: 1},
		{name: "require, refused", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("")}, offers: offers, answer: at("STARTTLS", "454 4.7.0 No"), fails: reason.UpstreamTLS, conns: 1},
		{name: "require, lost", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("")}, offers: offers, answer: at("STARTTLS", "!drop"), fails: reason.UpstreamUnreachable, conns: 1},
		{name: "implicit to a plain server", server: Server{TLS: TLSImplicit, TLSConfig: ca.ClientTLS("")}, offers: offers, fails: reason.UpstreamTLS, conns: 1},
		// What comes in the clear behind the answer to STARTTLS (CVE-2011-0411).
		{name: "injected reply", server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("")}, offers: offers, answer: at("STARTTLS", "!raw 220 Ok\r\n250 injected\r\n"), fails: reason.UpstreamProtocol, conns: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{ehlo: c.offers, tls: good, answer: c.answer}
			if strings.HasSuffix(c.name, "broken") {
				f.tls = nil // says 220 and goes on in the clear
			}
			c.server.Address = f.listen(t)
			client := newClient(t, Options{Servers: []Server{c.server}})
			out, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
			if c.fails != reason.None {
				if _, r := failure(t, err); r.Reason != c.fails || !r.Reply.Temporary() {
					t.Errorf("%v (%s), want %s", err, r.Reason, c.fails)
				}
				if got := f.commands(); strings.Contains(got, "MAIL") {
					t.Errorf("it went on: %s", got)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if (out.TLS != "") != c.tls || out.Verified != c.verified || f.connections() != c.conns {
				t.Errorf("TLS %q, verified %v, %d connections", out.TLS, out.Verified, f.connections())
			}
			if hellos := strings.Count(f.commands(), "EHLO relay.example"); c.tls && hellos != 2 {
				t.Errorf("EHLO said %d times: %s", hellos, f.commands())
			}
		})
	}
}

// Once TLS has failed, an opportunistic server is left in peace for a while.
func TestBrokenTLSIsRemembered(t *testing.T) {
	f := &fake{ehlo: []string{"STARTTLS"}}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}, MaxIdle: -1})
	send(t, client)
	send(t, client)
	if n := strings.Count(f.commands(), "STARTTLS"); n != 1 || f.connections() != 3 {
		t.Errorf("STARTTLS said %d times over %d connections", n, f.connections())
	}
}

func TestImplicitTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{TLS: ca.ServerTLS(t), Implicit: true})
	client := newClient(t, Options{Servers: []Server{{Address: sink.Addr, TLS: TLSImplicit, TLSConfig: ca.ClientTLS("")}}})
	if out := send(t, client); !strings.HasPrefix(out.TLS, "TLS 1.3 ") || !out.Verified {
		t.Errorf("%q", out.TLS)
	}
	if out := send(t, client); !out.Reused {
		t.Error("the connection was not used again")
	}
	if got := sink.Wait(t, 2); string(got[1].Raw) != sample {
		t.Errorf("%q", got[1].Raw)
	}
}

func TestAuth(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	secret := func() (string, error) { return "s3cr3t+", nil }
	trusting, distrusting := ca.ClientTLS(""), stranger.ClientTLS("")
	for _, c := range []struct {
		name   string
		server Server
		offers string
		says   string // to AUTH
		want   string // among the commands
		fails  reason.Token
	}{
		{name: "plain", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH CRAM-MD5 PLAIN LOGIN", want: "AUTH PLAIN AHJlbGF5AHMzY3IzdCs=|MAIL"},
		{name: "login", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH=LOGIN", want: "AUTH LOGIN|cmVsYXk=|czNjcjN0Kw==|MAIL"},
		{name: "opportunistic, own machine", server: Server{TLSConfig: distrusting}, offers: "AUTH PLAIN", want: "AUTH PLAIN"},
		{name: "refused", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH PLAIN", says: "535 5.7.8 Wrong", fails: reason.UpstreamAuth},
		{name: "refused for now", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH PLAIN", says: "454 4.7.0 Later", fails: reason.UpstreamAuth},
		{name: "nonsense", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH PLAIN", says: "250 Ok", fails: reason.UpstreamProtocol},
		{name: "not offered", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "DSN", fails: reason.UpstreamAuth},
		{name: "unknown ways", server: Server{TLS: TLSRequire, TLSConfig: trusting}, offers: "AUTH GSSAPI", fails: reason.UpstreamAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{ehlo: []string{"STARTTLS", c.offers}, tls: ca.ServerTLS(t), answer: func(_, _ int, stage, line string) string {
				switch {
				case c.says != "" && stage == "AUTH":
					return c.says
				case line == "AUTH LOGIN", stage == "other" && line == "cmVsYXk=":
					return "334 Next"
				case stage == "other":
					return "235 2.7.0 Ok"
				}
				return ""
			}}
			c.server.Address, c.server.Auth = f.listen(t), &Auth{User: "relay", Password: secret}
			client := newClient(t, Options{Servers: []Server{c.server}})
			_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
			if c.fails == reason.None {
				if err != nil || !strings.Contains(f.commands(), c.want) {
					t.Errorf("%v: %s", err, f.commands())
				}
				return
			}
			if _, r := failure(t, err); r.Reason != c.fails || !r.Reply.Temporary() {
				t.Errorf("%v (%s), want %s", err, r.Reason, c.fails)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "AHJl") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

// The password stays here when the way is not safe, whatever the server says.
func TestPasswordStaysHome(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	asked := false
	auth := &Auth{User: "relay", Password: func() (string, error) { asked = true; return "s3cr3t", nil }}
	for _, c := range []struct {
		name   string
		mode   TLSMode
		offers []string
		remote string
		verify *testkit.CA
	}{
		{"no TLS offered", TLSOpportunistic, []string{"AUTH PLAIN"}, "127.0.0.1:25", ca},
		{"TLS refused", TLSOpportunistic, []string{"STARTTLS", "AUTH PLAIN"}, "127.0.0.1:25", ca},
		{"stranger far away", TLSOpportunistic, []string{"STARTTLS", "AUTH PLAIN"}, "192.0.2.1:25", stranger},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{ehlo: c.offers, tls: ca.ServerTLS(t)}
			if c.name == "TLS refused" {
				f.answer = at("STARTTLS", "454 4.7.0 No")
			}
			addr := f.listen(t)
			client := newClient(t, Options{
				Servers: []Server{{Address: addr, TLS: c.mode, TLSConfig: c.verify.ClientTLS(""), Auth: auth}},
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := new(net.Dialer).DialContext(ctx, network, addr)
					return elsewhere{nc, c.remote}, err
				},
			})
			_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
			if _, r := failure(t, err); !r.Reply.Temporary() || asked || strings.Contains(f.commands(), "|AUTH") {
				t.Errorf("%v: %s", err, f.commands())
			}
		})
	}
}

// elsewhere is a connection that says it has another peer.
type elsewhere struct {
	net.Conn
	remote string
}

func (e elsewhere) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", e.remote)
	return a
}

func TestPasswordThatCannotBeRead(t *testing.T) {
	ca := testkit.NewCA(t)
	gone := errors.New("no such file")
	f := &fake{ehlo: []string{"STARTTLS", "AUTH PLAIN"}, tls: ca.ServerTLS(t)}
	client := newClient(t, Options{Servers: []Server{{
		Address: f.listen(t), TLS: TLSRequire, TLSConfig: ca.ClientTLS(""),
		Auth: &Auth{User: "relay", Password: func() (string, error) { return "", gone }},
	}}})
	_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
	if _, r := failure(t, err); r.Reason != reason.UpstreamAuth || !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	password := func() (string, error) { return "", nil }
	for name, o := range map[string]Options{
		"no hostname":      {Servers: []Server{{Address: "a:25"}}},
		"hostname":         {Hostname: "a b", Servers: []Server{{Address: "a:25"}}},
		"line end":         {Hostname: "a\r\nb", Servers: []Server{{Address: "a:25"}}},
		"no server":        {Hostname: "a"},
		"no port":          {Hostname: "a", Servers: []Server{{Address: "a"}}},
		"mode":             {Hostname: "a", Servers: []Server{{Address: "a:25", TLS: 9}}},
		"auth without TLS": {Hostname: "a", Servers: []Server{{Address: "a:25", TLS: TLSNone, Auth: &Auth{"u", password}}}},
		"auth without user": {Hostname: "a", Servers: []Server{{
			Address: "a:25", TLS: TLSRequire, Auth: &Auth{"", password}}}},
		"silent insecurity": {Hostname: "a", Servers: []Server{{Address: "a:25", TLSConfig: &tls.Config{InsecureSkipVerify: true}}}},
	} {
		if c, err := New(o); err == nil {
			c.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
