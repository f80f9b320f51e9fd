package dsn

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/internal/address"
)

func mustParse(t *testing.T, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWaiting(t *testing.T) {
	w := Waiting{
		Hostname: "relay.bank.example", ID: "06H0.waiting", Now: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC),
		From: mustParse(t, "statements@bank.example"), To: mustParse(t, `"odd, name"@example.org`),
		Until: time.Date(2026, 11, 30, 7, 0, 0, 0, time.UTC),
	}
	n, err := w.Compose()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := n.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"To: <\"odd, name\"@example.org>\r\n", "Auto-Submitted: auto-generated\r\n",
		"\r\n    statements@bank.example\r\n", "by 30 November 2026,",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the notice lacks %q:\n%s", want, b.String())
		}
	}
	for line := range strings.SplitSeq(b.String(), "\r\n") {
		if len(line) > maxLine || strings.ContainsAny(line, "\r\n") {
			t.Errorf("bad line %q", line)
		}
	}
	if w.SMTPUTF8() {
		t.Error("SMTPUTF8 for ASCII addresses")
	}
}

func TestWaitingWantsItsParts(t *testing.T) {
	whole := Waiting{Hostname: "relay.bank.example", ID: "x", From: mustParse(t, "a@b.example"), To: mustParse(t, "c@d.example")}
	for name, change := range map[string]func(*Waiting){
		"host": func(w *Waiting) { w.Hostname = "no domain" }, "id": func(w *Waiting) { w.ID = "a\r\nBcc: x" },
		"no id": func(w *Waiting) { w.ID = "" }, "from": func(w *Waiting) { w.From = address.Address{} }, "to": func(w *Waiting) { w.To = address.Address{} },
	} {
		w := whole
		change(&w)
		if _, err := w.Compose(); !errors.Is(err, ErrReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
