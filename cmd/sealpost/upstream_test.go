package main

import (
	"crypto/tls"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What upstream says to a message goes to the client with its own code and
// text; a connection that breaks is 451. The client's own connection stays.
var upstreamReplies = []struct{ to, want, log string }{
	{"451", "451 4.7.42 Steered by <451@example.org> (upstream-deferred)", "dsn=4.7.42"},
	{"550", "550 5.7.42 Steered by <550@example.org> (upstream-refused)", "dsn=5.7.42"},
	{"421", "451 4.7.42 Steered by <421@example.org> (upstream-deferred)", "dsn=4.7.42"},
	{"data-450", "450 4.7.42 Steered by <data-450@example.org> (upstream-deferred)", "dsn=4.7.42"},
	{"data-554", "554 5.7.42 Steered by <data-554@example.org> (upstream-refused)", "dsn=5.7.42"},
	{"drop", "451 4.4.2", "reason=upstream-unreachable"},
	{"data-drop", "451 4.4.2", "reason=upstream-unreachable"},
}

func TestUpstreamsAnswerIsTheAnswer(t *testing.T) {
	in := newInstallation(t)
	for _, c := range upstreamReplies {
		in.person(t, c.to+"@example.org")
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	for _, c := range upstreamReplies {
		if got := d.submit(t, message, c.to+"@example.org"); !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
		in.waitLog(t, "msg=recipient", "to=<"+c.to+"@example.org>", "relay="+sink.Addr, c.log)
	}
	if n := len(sink.Messages()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
	in.nowhere(t, canary, sink.Wire())
}

// Of several recipients some were taken: the client keeps the message, and the
// answer says so.
func TestPartlyDelivered(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "550@example.org", "451@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	d := in.dial(t)
	got := d.submit(t, message, "anna@example.org", "550@example.org")
	if !strings.HasPrefix(got, "451 4.3.0 1 of 2 recipients") || !strings.HasSuffix(got, "(partly-delivered)\r\n") {
		t.Error(got)
	}
	if got := d.submit(t, message, "550@example.org", "451@example.org"); !strings.HasPrefix(got, "451 4.7.42") {
		t.Errorf("one later, one never: %s", got)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	if n := in.metric(t, `sealpost_upstream_failures_total{dsn="5.7.42",upstream="`+sink.Addr+`"}`); n != 2 {
		t.Errorf("%v final refusals are counted, want 2", n)
	}
}

// Servers are tried in order; when none is there, the client keeps the message.
func TestUpstreamsInOrder(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	dead, second := testkit.FreeAddr(t), testkit.FreeAddr(t)
	in.configure(t, "", "upstream:\n  - {address: \""+dead+"\", tls: none}\n  - {address: \""+second+"\", tls: none}\non_trouble: defer\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "451 4.4.1") || !strings.HasSuffix(got, "(upstream-unreachable)\r\n") {
		t.Error(got)
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{Addr: second})
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
	in.nowhere(t, canary, sink.Wire())
}

// TLS to upstream: what each mode makes of what the server can.
func TestUpstreamTLS(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	stranger := testkit.NewCA(t)
	ours, theirs := in.ca.ServerTLS(t), stranger.ServerTLS(t)
	message := sampleMail(testkit.NewCanary(t))
	const refused = "451 4.7.5"
	for _, c := range []struct {
		name, yaml string
		sink       testkit.SinkOptions
		want       string
		secure     bool
	}{
		{"opportunistic, none offered", "tls: opportunistic", testkit.SinkOptions{}, "250", false},
		{"opportunistic, any certificate", "tls: opportunistic", testkit.SinkOptions{TLS: theirs}, "250", true},
		{"require, none offered", "tls: require, tls_roots: [root.pem]", testkit.SinkOptions{}, refused, false},
		{"require, unknown authority", "tls: require, tls_roots: [root.pem]", testkit.SinkOptions{TLS: theirs}, refused, false},
		{"require, another name", "tls: require, tls_roots: [root.pem], server_name: other.example", testkit.SinkOptions{TLS: ours}, refused, false},
		{"require, not verified", "tls: require, verify: false", testkit.SinkOptions{TLS: theirs}, "250", true},
		{"require", "tls: require, tls_roots: [root.pem]", testkit.SinkOptions{TLS: ours}, "250", true},
		{"implicit, unknown authority", "tls: implicit, tls_roots: [root.pem]", testkit.SinkOptions{TLS: theirs, Implicit: true}, refused, false},
		{"implicit, no TLS there", "tls: implicit, tls_roots: [root.pem]", testkit.SinkOptions{}, refused, false},
		{"implicit", "tls: implicit, tls_roots: [root.pem]", testkit.SinkOptions{TLS: ours, Implicit: true}, "250", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := testkit.StartSink(t, c.sink)
			in.configure(t, "", "upstream:\n  - {address: \""+sink.Addr+"\", "+c.yaml+"}\n")
			in.start(t)
			got := in.dial(t).submit(t, message, "anna@example.org")
			if !strings.HasPrefix(got, c.want) {
				t.Fatalf("got %q, want %s", got, c.want)
			}
			if c.want == refused {
				if len(sink.Messages()) > 0 || strings.Contains(string(sink.Wire()), "MAIL") || !strings.Contains(got, "(upstream-tls)") {
					t.Errorf("sent after all, or without the reason: %q", got)
				}
				return
			}
			m := sink.Wait(t, 1)[0]
			if m.TLS != c.secure || c.secure && m.TLSState.Version < tls.VersionTLS12 {
				t.Errorf("TLS: %v", m.TLS)
			}
			in.opened(t, m.Raw, "anna@example.org", message)
		})
	}
}

// We log in with the password of a file, inside TLS only; a changed file holds
// for the next connection, and a wrong one never makes mail bounce.
func TestUpstreamLogin(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	message := sampleMail(testkit.NewCanary(t))
	secure := testkit.StartSink(t, testkit.SinkOptions{TLS: in.ca.ServerTLS(t), Users: map[string]string{"relay": "correct horse"}, NeedAuth: true})
	plain := testkit.StartSink(t, testkit.SinkOptions{Users: map[string]string{"relay": "correct horse"}, NeedAuth: true})
	in.write(t, "upstream.pass", "wrong password\n")
	with := func(addr, mode string) string {
		return "upstream:\n  - {address: \"" + addr + "\", tls: " + mode + ", auth: {user: relay, password_file: upstream.pass}}\n"
	}
	in.configure(t, "", with(secure.Addr, "require, tls_roots: [root.pem]"))
	in.start(t)
	d := in.dial(t)
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "451 4.7.8") || !strings.HasSuffix(got, "(upstream-auth)\r\n") {
		t.Error(got)
	}
	in.write(t, "upstream.pass", "correct horse\n")
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	if m := secure.Wait(t, 1)[0]; m.User != "relay" {
		t.Errorf("logged in as %q", m.User)
	}
	in.configure(t, "", with(plain.Addr, "opportunistic"))
	if !in.reload(t) {
		t.Fatal("not reloaded")
	}
	if got := d.submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "451") || !strings.Contains(got, "(upstream-") {
		t.Error(got)
	}
	if wire := string(plain.Wire()); strings.Contains(wire, "AUTH") || strings.Contains(wire, "MAIL") {
		t.Errorf("without TLS we said: %q", wire)
	}
	for _, word := range []string{"correct horse", "wrong password"} {
		if strings.Contains(in.log(t), word) {
			t.Error("the log has the password")
		}
	}
}
