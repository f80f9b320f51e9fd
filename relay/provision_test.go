package relay_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/policy"
	"sealpost/relay/queue"
)

var provisionRule = policy.Rule{Name: "everybody", NoKey: policy.Provision}

// A maker is a directory that makes keys.
type maker struct {
	mu    sync.Mutex
	certs map[string]*certificate.Certificate
	err   error         // its answer, if not nil
	lies  lookup.Answer // its answer, with liar
	liar  bool
	asked []relay.ProvisionRequest
}

func (m *maker) Provision(_ context.Context, to address.Address, r relay.ProvisionRequest) (relay.Provisioned, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, r)
	switch {
	case m.err != nil:
		return relay.Provisioned{}, m.err
	case m.liar:
		return relay.Provisioned{Answer: m.lies, Created: true}, nil
	}
	c := m.certs[to.Key()]
	if c == nil {
		return relay.Provisioned{}, errors.New("the maker is not prepared for " + to.String())
	}
	return relay.Provisioned{
		Answer: lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: c, Usable: true}}}, Created: len(m.asked) == 1,
	}, nil
}

func (m *maker) fails(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// makes has the house provision a key for the address when it is asked to.
func (h *house) makes(t *testing.T, addresses ...string) *maker {
	t.Helper()
	m := &maker{certs: map[string]*certificate.Certificate{}}
	for _, a := range addresses {
		id := h.ca.For(t, a)
		c, err := certificate.Parse(id.Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		m.certs[a], h.people[a] = c, id
	}
	h.settings.Provisioner = m
	return m
}

func TestProvisionedAndSealedAtOnce(t *testing.T) {
	h := newHouse(t, provisionRule)
	m := h.makes(t, "walter@nokey.example", "wilma@nokey.example")
	canary := testkit.NewCanary(t)
	h.person(t, "anna@example.org", testkit.Leaf{})
	said := h.send(t, testClient(), statement(canary), "walter@nokey.example", "anna@example.org", "wilma@nokey.example")
	if said[0].Code != 250 {
		t.Fatal(said)
	}
	for _, got := range h.sink.Wait(t, 3) {
		canary.Absent(t, "a copy", got.Raw)
		if entity := testkit.OpenSSLOpen(t, got.Raw, h.people[got.To[0].Address]); !bytes.Contains(entity, []byte("Balance: "+string(canary))) {
			t.Errorf("%v opened:\n%s", got.To, entity)
		}
	}
	if len(m.asked) != 2 || m.asked[0].Sender.String() != "statements@bank.example" {
		t.Errorf("asked %+v", m.asked)
	}
	if log := h.log.Bytes(); !bytes.Contains(log, []byte("provisioned=created")) || !bytes.Contains(log, []byte("provisioned=known")) {
		t.Errorf("the log does not say so:\n%s", log)
	}
}

// A message that came encrypted passes as it is, and nobody is given a key.
func TestProtectedMailNeedsNoKey(t *testing.T) {
	h := newHouse(t, provisionRule)
	id := h.person(t, "anna@example.org", testkit.Leaf{})
	if said := h.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org"); said[0].Code != 250 {
		t.Fatal(said)
	}
	sealed := h.sink.Wait(t, 1)[0].Raw
	m := h.makes(t, "walter@nokey.example")
	if said := h.send(t, testClient(), string(sealed), "walter@nokey.example"); said[0].Code != 250 {
		t.Fatal(said)
	}
	if got := h.sink.Wait(t, 2)[1].Raw; !bytes.HasSuffix(got, sealed) {
		t.Errorf("changed:\n%s", got)
	}
	if len(m.asked) != 0 {
		t.Errorf("asked for a key of %v", id.Cert.Subject)
	}
}

func TestNotProvisioned(t *testing.T) {
	expired := lookup.Answer{Outcome: lookup.None, Candidates: []lookup.Candidate{{Reason: reason.CertificateExpired, Why: "has expired"}}}
	for _, c := range []struct {
		name  string
		maker *maker
		want  string
	}{
		{"down", &maker{err: errors.New("connection refused")}, "451 4.4.3"},
		{"too late", &maker{err: context.DeadlineExceeded}, "451 4.4.3"},
		{"excluded", &maker{err: &relay.NotProvisioned{Reason: reason.ProvisionExcluded, Why: "no key is made\r\nfor this address"}}, "550 5.7.1"},
		{"too many", &maker{err: &relay.NotProvisioned{Reason: reason.ProvisionRate, Why: "too many keys", Temporary: true}}, "451 4.7.1"},
		{"nothing", &maker{liar: true}, "451 4.4.3"},
		{"none", &maker{liar: true, lies: lookup.Answer{Outcome: lookup.None}}, "451 4.4.3"},
		{"not usable", &maker{liar: true, lies: expired}, "451 4.4.3"},
		{"found nothing", &maker{liar: true, lies: lookup.Answer{Outcome: lookup.Found}}, "451 4.4.3"},
		{"nobody", nil, "451 4.4.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, provisionRule)
			h.person(t, "anna@example.org", testkit.Leaf{})
			if c.maker != nil {
				h.settings.Provisioner = c.maker
			}
			canary := testkit.NewCanary(t)
			said := h.send(t, testClient(), statement(canary), "anna@example.org", "walter@nokey.example")
			if len(said) != 1 || !strings.HasPrefix(said[0].String(), c.want+" <walter@nokey.example>") {
				t.Errorf("%v, want %s", said, c.want)
			}
			lmtp := testClient()
			lmtp.LMTP = true
			said = h.send(t, lmtp, statement(canary), "anna@example.org", "walter@nokey.example")
			if len(said) != 2 || said[0].Code != 250 || !strings.HasPrefix(said[1].String(), c.want) {
				t.Errorf("LMTP: %v, want 250 and %s", said, c.want)
			}
			got := h.sink.Wait(t, 1)
			if len(got) != 1 || got[0].To[0].Address != "anna@example.org" {
				t.Errorf("%d messages left", len(got))
			}
			canary.Absent(t, "what left", got[0].Raw)
		})
	}
}

// A directory that cannot be asked is asked again out of the spool, with the
// secret and the references that the message came with.
func TestProvisionedOutOfTheSpool(t *testing.T) {
	k := newKeeper(t, provisionRule)
	k.settings.Waiting.Invite = true
	m := k.makes(t, "walter@nokey.example")
	m.fails(errors.New("connection refused"))
	canary, secret, reference := testkit.NewCanary(t), testkit.NewCanary(t), testkit.NewCanary(t)
	message := "X-Sealpost-Secret: " + string(secret) + "\r\nX-Sealpost-Reference: " + string(reference) + "\r\nContent-Language: zh\r\n" + statement(canary)
	if said := k.send(t, testClient(), message, "walter@nokey.example"); said[0].Code != 250 {
		t.Fatal(said)
	}
	if n := k.store.Stats().Messages; n != 1 {
		t.Errorf("%d messages kept: whoever is given a key is not invited to send one", n)
	}
	k.restart(t)
	for _, c := range []testkit.Canary{canary, secret, reference} {
		c.AbsentInTree(t, k.dir)
		c.Absent(t, "the log", k.log.Bytes())
	}
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	testkit.Poll(t, "another question", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.asked) > 1
	})
	if got := sink.Messages(); len(got) != 0 {
		t.Fatalf("left without a key:\n%s", got[0].Raw)
	}
	m.fails(nil)
	got := sink.Wait(t, 1)[0].Raw
	for _, c := range []testkit.Canary{canary, secret, reference} {
		c.Absent(t, "what left", got)
		c.Absent(t, "the log", k.log.Bytes())
	}
	if entity := testkit.OpenSSLOpen(t, got, k.people["walter@nokey.example"]); !bytes.Contains(entity, []byte("Balance: "+string(canary))) {
		t.Errorf("opened:\n%s", entity)
	}
	for _, r := range m.asked {
		if r.Secret != string(secret) || len(r.References) != 1 || r.References[0] != string(reference) || r.Language != "zh" || r.Sender.String() != "statements@bank.example" {
			t.Fatalf("asked with %+v", r)
		}
	}
	k.waitEmpty(t)
}

// What the directory put off by its rate is the client's to bring again, and
// with on_trouble: defer everything is.
func TestProvisionIsDeferred(t *testing.T) {
	for name, c := range map[string]struct {
		trouble bool
		err     error
	}{
		"rate":              {true, &relay.NotProvisioned{Reason: reason.ProvisionRate, Why: "too many keys", Temporary: true}},
		"on_trouble: defer": {false, errors.New("connection refused")},
	} {
		k := newKeeper(t, provisionRule)
		k.settings.Waiting.Trouble = c.trouble
		k.settings.Provisioner = &maker{err: c.err}
		if said := k.send(t, testClient(), statement(testkit.NewCanary(t)), "walter@nokey.example"); !said[0].Temporary() || k.store.Stats().Messages != 0 {
			t.Errorf("%s: %v, %d messages kept", name, said, k.store.Stats().Messages)
		}
	}
}

// The fields that are meant for us leave in no way that a message can go.
func TestOwnFieldsNeverLeave(t *testing.T) {
	secret := testkit.NewCanary(t)
	s := string(secret)
	own := "X-Sealpost-Secret: " + s + "\r\nx-sealpost-reference :\r\n\t" + s + "\r\nX-SEALPOST-Something-Else: " + s + "\r\n"
	sealedElsewhere := func(t *testing.T) string {
		h := newHouse(t)
		h.person(t, "anna@example.org", testkit.Leaf{})
		h.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org")
		return string(h.sink.Wait(t, 1)[0].Raw)
	}
	for _, c := range []struct {
		name string
		rule policy.Rule
		body func(*testing.T) string
	}{
		{"sealed", policy.Rule{Name: "a"}, nil},
		{"provisioned", provisionRule, nil},
		{"passed", policy.Rule{Name: "a", Encrypt: policy.Never}, nil},
		{"passed as it came", policy.Rule{Name: "a"}, sealedElsewhere},
		{"held", policy.Rule{Name: "a", NoKey: policy.Hold}, nil},
		{"upstream away", policy.Rule{Name: "a", Encrypt: policy.Never}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(t, c.rule)
			to := "walter@nokey.example"
			m := k.makes(t, to)
			if c.name != "provisioned" {
				k.directory.certs[to] = []*certificate.Certificate{m.certs[to]}
			}
			message := statement(testkit.NewCanary(t))
			if c.body != nil {
				message = c.body(t)
			}
			held := c.name == "held"
			if held {
				k.directory.certs[to] = nil
			}
			var sink *testkit.Sink
			if away := held || c.name == "upstream away"; !away {
				sink = k.upstreamIsBack(t, testkit.SinkOptions{})
			}
			if said := k.send(t, testClient(), own+message, to); said[0].Code != 250 {
				t.Fatal(said)
			}
			secret.AbsentInTree(t, k.dir)
			if held {
				k.directory.certs[to] = []*certificate.Certificate{m.certs[to]}
			}
			if sink == nil {
				sink = k.upstreamIsBack(t, testkit.SinkOptions{})
			}
			got := sink.Wait(t, 1)[0].Raw
			secret.Absent(t, "what left", got)
			if bytes.Contains(bytes.ToLower(got), []byte("x-sealpost")) {
				t.Errorf("a field left:\n%s", got)
			}
			if bytes.Contains(got, []byte("pkcs7-mime")) && c.body == nil {
				secret.Absent(t, "the entity", testkit.OpenSSLOpen(t, got, k.people[to]))
			}
			secret.Absent(t, "the log", k.log.Bytes())
			k.waitEmpty(t)
		})
	}
}

// Nor do they leave in a report.
func TestOwnFieldsAreNotReturned(t *testing.T) {
	k := newKeeper(t, provisionRule)
	secret := testkit.NewCanary(t)
	k.makes(t, "550@nokey.example", "walter@nokey.example")
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	message := "X-Sealpost-Secret: " + string(secret) + "\r\n" + statement(testkit.NewCanary(t))
	if said := k.send(t, testClient(), message, "walter@nokey.example", "550@nokey.example"); said[0].Code != 250 {
		t.Fatal(said)
	}
	for _, got := range sink.Wait(t, 2) {
		secret.Absent(t, "what left", got.Raw)
	}
}

// What cannot be understood is refused, whoever the recipients are, and not
// taken for a message without a secret.
func TestSecretThatIsNotUnderstood(t *testing.T) {
	h := newHouse(t, provisionRule)
	m := h.makes(t, "walter@nokey.example")
	secret := testkit.NewCanary(t)
	own := "X-Sealpost-Secret: " + string(secret) + "\r\n"
	said := h.send(t, testClient(), own+own+statement(testkit.NewCanary(t)), "walter@nokey.example")
	if said[0].Code != 554 || !strings.HasSuffix(said[0].Text, "("+string(reason.MessageMalformed)+")") {
		t.Errorf("%v", said)
	}
	secret.Absent(t, "the answer", []byte(said[0].String()))
	secret.Absent(t, "the log", h.log.Bytes())
	if len(m.asked) != 0 || len(h.sink.Messages()) != 0 {
		t.Error("something was made or sent")
	}
}

// A held copy only ever leaves with a sealed decision; a maker that says no, or
// nothing, keeps it.
func TestResolveAsksForAKey(t *testing.T) {
	h := newHouse(t, provisionRule)
	item := queue.Item{
		Message: queue.Message{Kind: queue.Held, Header: []byte("From: bank@bank.example\r\n\r\n"), Extras: []byte(`{"secret":"4711"}`)},
		Copy:    queue.Copy{To: parse(t, "walter@nokey.example")},
	}
	m := h.makes(t, "walter@nokey.example")
	release, err := h.relay.Resolve(t.Context(), item)
	if d, ok := release.(relay.Decision); err != nil || !ok || d.Action != relay.Sealed {
		t.Fatalf("%+v, %v", release, err)
	}
	if r := m.asked[0]; r.Secret != "4711" || r.Sender.String() != "bank@bank.example" {
		t.Errorf("asked with %+v", r)
	}
	for _, err := range []error{errors.New("down"), &relay.NotProvisioned{Reason: reason.ProvisionRole, Why: "no"}} {
		m.fails(err)
		if release, err := h.relay.Resolve(t.Context(), item); err == nil {
			t.Errorf("released: %+v", release)
		}
	}
	m.fails(nil)
	item.Message.Extras = []byte("{")
	if release, err := h.relay.Resolve(t.Context(), item); err == nil {
		t.Errorf("released without knowing the secret: %+v", release)
	}
}

// Whatever the directory of keys does, in whatever order, and whoever else the
// message is for: what leaves is sealed, and 250 is said only for what has left.
func TestProvisionNeverLeavesPlain(t *testing.T) {
	h := newHouse(t, provisionRule)
	known := []string{"walter@nokey.example", "wilma@nokey.example"}
	good := h.makes(t, known...)
	h.person(t, "anna@example.org", testkit.Leaf{})
	canary := testkit.NewCanary(t)
	message := statement(canary)
	behaviours := []*maker{
		good, {certs: good.certs, err: errors.New("down")}, {liar: true}, {liar: true, lies: lookup.Answer{Outcome: lookup.None}},
		{liar: true, lies: lookup.Answer{Outcome: 42}}, {err: &relay.NotProvisioned{Reason: reason.ProvisionRole, Why: "no"}},
		{err: &relay.NotProvisioned{Reason: reason.ProvisionRate, Why: "later", Temporary: true}},
		{liar: true, lies: lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: good.certs[known[0]]}}}}, // not usable
	}
	arrived := 0
	rapid.Check(t, func(r *rapid.T) {
		h.settings.Provisioner = rapid.SampledFrom(behaviours).Draw(r, "does")
		c := testClient()
		c.LMTP = rapid.Bool().Draw(r, "lmtp")
		to := rapid.SliceOfNDistinct(rapid.SampledFrom(append(known, "anna@example.org")), 1, 3, rapid.ID).Draw(r, "to")
		said := h.send(t, c, message, to...)
		promised := 0
		for _, s := range said {
			switch {
			case s.Positive() && c.LMTP:
				promised++
			case s.Positive():
				promised = len(to)
			}
		}
		all := h.sink.Messages()
		if len(all)-arrived < promised {
			r.Fatalf("%v was said, and %d copies left", said, len(all)-arrived)
		}
		for _, got := range all[arrived:] {
			if form := canary.FoundIn(got.Raw); form != "" || !bytes.Contains(got.Raw, []byte("pkcs7-mime")) {
				r.Fatalf("left in the clear, %s:\n%s", form, got.Raw)
			}
		}
		arrived = len(all)
	})
}
