package relay_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/intake"
	"sealpost/relay/policy"
	"sealpost/relay/queue"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
	"sealpost/smime/cms"
)

// A keeper is a house with a queue, whose upstream comes and goes.
type keeper struct {
	*house
	dir    string // of the spool
	key    *spool.Key
	store  *spool.Store
	engine *queue.Engine
	addr   string // of upstream
}

func newKeeper(t *testing.T, rules ...policy.Rule) *keeper {
	t.Helper()
	k := &keeper{house: newHouse(t, rules...), dir: t.TempDir() + "/spool", addr: testkit.FreeAddr(t)}
	client, err := upstream.New(upstream.Options{
		Hostname: "relay.bank.example", Servers: []upstream.Server{{Address: k.addr, TLS: upstream.TLSNone}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	k.settings.Upstream = client
	if k.key, err = spool.NewKey(); err != nil {
		t.Fatal(err)
	}
	k.openSpool(t)
	t.Cleanup(func() { k.closeSpool(t) })
	return k
}

func (k *keeper) openSpool(t *testing.T) {
	t.Helper()
	var err error
	k.store, err = spool.Open(spool.Options{Dir: k.dir, Identity: k.key, SegmentSize: 8 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k.engine, err = queue.New(queue.Options{
		Store: k.store, Hostname: "relay.bank.example", Log: slog.New(slog.DiscardHandler), Observe: relay.ObserveQueue(slog.New(slog.NewTextHandler(&k.log, nil)), nil),
		Times: queue.Times{Retry: []time.Duration{50 * time.Millisecond}, HoldRecheck: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	k.settings.Waiting = &relay.Waiting{Queue: k.engine, Patience: 10 * time.Second, Trouble: true}
}

func (k *keeper) closeSpool(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	k.engine.Stop(ctx)
	if err := k.store.Close(); err != nil {
		t.Error(err)
	}
}

// restart closes the spool and opens it again, as another process would.
func (k *keeper) restart(t *testing.T) {
	t.Helper()
	k.closeSpool(t)
	k.openSpool(t)
}

// upstreamIsBack starts upstream, and the engine that delivers to it.
func (k *keeper) upstreamIsBack(t *testing.T, opts testkit.SinkOptions) *testkit.Sink {
	t.Helper()
	opts.Addr = k.addr
	sink := testkit.StartSink(t, opts)
	k.engine.Start(k.relay, k.relay)
	return sink
}

func (k *keeper) waitEmpty(t *testing.T) {
	t.Helper()
	testkit.Poll(t, "an empty queue", func() bool { return k.store.Stats().Messages == 0 })
}

func TestUpstreamAwayIsKeptSealedAndDelivered(t *testing.T) {
	k := newKeeper(t,
		policy.Rule{Name: "own", Recipient: "*@bank.example", Encrypt: policy.Never},
		policy.Rule{Name: "default"})
	canary := testkit.NewCanary(t)
	k.person(t, "anna@example.org", testkit.Leaf{})
	k.person(t, "bert@example.org", testkit.Leaf{})
	k.person(t, "gina@example.org", testkit.Leaf{})
	k.capableOf("gina@example.org", cms.AES256GCM)
	message := statement(canary)
	said := k.send(t, testClient(), message, "anna@example.org", "bert@example.org", "gina@example.org", "teller@bank.example")
	if said[0].Code != 250 || !strings.Contains(said[0].Text, "queued as ") {
		t.Fatal(said)
	}
	k.restart(t)
	canary.AbsentInTree(t, k.dir)
	if n := k.store.Stats().Parcels; n != 4 {
		t.Fatalf("%d parcels wait", n)
	}
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	for _, got := range sink.Wait(t, 4) {
		to := got.To[0].Address
		if to == "teller@bank.example" {
			if !bytes.HasSuffix(got.Raw, []byte(message)) {
				t.Errorf("passed changed:\n%s", got.Raw)
			}
			continue
		}
		canary.Absent(t, to, got.Raw)
		if entity := testkit.OpenSSLOpen(t, got.Raw, k.people[to]); !bytes.HasSuffix(entity, []byte("Balance: "+string(canary)+"\r\n")) {
			t.Errorf("%s opened:\n%s", to, entity)
		}
	}
	k.waitEmpty(t)
}

// While upstream is known to be away, nobody waits for it.
func TestKnownTroubleIsNotTried(t *testing.T) {
	k := newKeeper(t)
	k.person(t, "anna@example.org", testkit.Leaf{})
	k.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org")
	if !k.engine.Trouble() {
		t.Fatal("the engine was not told that upstream is away")
	}
	k.settings.Upstream = nil // to be asked would end the test
	if said := k.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org"); said[0].Code != 250 {
		t.Error(said)
	}
}

// Some copies taken, some for later, some refused for good: the message is
// ours, the sender hears 250 and later a report that shows no content.
func TestPartlyTakenIsOurs(t *testing.T) {
	k := newKeeper(t)
	canary := testkit.NewCanary(t)
	to := []string{"anna@example.org", "451@example.org", "550@example.org"}
	for _, a := range to {
		k.person(t, a, testkit.Leaf{})
	}
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	if said := k.send(t, testClient(), statement(canary), to...); said[0].Code != 250 {
		t.Fatal(said)
	}
	var report []byte
	testkit.Poll(t, "a report", func() bool {
		for _, got := range sink.Messages() {
			if got.From == "" && got.To[0].Address == "statements@bank.example" {
				report = got.Raw
			}
		}
		return report != nil
	})
	canary.Absent(t, "the report", report)
	for _, want := range []string{"Final-Recipient: rfc822; 550@example.org", "Action: failed", "report-type=delivery-status", "Subject: Your statement"} {
		if !bytes.Contains(report, []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if bytes.Contains(report, []byte("451@example.org")) {
		t.Error("what still waits is reported as failed")
	}
}

func TestNothingTakenAndRefusedForGoodIsTheClients(t *testing.T) {
	k := newKeeper(t)
	k.person(t, "550@example.org", testkit.Leaf{})
	k.upstreamIsBack(t, testkit.SinkOptions{})
	if said := k.send(t, testClient(), statement(testkit.NewCanary(t)), "550@example.org"); said[0].Code != 550 {
		t.Error(said)
	}
	if n := k.store.Stats().Messages; n != 0 {
		t.Errorf("%d messages wait", n)
	}
}

func TestDeferLeavesTheMessageWithTheClient(t *testing.T) {
	k := newKeeper(t)
	k.settings.Waiting.Trouble = false
	k.person(t, "anna@example.org", testkit.Leaf{})
	if said := k.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org"); said[0].Code != 451 || said[0].Enhanced.String() != "4.4.1" {
		t.Error(said)
	}
}

func TestHeldUntilThereIsACertificate(t *testing.T) {
	k := newKeeper(t, policy.Rule{Name: "wait for keys", NoKey: policy.Hold})
	canary := testkit.NewCanary(t)
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	if said := k.send(t, testClient(), statement(canary), "anna@example.org"); said[0].Code != 250 {
		t.Fatal(said)
	}
	canary.AbsentInTree(t, k.dir)
	testkit.Poll(t, "a parcel that waits for its key", func() bool { return k.engine.Stats().Queues[queue.NoKey].Parcels == 1 })
	known := &directory{certs: map[string][]*certificate.Certificate{}}
	id := k.ca.For(t, "anna@example.org")
	c, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	known.certs["anna@example.org"] = []*certificate.Certificate{c}
	k.reloadDirectory(known)
	got := sink.Wait(t, 1)[0]
	canary.Absent(t, "the copy", got.Raw)
	if entity := testkit.OpenSSLOpen(t, got.Raw, id); !bytes.Contains(entity, []byte("Balance: "+string(canary))) {
		t.Errorf("opened:\n%s", entity)
	}
	k.waitEmpty(t)
}

// A policy that turns to cleartext does not let out what was held for a key.
func TestHeldNeverGoesInTheClear(t *testing.T) {
	k := newKeeper(t, policy.Rule{Name: "wait for keys", NoKey: policy.Hold})
	canary := testkit.NewCanary(t)
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	k.send(t, testClient(), statement(canary), "anna@example.org")
	next := *k.settings
	decider := *next.Decider
	decider.Policy = policy.New([]policy.Rule{{Name: "wait for keys", Encrypt: policy.Never}})
	next.Decider = &decider
	k.relay.Reload(&next)
	item := queue.Item{Message: queue.Message{Kind: queue.Held, Header: []byte("Subject: x\r\n\r\n")}, Copy: queue.Copy{To: parse(t, "anna@example.org")}}
	if release, err := k.relay.Resolve(t.Context(), item); err == nil {
		t.Errorf("released: %+v", release)
	}
	if got := sink.Messages(); len(got) != 0 {
		t.Errorf("%d messages left", len(got))
	}
}

// A rule that does not let mail pass any more holds back what still waits
// under its name.
func TestClearWaitsForItsRule(t *testing.T) {
	k := newKeeper(t, policy.Rule{Name: "clear", Encrypt: policy.Never})
	k.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org")
	next := *k.settings
	decider := *next.Decider
	decider.Policy = policy.New([]policy.Rule{{Name: "clear"}})
	next.Decider = &decider
	k.relay.Reload(&next)
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	var said error
	testkit.Poll(t, "the refusal", func() bool {
		for info := range k.store.All() {
			if info.States[0].Attempts > 0 {
				said = fmt.Errorf("%d attempts", info.States[0].Attempts)
				return true
			}
		}
		return false
	})
	if got := sink.Messages(); len(got) != 0 {
		t.Errorf("cleartext left without a rule (%v)", said)
	}
}

func TestFullSpoolIsTheClients(t *testing.T) {
	k := newKeeper(t)
	k.person(t, "anna@example.org", testkit.Leaf{})
	k.settings.Waiting.Queue = fullQueue{}
	if said := k.send(t, testClient(), statement(testkit.NewCanary(t)), "anna@example.org"); said[0].Code != 452 || said[0].Enhanced.String() != "4.3.1" {
		t.Error(said)
	}
}

type fullQueue struct{}

func (fullQueue) Put(context.Context, ...queue.Entry) error { return spool.ErrFull }
func (fullQueue) Trouble() bool                             { return true }
func (fullQueue) Heard(error)                               {}

func (k *keeper) reloadDirectory(d lookup.Source) {
	next := *k.settings
	decider := *next.Decider
	decider.Directory = d
	next.Decider = &decider
	k.relay.Reload(&next)
}

var (
	_ relay.Queue     = (*queue.Engine)(nil)
	_ queue.Deliverer = (*relay.Relay)(nil)
	_ queue.Resolver  = (*relay.Relay)(nil)
	_ intake.Handler  = (*relay.Relay)(nil)
	_ relay.Forwarder = (*upstream.Client)(nil)
	_                 = reply.New
)

// Nothing is answered 250 for a held recipient unless the queue has the
// message, and a client that comes again for another recipient leaves no second
// copy here.
func TestHeldIsOnlyAnsweredForWhenKept(t *testing.T) {
	rule := policy.Rule{Name: "wait for keys", NoKey: policy.Hold}
	t.Run("without a queue", func(t *testing.T) {
		h := newHouse(t, rule)
		if said := h.send(t, testClient(), "Subject: x\r\n\r\nbody\r\n", "nokey@example.org"); said[0].Code != 451 {
			t.Error(said)
		}
	})
	t.Run("stopping", func(t *testing.T) {
		k := newKeeper(t, rule)
		tx, _ := k.begin(t, testClient(), "nokey@example.org")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if said := tx.Data(ctx, strings.NewReader("Subject: x\r\n\r\nbody\r\n")); said[0].Positive() {
			t.Error(said)
		}
	})
	t.Run("beside a recipient for whom the client comes again", func(t *testing.T) {
		k := newKeeper(t, rule)
		k.settings.Waiting.Trouble = false
		k.person(t, "anna@example.org", testkit.Leaf{})
		said := k.send(t, testClient(), "Subject: x\r\n\r\nbody\r\n", "nokey@example.org", "anna@example.org")
		if !said[0].Temporary() || k.store.Stats().Messages != 0 {
			t.Errorf("%v, %d messages kept", said, k.store.Stats().Messages)
		}
	})
}

// A recipient without a key is told that something waits, and by whom; nothing
// of the message stands in the notice.
func TestInvitation(t *testing.T) {
	k := newKeeper(t, policy.Rule{Name: "wait for keys", NoKey: policy.Hold})
	k.settings.Waiting.Invite, k.settings.Waiting.HoldExpire = true, 7*24*time.Hour
	canary := testkit.NewCanary(t)
	sink := k.upstreamIsBack(t, testkit.SinkOptions{})
	k.send(t, testClient(), statement(canary), "anna@example.org")
	got := sink.Wait(t, 1)[0]
	canary.Absent(t, "the notice", got.Raw)
	if got.From != "" || got.To[0].Address != "anna@example.org" || !bytes.Contains(got.Raw, []byte("statements@bank.example")) {
		t.Errorf("from %q to %v:\n%s", got.From, got.To, got.Raw)
	}
	testkit.Poll(t, "only the message", func() bool { return k.store.Stats().Messages == 1 })
}
