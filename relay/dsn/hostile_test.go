package dsn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/relay/reply"
)

// perRecipient and perMessage are the bounds that the package comment and
// docs/bounces.md promise, in octets.
const (
	perRecipient = 4 << 10
	perMessage   = 160 << 10
)

func TestHostileInputIsBounded(t *testing.T) {
	long := strings.Repeat("\x00ä\xff\r\n\u202e", 100<<10)
	for name, change := range map[string]func(*Report){
		"1 MiB of diagnostic":          func(r *Report) { r.Recipients[0].Diagnostic.Text = strings.Repeat("x", 1<<20) },
		"1 MiB of diagnostic in lines": func(r *Report) { r.Recipients[0].Diagnostic.Text = strings.Repeat("x\n", 1<<19) },
		"1 MiB of empty lines":         func(r *Report) { r.Recipients[0].Diagnostic.Text = strings.Repeat("\r\n", 1<<19) },
		"1 MiB of blanks":              func(r *Report) { r.Recipients[0].Diagnostic.Text = "x" + strings.Repeat(" ", 1<<20) + "y" },
		"diagnostic of dirt":           func(r *Report) { r.Recipients[0].Diagnostic.Text = long },
		"names of dirt":                func(r *Report) { r.ReceivedFrom, r.Recipients[0].RemoteMTA = long, long },
		"parameters of dirt":           func(r *Report) { r.EnvID, r.Recipients[0].ORcpt = long, "utf-8;"+long },
		"a type of dirt":               func(r *Report) { r.Recipients[0].ORcpt = long + ";a@b.example" },
		"header of dirt":               func(r *Report) { r.Header = []byte("Subject: " + long) },
		"one field of 256 KiB":         func(r *Report) { r.Header = []byte("Subject: " + strings.Repeat("x ", 128<<10)) },
		"256 KiB of one field":         func(r *Report) { r.Header = []byte(strings.Repeat("Subject: x\r\n", 22000)) },
		"256 KiB of hops":              func(r *Report) { r.Header = []byte(strings.Repeat("Received: x\r\n", 20000)) },
		"256 KiB of continuation":      func(r *Report) { r.Header = []byte("To: a" + strings.Repeat("\r\n ", 80000) + "b") },
		"a line of 3000 octets":        func(r *Report) { r.Header = []byte("To: " + strings.Repeat("a@b.example,", 250)) },
	} {
		r := statement(t)
		change(&r)
		raw := compose(t, r)
		wellFormed(t, raw, false)
		n := read(t, raw)
		if len(raw) > perMessage+perRecipient || len(n.each) != 1 {
			t.Errorf("%s: %d octets, %d recipients", name, len(raw), len(n.each))
		}
	}
}

func TestThousandRecipientsAreBounded(t *testing.T) {
	r := statement(t)
	r.Recipients = nil
	for i := range 1000 {
		r.Recipients = append(r.Recipients, Recipient{
			Address: parse(t, fmt.Sprintf("%s%d@%sexample", strings.Repeat("ä", 28), i, strings.Repeat(strings.Repeat("ü", 50)+".", 2))),
			ORcpt:   "utf-8;" + strings.Repeat(`\x{1F600}`, 55), Action: Failed, RemoteMTA: strings.Repeat("m", 300),
			Diagnostic: reply.New(550, reply.Enhanced{5, 1, 1}, fmt.Sprint(i)+strings.Repeat(" ö", 50<<10)),
		})
	}
	for _, utf8 := range []bool{false, true} {
		r.UTF8 = utf8
		raw := compose(t, r)
		wellFormed(t, raw, utf8)
		if n := read(t, raw); len(n.each) != 1000 {
			t.Errorf("%d recipients are reported", len(n.each))
		}
		if len(raw) > perMessage+1000*perRecipient {
			t.Errorf("%d octets", len(raw))
		}
	}
}

// A part of an address is another address: what fits no line is left out, and
// what must be there has a form that fits.
func TestLongAddressesStayWhole(t *testing.T) {
	long := parse(t, strings.Repeat("+", 60)+"ä@"+strings.Repeat(strings.Repeat("ü", 55)+".", 2)+"example")
	r := statement(t)
	r.Recipients[0].Address, r.Recipients[0].ORcpt = long, "utf-8;"+strings.Repeat(`\x{E4}`, 200)
	h := read(t, compose(t, r)).each[0]
	if got, want := h.Get("Final-Recipient"), "utf-8; "+xtext(long.Local())+"@"+long.ASCIIDomain(); got != want {
		t.Errorf("Final-Recipient is %s, want %s", got, want)
	}
	if h.Has("Original-Recipient") {
		t.Errorf("Original-Recipient is %s", h.Get("Original-Recipient"))
	}
}

// Nothing of a message comes back but the fields of the closed list.
func TestSecretsDoNotComeBack(t *testing.T) {
	canary := string(testkit.NewCanary(t))
	for _, field := range []string{
		"Bcc: %s", "Resent-Bcc: %s", "Return-Path: <%s@x.example>", "Content-Type: text/plain; name=%s",
		"Content-Disposition: attachment; filename=%s", "Content-Description: %s", "X-Account: %s", "Comments: %s",
		"Keywords: %s", "DKIM-Signature: %s", "Autocrypt: %s", "Thread-Topic: %s", "Subject : %s", "Sub\x00ject: %s",
		"no field %s\r\nSubject: %[1]s", "\r\nSubject: %s", "\r\n\r\n%s", "X: a\rX: %s", "X: a\nContent-Type: %s",
		"Content-Type: a\r\n \r\n\t%s",
	} {
		r := statement(t)
		secret := fmt.Sprintf(field, canary)
		r.Header = []byte("From: <a@bank.example>\r\n" + secret + "\r\nTo: <b@bank.example>\r\n")
		raw := compose(t, r)
		testkit.Canary(canary).Absent(t, field, raw)
		names := read(t, raw).fieldNames(t)
		if !slices.Contains(names, "from") {
			t.Errorf("%s: %v came back", field, names)
		}
	}
}

// Every reason that a notification can give has a sentence of its own.
func TestReasonsAreExplained(t *testing.T) {
	general, _ := advice(reason.None)
	for _, why := range reason.All() {
		happened, do := advice(why)
		if happened == "" || do == "" {
			t.Errorf("%s: %q, %q", why, happened, do)
		}
		for _, prefix := range []string{"no-certificate", "certificate-", "lookup-", "upstream-", "message-expired", "message-damaged"} {
			if strings.HasPrefix(string(why), prefix) && happened == general {
				t.Errorf("%s has no words of its own", why)
			}
		}
	}
}

func TestReportsThatCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"null sender":     func(r *Report) { r.To = address.Address{} },
		"no hostname":     func(r *Report) { r.Hostname = "" },
		"hostname":        func(r *Report) { r.Hostname = "a\r\nb" },
		"no id":           func(r *Report) { r.ID = "" },
		"long id":         func(r *Report) { r.ID = strings.Repeat("a", 61) },
		"id with a blank": func(r *Report) { r.ID = "a b" },
		"id with a quote": func(r *Report) { r.ID = `a"b` },
		"id of dots":      func(r *Report) { r.ID = "a..b" },
		"queue id":        func(r *Report) { r.QueueID = "a=b" },
		"no recipients":   func(r *Report) { r.Recipients = nil },
		"null recipient":  func(r *Report) { r.Recipients[0].Address = address.Address{} },
		"no action":       func(r *Report) { r.Recipients[0].Action = "" },
		"expanded":        func(r *Report) { r.Recipients[0].Action = "expanded" },
	} {
		r := statement(t)
		change(&r)
		if out, err := Compose(r); !errors.Is(err, ErrReport) || out != nil {
			t.Errorf("%s: %v, %d octets", name, err, len(out))
		}
	}
}
