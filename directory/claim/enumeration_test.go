package claim_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/directory/claim"
)

// Who does not read a mailbox does not learn whether it is known, has a notice,
// or has used it: the answers are the same, and so is the work behind them.
func TestEnumeration(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Limits.Mailbox = 8 })
	type box struct{ name, addr string }
	boxes := []box{{"unknown", "nobody@example.org"}}
	for _, name := range []string{"new", "used", "expired", "deleted", "silent"} {
		boxes = append(boxes, box{name, name + "@example.org"})
	}
	w.provision(t, "silent@example.org", "")
	w.provision(t, "expired@example.org", "")
	w.notice(t, "expired@example.org")
	w.later(31 * 24 * time.Hour)
	w.enter(t, "used@example.org")
	secret, _, _ := w.enter(t, "deleted@example.org")
	if err := w.engine.DeleteKey(t.Context(), secret, time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.provision(t, "new@example.org", "KD-4711")
	w.notice(t, "new@example.org")

	seen := map[string]string{}
	for i, b := range boxes {
		var said []string
		for n := range 10 { // beyond what a notice allows, and beyond what a mailbox does
			before := w.records(t)
			_, s, err := w.engine.Prove(t.Context(), claim.Proof{Address: b.addr, Code: wrong(n), Client: client(1000*i + n)})
			said = append(said, fmt.Sprintf("%#v %+v %T %v, %d written", err, s, err, err, w.records(t)-before))
		}
		for range 5 {
			before := w.records(t)
			err := w.engine.Resend(t.Context(), b.addr, client(1000*i+100))
			said = append(said, fmt.Sprintf("resend %v, %d written", err, w.records(t)-before))
		}
		seen[b.name] = strings.Join(said, "\n")
	}
	for name, said := range seen {
		if want := addressless(seen["unknown"]); addressless(said) != want {
			t.Errorf("%s:\n%s\nand where nobody is known:\n%s", name, said, want)
		}
	}
}

var pointer = regexp.MustCompile(`\(0x[0-9a-f]+\)|0x[0-9a-f]+`)

// addressless takes away where errors lie in memory.
func addressless(s string) string { return pointer.ReplaceAllString(s, "") }

func (w *world) records(t testing.TB) uint64 {
	t.Helper()
	state, err := w.store.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.Records
}

// A program that looks through mail opens every link and presses every button,
// with nothing in the fields or with what stands around them. It uses nothing up
// but what a person may waste too.
func TestScanner(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "KD-4711")
	l := w.notice(t, anna)
	for i := range 50 {
		if _, err := w.engine.Peek(t.Context(), l.token); err != nil {
			t.Fatal(err)
		}
		for _, p := range []claim.Proof{{Token: l.token}, {Token: l.token, Code: " "}, {Address: anna}, {Token: l.token, Address: anna, Code: "--"}} {
			p.Client = client(i)
			_, _, err := w.engine.Prove(t.Context(), p)
			is(t, "an empty field", err, claim.ErrNoCode)
		}
	}
	secret, s, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	if err != nil || !s.NeedsSecret {
		t.Fatalf("%+v, %v", s, err)
	}
	for range 20 {
		_, _, err := w.engine.Second(t.Context(), secret, "", home)
		is(t, "an empty answer", err, claim.ErrNoCode)
	}
	if _, _, err := w.engine.Second(t.Context(), secret, "KD-4711", home); err != nil {
		t.Error(err)
	}
}
