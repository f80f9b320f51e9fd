package claim_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sealpost/directory/claim"
)

func TestClaimWithLinkAndCode(t *testing.T) {
	w := newWorld(t)
	id := w.provision(t, anna, "")
	l := w.notice(t, anna)
	for range 3 { // programs that look through mail follow links
		v, err := w.engine.Peek(t.Context(), l.token)
		if err != nil || !v.Valid || v.Masked != "a…a@example.org" || v.Language != "en" {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	_, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: " - ", Client: home})
	is(t, "a button that is pressed without a code", err, claim.ErrNoCode)

	typed := strings.ToLower(strings.ReplaceAll(l.code, "-", " "))
	secret, s, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: typed, Client: home})
	if err != nil {
		t.Fatal(err)
	}
	if s.Address != anna || s.NeedsSecret || !s.KeyThere || [32]byte(s.Fingerprint) != fingerprint(id) || s.CSRF == "" ||
		!s.Expires.Equal(w.now.Add(time.Hour)) || !s.Claimed.IsZero() {
		t.Errorf("%+v", s)
	}
	again, err := w.engine.Session(t.Context(), secret)
	if err != nil || again != s {
		t.Errorf("the session is another one: %+v, %v", again, err)
	}
	if v, err := w.engine.Peek(t.Context(), l.token); err != nil || v.Valid {
		t.Errorf("the link still counts: %+v, %v", v, err)
	}
	if err := w.engine.End(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	_, err = w.engine.Session(t.Context(), secret)
	is(t, "after its end", err, claim.ErrSession)
	is(t, "the end of nothing", w.engine.End(t.Context(), "nothing"), nil)
}

func TestClaimWithoutLink(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	wide := strings.Map(func(r rune) rune { return r + 0xfee0 }, strings.ReplaceAll(l.code, "-", "")) // an East Asian keyboard
	_, s, err := w.engine.Prove(t.Context(), claim.Proof{Address: " anna@EXAMPLE.org ", Code: wide, Client: home})
	if err != nil || s.Address != anna {
		t.Fatalf("%+v, %v", s, err)
	}
}

// Nobody gets more than a few wrong codes, however many clients he has; who has
// only the address does not use up what the link allows.
func TestBruteForce(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Limits.Mailbox = 1000 })
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	for i := range 20 {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Address: anna, Code: wrong(i), Client: client(i)})
		isWrong(t, err, -1)
	}
	_, _, err := w.engine.Prove(t.Context(), claim.Proof{Address: anna, Code: l.code, Client: client(99)})
	isWrong(t, err, -1) // even the right one: the guesses are used up
	for i := range 5 {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: wrong(i), Client: client(100 + i)})
		isWrong(t, err, 4-i)
	}
	for _, code := range []string{wrong(9), l.code} {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: code, Client: client(200)})
		is(t, "after five", err, claim.ErrTooMany)
	}
	if v, err := w.engine.Peek(t.Context(), l.token); err != nil || v.Valid {
		t.Errorf("the link still counts: %+v, %v", v, err)
	}
	if s := w.engine.Stats(); s.WrongCodes != 20+1+5 || s.Limited != 2 || s.Proven != 0 || s.Sent != 1 {
		t.Errorf("%+v", s)
	}
	if kinds := w.audit(t); strings.Count(kinds, "claim-refused") != 20+1+5+2 {
		t.Errorf("the audit log: %s", kinds)
	}
}

func TestLinkAfterGuesses(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	for i := range 5 {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Address: anna, Code: wrong(i), Client: client(i)})
		isWrong(t, err, -1)
	}
	if _, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home}); err != nil {
		t.Errorf("somebody who only knows an address has locked its owner out: %v", err)
	}
}

// Many attempts at the same moment are no more than one after the other.
func TestBruteForceAtOnce(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Limits.Client = 10000 })
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	const n = 40
	errs := make(chan error, n)
	for i := range n {
		go func() {
			_, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: wrong(i), Client: home})
			errs <- err
		}()
	}
	compared := 0
	for range n {
		var code *claim.CodeError
		if err := <-errs; errors.As(err, &code) {
			compared++
		} else {
			is(t, "one of many", err, claim.ErrTooMany)
		}
	}
	if compared != 5 {
		t.Errorf("%d codes were compared, want 5", compared)
	}
}

func TestClientsAndMailboxesAreLimited(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Limits.Client, o.Limits.Mailbox, o.Limits.Guesses = 3, 4, 6 })
	try := func(addr string, from netip.Addr) error {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Address: addr, Code: wrong(1), Client: from})
		return err
	}
	neighbour := netip.MustParseAddr("2001:db8::1")
	for i := range 3 {
		isWrong(t, try(fmt.Sprintf("a%d@example.org", i), neighbour), -1)
	}
	is(t, "the same /64", try(anna, netip.MustParseAddr("2001:db8::ffff")), claim.ErrTooMany)
	w.later(time.Hour)
	for i := range 4 {
		isWrong(t, try(bert, client(i)), -1)
	}
	is(t, "one mailbox", try(bert, client(50)), claim.ErrTooMany)
	isWrong(t, try(anna, client(51)), -1)
	isWrong(t, try(anna, client(52)), -1)
	is(t, "everybody together", try(anna, client(53)), claim.ErrTooMany)
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	first, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	is(t, "the link again", err, claim.ErrUsed)
	_, _, err = w.engine.Prove(t.Context(), claim.Proof{Address: anna, Code: l.code, Client: home})
	isWrong(t, err, -1)
	if _, err := w.engine.Session(t.Context(), first); err != nil {
		t.Errorf("the first session ended by it: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	secret, _, _ := w.enter(t, bert)
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	w.later(time.Hour)
	_, err := w.engine.Session(t.Context(), secret)
	is(t, "a session after an hour", err, claim.ErrSession)
	w.later(30 * 24 * time.Hour)
	_, _, err = w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	is(t, "a link after a month", err, claim.ErrExpired)
	_, _, err = w.engine.Prove(t.Context(), claim.Proof{Address: anna, Code: l.code, Client: home})
	isWrong(t, err, -1)
	if v, err := w.engine.Peek(t.Context(), l.token); err != nil || v.Valid {
		t.Errorf("%+v, %v", v, err)
	}
}

// A token or a code of one mailbox is worth nothing for another one.
func TestMixedUp(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	w.provision(t, bert, "")
	a, b := w.notice(t, anna), w.notice(t, bert)
	if a.code == b.code || a.token == b.token {
		t.Fatal("two notices are the same")
	}
	for _, p := range []claim.Proof{{Token: a.token, Code: b.code}, {Address: bert, Code: a.code}} {
		p.Client = home
		_, _, err := w.engine.Prove(t.Context(), p)
		var code *claim.CodeError
		if !errors.As(err, &code) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestTokensThatAreNone(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	l := w.notice(t, anna)
	other := w.opts
	other.Key = []byte(strings.Repeat("k", claim.KeySize))
	e := w.build(t, other)
	if _, err := e.Peek(t.Context(), l.token); !errors.Is(err, claim.ErrToken) {
		t.Errorf("with another key: %v", err)
	}
	if _, _, err := e.Prove(t.Context(), claim.Proof{Address: anna, Code: l.code, Client: home}); err == nil {
		t.Error("a code is valid with another key")
	}
	for i := range len(l.token) {
		changed := []byte(l.token)
		changed[i] ^= 1
		_, err := w.engine.Peek(t.Context(), string(changed))
		is(t, fmt.Sprintf("character %d changed", i), err, claim.ErrToken)
	}
	for _, token := range []string{"", "x", l.token[:40], l.token + "A", l.token + "=", strings.Repeat("A", 100000), "\x00\xff"} {
		_, err := w.engine.Peek(t.Context(), token)
		is(t, fmt.Sprintf("%.20q", token), err, claim.ErrToken)
		if token != "" {
			_, _, err = w.engine.Prove(t.Context(), claim.Proof{Token: token, Code: l.code, Client: home})
			is(t, fmt.Sprintf("%.20q with a code", token), err, claim.ErrToken)
		}
	}
	for _, addr := range []string{"", "nobody", "@", "a@b@c", "<>"} {
		_, _, err := w.engine.Prove(t.Context(), claim.Proof{Address: addr, Code: l.code, Client: home})
		is(t, addr, err, claim.ErrAddress)
	}
	for _, secret := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 100000)} {
		_, err := w.engine.Session(t.Context(), secret)
		is(t, fmt.Sprintf("secret %.20q", secret), err, claim.ErrSession)
	}
}

func wrong(i int) string { return fmt.Sprintf("2222%04d", 1000+i) } // has 0 and 1, which no code has

func client(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }

func isWrong(t testing.TB, err error, left int) {
	t.Helper()
	var code *claim.CodeError
	if !errors.As(err, &code) || code.Left != left {
		t.Errorf("%#v, want a wrong code with %d left", err, left)
	}
}

// What one node has begun, another goes on with.
func TestSessionsOfAnotherNode(t *testing.T) {
	w := newWorld(t)
	other := w.build(t, w.opts)
	w.provision(t, anna, "KD-4711")
	first, s := w.prove(t, w.notice(t, anna))
	if there, err := other.Session(t.Context(), first); err != nil || there != s {
		t.Fatalf("%+v, %v", there, err)
	}
	second, _, err := other.Second(t.Context(), first, "KD-4711", home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.PKCS12(t.Context(), second, good, claim.Modern); err != nil {
		t.Error(err)
	}
	_, err = w.engine.Session(t.Context(), first)
	is(t, "the session before", err, claim.ErrSession)
}

// FuzzProve: nothing but the token and the code of a notice opens it, however
// they are spelled, and nothing else changes it.
func FuzzProve(f *testing.F) {
	w := newWorld(f, func(o *claim.Options) { o.Limits.Tries, o.Limits.Client = 1<<30, 1<<30 })
	w.provision(f, anna, "")
	l := w.notice(f, anna)
	plain := strings.ReplaceAll(l.code, "-", "")
	f.Add(l.token, "2345-6789")
	f.Add(l.token+"=", l.code)
	f.Add(l.token[1:], l.code)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, token, code string) {
		if _, err := w.engine.Peek(t.Context(), token); (err == nil) != (token == l.token) {
			t.Errorf("%q: %v", token, err)
		}
		if strings.Contains(strings.ToUpper(code), plain[:4]) {
			return // somebody who knows half of it, in whatever form the other half is
		}
		if _, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: token, Address: bert, Code: code, Client: home}); err == nil {
			t.Errorf("%q with %q opens", token, code)
		}
		if n, err := w.store.Notices(t.Context(), anna); err != nil || len(n) != 1 || !n[0].Used.IsZero() {
			t.Errorf("%+v, %v", n, err)
		}
	})
}
