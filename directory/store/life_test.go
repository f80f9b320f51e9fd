package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

const anna, bob = "anna@example.org", "bob@example.org"

// harvested is a certificate as a message that was signed then teaches it.
func harvested(c *certificate.Certificate, at time.Time) store.New {
	return store.New{Cert: c, Origin: store.OriginHarvest, Supersede: true,
		Evidence: store.Evidence{MessageID: "<1@example.org>", Signer: "anna", Verdict: "good", At: at}}
}

// statusOf is what Show says of a certificate.
func statusOf(t testing.TB, s *store.Store, c *certificate.Certificate) store.Status {
	t.Helper()
	return byFingerprint(t, s, c).Status
}

func byFingerprint(t testing.TB, s *store.Store, c *certificate.Certificate) store.Certificate {
	t.Helper()
	found, err := s.ByFingerprint(t.Context(), c.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wantActive compares what Lookup gives with what should be given, in order.
func wantActive(t testing.TB, s *store.Store, addr string, want ...*certificate.Certificate) {
	t.Helper()
	found, err := s.Lookup(t.Context(), []string{addr})
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted [][32]byte
	for _, c := range found[0] {
		got = append(got, c.Cert.Fingerprint())
	}
	for _, c := range want {
		wanted = append(wanted, c.Fingerprint())
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("%s has %x, want %x", addr, got, wanted)
	}
}

func set(t testing.TB, s *store.Store, c *certificate.Certificate, status store.Status) {
	t.Helper()
	if err := s.SetStatus(t.Context(), c.Fingerprint(), status, "because"); err != nil {
		t.Fatal(err)
	}
}

func TestNewKeyTakesThePlaceOfTheOld(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		first, second := w.cert(t, anna), w.cert(t, anna)
		add(t, s, harvested(first, w.now.Add(-time.Hour)))
		a := add(t, s, harvested(second, w.now.Add(-time.Minute)))[0]
		if a.Status != store.StatusActive || len(a.Superseded) != 1 || a.Superseded[0] != first.Fingerprint() {
			t.Errorf("added: %+v", a)
		}
		wantActive(t, s, anna, second)
		// An old message that is sent again changes nothing.
		add(t, s, harvested(first, w.now.Add(-30*time.Minute)))
		if got := statusOf(t, s, first); got != store.StatusSuperseded {
			t.Errorf("the first key is %s after an old message came again", got)
		}
		// Neither does an old message with a key that was never seen.
		third := w.cert(t, anna)
		if a := add(t, s, harvested(third, w.now.Add(-24*time.Hour)))[0]; a.Status != store.StatusSuperseded {
			t.Errorf("a key out of an old message is %s", a.Status)
		}
		wantActive(t, s, anna, second)
		// A new message signed with the first key: its owner uses that one again.
		add(t, s, harvested(first, w.now))
		wantActive(t, s, anna, first)
		// Without Supersede, both stand side by side.
		add(t, s, store.New{Cert: w.leaf(t, testkit.Leaf{Addresses: []string{anna}, NotBefore: w.now.Add(-9 * time.Hour)})})
		if found, _ := s.Lookup(t.Context(), []string{anna}); len(found[0]) != 2 {
			t.Errorf("%d active certificates, want 2", len(found[0]))
		}
	})
}

func TestChangeOfKeyIsHeld(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t, func(o *store.Options) { o.HoldKeyChange = true })
		first, second := w.cert(t, anna), w.cert(t, anna)
		add(t, s, harvested(first, w.now.Add(-time.Hour)))
		if a := add(t, s, harvested(second, w.now))[0]; a.Status != store.StatusHeld {
			t.Fatalf("the second key is %s", a.Status)
		}
		if c := byFingerprint(t, s, second); c.Why == "" {
			t.Error("nothing says why it is held")
		}
		wantActive(t, s, anna, first)
		add(t, s, harvested(second, w.now))
		wantActive(t, s, anna, first)
		set(t, s, second, store.StatusActive)
		wantActive(t, s, anna, second)
		if got := statusOf(t, s, first); got != store.StatusSuperseded {
			t.Errorf("the first key is %s", got)
		}
	})
}

// A certificate that also serves other addresses keeps serving them.
func TestNobodyLosesTheOnlyKey(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		both, own := w.cert(t, anna, bob), w.cert(t, anna)
		add(t, s, harvested(both, w.now.Add(-time.Hour)))
		add(t, s, harvested(own, w.now))
		wantActive(t, s, bob, both)
		if found, _ := s.Lookup(t.Context(), []string{anna}); len(found[0]) != 2 {
			t.Errorf("%d active certificates, want both", len(found[0]))
		}
	})
}

// A renewal has the same key; it is no change of key, and the old one goes.
func TestRenewal(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t, func(o *store.Options) { o.HoldKeyChange = true })
		m := newMould(t, w.ca)
		m.name = func(int) string { return mouldAddress }
		old, renewed := m.cert(t, 1), m.cert(t, 2)
		add(t, s, harvested(old, w.now.Add(-time.Hour)))
		if a := add(t, s, harvested(renewed, w.now))[0]; a.Status != store.StatusActive {
			t.Errorf("a renewal is %s", a.Status)
		}
		wantActive(t, s, mouldAddress, renewed)
	})
}

func TestRevokedIsForGood(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		c := w.cert(t, anna)
		add(t, s, store.New{Cert: c})
		set(t, s, c, store.StatusRevoked)
		wantActive(t, s, anna)
		more := []address.Address{mustAddress(t, bob)}
		a := add(t, s, store.New{Cert: c, Addresses: more}, harvested(c, w.now))
		if a[0].Status != store.StatusRevoked || !a[0].Known || a[1].Status != store.StatusRevoked {
			t.Errorf("added again: %+v", a)
		}
		wantActive(t, s, anna)
		wantActive(t, s, bob)
		if err := s.SetStatus(t.Context(), c.Fingerprint(), store.StatusActive, ""); !errors.Is(err, store.ErrRevoked) {
			t.Errorf("accepted again: %v", err)
		}
		if err := s.SetStatus(t.Context(), [32]byte{1}, store.StatusRevoked, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown one: %v", err)
		}
		if err := s.SetStatus(t.Context(), c.Fingerprint(), store.StatusExpired, ""); !errors.Is(err, store.ErrStatus) {
			t.Errorf("expired by hand: %v", err)
		}
	})
}

func TestSeenAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		c := w.cert(t, anna)
		n := harvested(c, w.now.Add(-2*time.Hour))
		n.Capabilities = []string{"1.2.3"}
		add(t, s, n)
		before := byFingerprint(t, s, c)
		late := harvested(c, w.now.Add(-time.Hour))
		late.Evidence.MessageID = "<2@example.org>\x00\xff"
		late.Capabilities = []string{"2.16.840.1.101.3.4.1.46", "1.2.3"}
		if a := add(t, s, late)[0]; !a.Known {
			t.Error("it is not known")
		}
		early := harvested(c, w.now.Add(-3*time.Hour))
		early.Capabilities = []string{"9.9"}
		add(t, s, early, store.New{Cert: c, Addresses: []address.Address{mustAddress(t, bob)}, Origin: store.OriginAPI})
		got := byFingerprint(t, s, c)
		if got.Evidence.MessageID != "<2@example.org> ?" || !slices.Equal(got.Capabilities, late.Capabilities) {
			t.Errorf("evidence %+v, capabilities %v", got.Evidence, got.Capabilities)
		}
		if !got.FirstSeen.Equal(w.now.Add(-3*time.Hour)) || !got.LastSeen.Equal(w.now) {
			t.Errorf("seen from %v to %v", got.FirstSeen, got.LastSeen)
		}
		if got.Origin != store.OriginHarvest || !slices.Equal(got.Addresses, []string{anna, bob}) || got.Seq <= before.Seq {
			t.Errorf("%+v", got)
		}
		wantActive(t, s, bob, c)
	})
}

func TestExpire(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		short := w.leaf(t, testkit.Leaf{Addresses: []string{anna}, Key: "p256", NotBefore: w.now.Add(-time.Hour), NotAfter: w.now.Add(time.Hour)})
		long := w.leaf(t, testkit.Leaf{Addresses: []string{anna}, Key: "p256", NotBefore: w.now.Add(-2 * time.Hour), NotAfter: w.now.Add(5 * time.Hour)})
		gone := w.leaf(t, testkit.Leaf{Addresses: []string{bob}, Key: "p256", NotBefore: w.now.Add(-2 * time.Hour), NotAfter: w.now.Add(-time.Hour)})
		a := add(t, s, store.New{Cert: short}, store.New{Cert: long}, store.New{Cert: gone})
		if a[2].Status != store.StatusExpired {
			t.Errorf("one whose time has passed is %s", a[2].Status)
		}
		wantActive(t, s, anna, short, long)
		if n, err := s.Expire(t.Context()); n != 0 || err != nil {
			t.Errorf("expired %d, %v", n, err)
		}
		w.now = w.now.Add(2 * time.Hour)
		wantActive(t, s, anna, long) // the clock decides
		before, _ := s.Sequence(t.Context())
		if n, err := s.Expire(t.Context()); n != 1 || err != nil {
			t.Errorf("expired %d, %v", n, err)
		}
		changes, err := s.Changes(t.Context(), before, 10)
		if err != nil || len(changes) != 1 || len(changes[0].Certificates) != 1 {
			t.Errorf("mirrors hear %+v, %v", changes, err)
		}
		if err := s.SetStatus(t.Context(), short.Fingerprint(), store.StatusActive, ""); !errors.Is(err, store.ErrExpired) {
			t.Errorf("accepted after its time: %v", err)
		}
		add(t, s, harvested(short, w.now))
		if got := statusOf(t, s, short); got != store.StatusExpired {
			t.Errorf("added after its time: %s", got)
		}
	})
}

// What comes later in a batch meets what came before it.
func TestOneBatchIsAsManyCalls(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		first, second := w.cert(t, anna), w.cert(t, anna)
		a := add(t, s, harvested(first, w.now.Add(-time.Hour)), harvested(second, w.now), harvested(first, w.now.Add(-time.Minute)))
		if a[0].Known || !a[2].Known || a[0].Status != store.StatusSuperseded || len(a[1].Superseded) != 1 {
			t.Errorf("%+v", a)
		}
		wantActive(t, s, anna, second)
		// All or none.
		if _, err := s.Add(t.Context(), []store.New{{Cert: w.cert(t, bob), Origin: store.OriginAPI}, {Cert: w.cert(t), Origin: store.OriginAPI}}); !errors.Is(err, store.ErrNoAddress) {
			t.Errorf("without an address: %v", err)
		}
		wantActive(t, s, bob)
	})
}

func mustAddress(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
