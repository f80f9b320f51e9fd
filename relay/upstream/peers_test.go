package upstream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/relay/reply"
	"sealpost/relay/spill"
	"sealpost/smime"
	"sealpost/smime/cms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The independent peer: a server that shares no code with ours.
func TestSink(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, c := range []struct {
		name   string
		sink   testkit.SinkOptions
		server Server
		tls    bool
		bdat   bool
	}{
		{name: "BDAT", bdat: true},
		{name: "DATA", server: Server{NoChunking: true}},
		{name: "STARTTLS", sink: testkit.SinkOptions{TLS: ca.ServerTLS(t)}, server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("localhost")}, tls: true, bdat: true},
		{name: "AUTH", sink: testkit.SinkOptions{TLS: ca.ServerTLS(t), Users: map[string]string{"relay": "secret"}, NeedAuth: true},
			server: Server{TLS: TLSRequire, TLSConfig: ca.ClientTLS("localhost"), Auth: &Auth{"relay", func() (string, error) { return "secret", nil }}}, tls: true, bdat: true},
		{name: "HELO", sink: testkit.SinkOptions{HeloOnly: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := testkit.StartSink(t, c.sink)
			c.server.Address = sink.Addr
			client := newClient(t, Options{Servers: []Server{c.server}})
			e := envelope(t, "anna@example.org", "bob@example.org")
			e.EnvID, e.Ret, e.To[1].ORcpt, e.To[1].Notify = "id+1", "HDRS", "rfc822;b+c@example.org", []string{"NEVER"}
			for range 3 {
				out, err := client.Send(t.Context(), e, sampleBody(t))
				if err != nil {
					t.Fatal(err)
				}
				if out.Chunked != c.bdat || (out.TLS != "") != c.tls || out.Reply.Code != 250 || out.Server != sink.Addr {
					t.Errorf("%+v", out)
				}
			}
			got := sink.Wait(t, 3)[2]
			if string(got.Raw) != sample || got.From != "bank@example.com" || len(got.To) != 2 || got.Hello != "relay.example" || got.Conn != 1 {
				t.Errorf("%+v", got)
			}
			if c.name == "HELO" {
				return
			}
			if got.EnvID != "id+1" || got.Ret != "HDRS" || got.To[1].ORcpt != "rfc822;b+c@example.org" || got.Size != int64(len(sample)) {
				t.Errorf("parameters: %+v", got)
			}
		})
	}
}

// The sink's own refusals, by name.
func TestSinkRefuses(t *testing.T) {
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	client := newClient(t, Options{Servers: []Server{{Address: sink.Addr}}})
	for to, want := range map[string]struct {
		code  int
		taken Certainty
	}{
		"451@example.org":       {451, NotTaken},
		"550@example.org":       {550, NotTaken},
		"data-452@example.org":  {452, NotTaken},
		"data-554@example.org":  {554, NotTaken},
		"drop@example.org":      {451, NotTaken},
		"data-drop@example.org": {451, MaybeTaken},
	} {
		_, err := client.Send(t.Context(), envelope(t, to), sampleBody(t))
		if f, r := failure(t, err); r.Reply.Code != want.code || f.Taken != want.taken || TakenOf(err) != want.taken {
			t.Errorf("%s: %v, taken %v", to, err, f.Taken)
		}
	}
	send(t, client)
}

// REQUIRETLS (RFC 8689) is kept where the server verifies, even when that was
// not demanded of it, and not otherwise.
func TestRequireTLS(t *testing.T) {
	ca, stranger := testkit.NewCA(t), testkit.NewCA(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{TLS: ca.ServerTLS(t)})
	e := envelope(t, "anna@example.org")
	e.RequireTLS = true
	trusting := newClient(t, Options{Servers: []Server{{Address: sink.Addr, TLSConfig: ca.ClientTLS("localhost")}}})
	if _, err := trusting.Send(t.Context(), e, sampleBody(t)); err != nil || !sink.Wait(t, 1)[0].RequireTLS {
		t.Errorf("%v", err)
	}
	other := newClient(t, Options{Servers: []Server{{Address: sink.Addr, TLSConfig: stranger.ClientTLS("localhost")}}})
	_, err := other.Send(t.Context(), e, sampleBody(t))
	if _, r := failure(t, err); r.Reply.Enhanced != (reply.Enhanced{5, 7, 30}) || r.Reason != reason.UpstreamLacks {
		t.Errorf("%v", err)
	}
}

// sealed is a real sealed message.
func sealed(t testing.TB, entity string) *smime.Sealed {
	t.Helper()
	cert, err := certificate.Parse(testkit.NewCA(t).For(t, "anna@example.org").Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	to, err := cms.NewRecipient(cert, cms.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := smime.ReadMessage(strings.NewReader("From: bank@example.com\r\n\r\n"+entity), smime.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	store := spill.New(spill.Options{Memory: 1 << 20, Dir: t.TempDir()}).New()
	t.Cleanup(func() { store.Close() })
	envelopes, err := smime.Seal(m, smime.SealOptions{}, smime.Target{Cipher: cms.AES256CBC, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(envelopes[0].Close)
	s, err := envelopes[0].Copy(to)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedMessage(t *testing.T) {
	canary := testkit.NewCanary(t)
	s := sealed(t, strings.Repeat(string(canary)+"\r\n", 60000))
	var want bytes.Buffer
	if n, err := s.WriteTo(&want); err != nil || n != s.Size() {
		t.Fatalf("%d bytes of %d, %v", n, s.Size(), err)
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	for _, noChunking := range []bool{false, true} {
		client := newClient(t, Options{Servers: []Server{{Address: sink.Addr, NoChunking: noChunking}}})
		if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), Sealed(s)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range sink.Wait(t, 2) {
		if !bytes.Equal(m.Raw, want.Bytes()) {
			t.Error("other bytes arrived")
		}
	}
	canary.Absent(t, "the wire", sink.Wire())
}

// Postfix, as most upstreams are: with BDAT and without, with several
// recipients of whom one is refused, with XFORWARD.
func TestPostfix(t *testing.T) {
	p := testkit.StartPostfix(t, testkit.PostfixOptions{Main: `
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@example.org = 550 5.1.1 Nobody here}}, permit_mynetworks, reject
message_size_limit = 300000
`})
	body := strings.Repeat(".\r\n..dots\r\n"+strings.Repeat("x", 70)+"\r\n", 1000)
	content := literal("From: bank@example.com\r\nSubject: x\r\n\r\n" + body)
	for i, noChunking := range []bool{false, true} {
		client := newClient(t, Options{Servers: []Server{{Address: p.Addr, NoChunking: noChunking}}})
		e := envelope(t, "anna@example.org", "nobody@example.org", "bob@example.org")
		e.XForward = Attributes{Name: "pc1.example", Addr: "2001:db8::1", Port: "4711", Proto: "ESMTP", Helo: "pc1", Ident: fmt.Sprint("ID", i), Source: "REMOTE"}
		out, err := client.Send(t.Context(), e, cleared(t, content))
		if _, r := failure(t, err); r.Reply.Code != 550 || out.Rcpts[0].Code != 250 || out.Rcpts[1].Enhanced != (reply.Enhanced{5, 1, 1}) {
			t.Errorf("%v, %v", err, out.Rcpts)
		}
		e.To = append(e.To[:1], e.To[2])
		out, err = client.Send(t.Context(), e, cleared(t, content))
		if err != nil || !out.Reused || out.Chunked == noChunking {
			t.Errorf("%v, %+v", err, out)
		}
		_, err = client.Send(t.Context(), e, cleared(t, literal(big)))
		if _, r := failure(t, err); r.Reason != reason.MessageTooLarge {
			t.Errorf("%v", err)
		}
		p.WaitLog(t, fmt.Sprint("orig_queue_id=ID", i))
	}
	for _, d := range p.WaitDelivered(t, 4) {
		if !bytes.HasSuffix(d.Raw, []byte("\r\n\r\n"+body)) {
			t.Error("other bytes were delivered")
		}
		if d.To == "nobody@example.org" {
			t.Error("delivered to the recipient that was refused")
		}
	}
	if got := client(t, p.Addr).Probe(t.Context())[0]; got.Err != nil || got.MaxSize != 300000 {
		t.Errorf("%+v", got)
	}
}

func client(t testing.TB, addr string) *Client {
	return newClient(t, Options{Servers: []Server{{Address: addr}}})
}
