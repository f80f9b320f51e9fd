package dsn

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// rules are what the RFCs ask of a notification, each with its place. ok looks
// at the parsed form and at the bytes.
var rules = []struct {
	rfc    string
	rule   string
	report func(testing.TB) Report
	ok     func(n notification, raw string) bool
}{
	{"3464 2", "multipart/report with report-type delivery-status", statement, func(n notification, _ string) bool {
		kind, params, err := n.header.ContentType()
		return err == nil && kind == "multipart/report" && params["report-type"] == "delivery-status"
	}},
	{"3464 2", "addressed to the return address", statement, func(n notification, _ string) bool {
		to, err := mail.ParseAddress(n.header.Get("To"))
		return err == nil && to.Address == "statements@bank.example"
	}},
	{"3464 2", "From is a human at the reporting site", statement, func(n notification, _ string) bool {
		from, err := mail.ParseAddress(n.header.Get("From"))
		return err == nil && from.Address == "postmaster@relay.bank.example"
	}},
	{"3464 2.1", "delivery-status is 7bit", hostile, func(n notification, raw string) bool {
		return n.kinds[1] == "message/delivery-status" && isASCII(raw) &&
			!strings.Contains(raw, "message/delivery-status\r\nContent-Transfer-Encoding")
	}},
	{"3464 2.2.1", "the envelope id keeps case and spelling", statement, func(n notification, _ string) bool {
		return n.whole.Get("Original-Envelope-Id") == "job-17/4711"
	}},
	{"3464 2.2.1", "no envelope id where none was given", func(t testing.TB) Report {
		r := statement(t)
		r.EnvID = ""
		return r
	}, func(n notification, _ string) bool { return !n.whole.Has("Original-Envelope-Id") }},
	{"3464 2.2.2", "Reporting-MTA is our domain", statement, func(n notification, _ string) bool {
		return n.whole.Get("Reporting-MTA") == "dns; relay.bank.example"
	}},
	{"3464 2.2.4", "Received-From-MTA: EHLO, and the address as comment", statement, func(n notification, _ string) bool {
		return n.whole.Get("Received-From-MTA") == "dns; mailer.bank.example ([192.0.2.10])"
	}},
	{"3464 2.2.5", "dates with numeric zone", delayed, func(n notification, _ string) bool {
		dates := []string{n.whole.Get("Arrival-Date"), n.each[0].Get("Last-Attempt-Date"), n.each[0].Get("Will-Retry-Until")}
		return !slices.ContainsFunc(dates, func(d string) bool {
			_, err := mail.ParseDate(d)
			return err != nil || !regexp.MustCompile(` [+-]\d{4}$`).MatchString(d)
		})
	}},
	{"3464 2.3", "a group for each recipient, in the order of the RFC", several, func(n notification, _ string) bool {
		order := []string{"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code",
			"Last-Attempt-Date", "Will-Retry-Until", "X-Sealpost-Reason"}
		for _, h := range n.each {
			last := -1
			for f := h.Fields(); f.Next(); {
				i := slices.Index(order, f.Key())
				if i <= last {
					return false
				}
				last = i
			}
		}
		return len(n.each) == 4
	}},
	{"3464 2.3.1", "Original-Recipient is ORCPT to the letter", several, func(n notification, _ string) bool {
		return n.each[2].Get("Original-Recipient") == `rfc822; "c  d"@example.net` && !n.each[0].Has("Original-Recipient")
	}},
	{"3464 2.3.2", "Final-Recipient is the envelope's address", several, func(n notification, _ string) bool {
		return n.each[2].Get("Final-Recipient") == `rfc822; "c d"@example.net` &&
			n.each[3].Get("Final-Recipient") == "rfc822; dora@[192.0.2.7]"
	}},
	{"3464 2.3.3", "Action", several, func(n notification, _ string) bool {
		return n.each[0].Get("Action") == "delayed" && n.each[1].Get("Action") == "failed"
	}},
	{"3464 2.3.4", "Status", several, func(n notification, _ string) bool {
		return n.each[0].Get("Status") == "4.4.1" && n.each[1].Get("Status") == "5.7.1"
	}},
	{"3464 2.3.5", "Remote-MTA only where a remote one spoke", several, func(n notification, _ string) bool {
		return !n.each[1].Has("Remote-MTA") && n.each[3].Get("Remote-MTA") == "dns; mx.example.org"
	}},
	{"3464 2.3.6", "Diagnostic-Code for failed and delayed only", relayed, func(n notification, _ string) bool {
		return n.each[0].Get("Action") == "relayed" && !n.each[0].Has("Diagnostic-Code")
	}},
	{"3464 2.3.6", "a diagnostic that is no SMTP reply has its own type", several, func(n notification, _ string) bool {
		return strings.HasPrefix(n.each[1].Get("Diagnostic-Code"), "x-sealpost; ") &&
			strings.HasPrefix(n.each[3].Get("Diagnostic-Code"), "smtp; ")
	}},
	{"3464 2.3.9", "Will-Retry-Until for delayed only", func(t testing.TB) Report {
		r := delayed(t)
		r.Recipients = append(r.Recipients, statement(t).Recipients[0])
		r.Recipients[1].WillRetryUntil = r.Now
		return r
	}, func(n notification, _ string) bool {
		return n.each[0].Has("Will-Retry-Until") && !n.each[1].Has("Will-Retry-Until")
	}},
	{"3464 2.4", "extension fields begin with X-", several, func(n notification, _ string) bool {
		return n.whole.Get("X-Sealpost-Queue-ID") == "0K7Q3F2M8V5T1R9C" && n.each[1].Get("X-Sealpost-Reason") == string(reason.NoCertificate)
	}},
	{"3461 9.2", "a reply of one line is transcribed", statement, func(n notification, _ string) bool {
		return n.each[0].Get("Diagnostic-Code") == "smtp; 550 5.1.1 <anna@example.org>: no such mailbox here"
	}},
	{"3461 9.2", "further lines of a reply begin with a blank", several, func(_ notification, raw string) bool {
		return strings.Contains(raw, "Diagnostic-Code: smtp; 550-5.1.1 Our policy\r\n 550-5.1.1 forbids this.\r\n 550 5.1.1 See ")
	}},
	{"3461 4.3", "headers only, whatever RET says", statement, func(n notification, _ string) bool {
		return len(n.kinds) == 3 && n.kinds[2] == "text/rfc822-headers"
	}},
	{"6522 3", "text for people first, then for programs", several, func(n notification, _ string) bool {
		return n.kinds[0] == "text/plain" && n.kinds[1] == "message/delivery-status"
	}},
	{"6522 3", "two parts where there is no header", func(t testing.TB) Report {
		r := statement(t)
		r.Header = nil
		return r
	}, func(n notification, _ string) bool { return len(n.kinds) == 2 }},
	{"6522 4", "a broken header is quoted-printable", downgraded, func(n notification, raw string) bool {
		return isASCII(raw) && strings.Contains(n.bodies[2], "Kontoauszug für Oktober")
	}},
	{"6533 3", "utf-8 addresses in 7 bits", downgraded, func(n notification, _ string) bool {
		const escaped = `utf-8; \x{5B89}\x{5A1C}@\x{4F8B}\x{5B50}.example`
		return n.each[0].Get("Final-Recipient") == escaped && n.each[0].Get("Original-Recipient") == escaped
	}},
	{"6533 4.1", "message/global-delivery-status has utf-8 addresses as they are", global, func(n notification, _ string) bool {
		const plain = "utf-8; 安娜@例子.example"
		return n.kinds[1] == "message/global-delivery-status" &&
			n.each[0].Get("Final-Recipient") == plain && n.each[0].Get("Original-Recipient") == plain
	}},
	{"6533 4.3", "message/global-headers", global, func(n notification, _ string) bool {
		return n.kinds[2] == "message/global-headers"
	}},
	{"6533 4.4", "the old types where all is ASCII", func(t testing.TB) Report {
		r := statement(t)
		r.UTF8 = true
		return r
	}, func(n notification, _ string) bool {
		return n.kinds[1] == "message/delivery-status" && n.kinds[2] == "text/rfc822-headers"
	}},
	{"3834 5.2", "Auto-Submitted: auto-replied, for a DSN too", statement, func(n notification, _ string) bool {
		return n.header.Get("Auto-Submitted") == "auto-replied"
	}},
	{"3834 3.1.6", "In-Reply-To names the message", statement, func(n notification, _ string) bool {
		return n.header.Get("In-Reply-To") == "<20261102.4711@mailer.bank.example>"
	}},
	{"5322 3.6", "Date and Message-ID", statement, func(n notification, _ string) bool {
		d, err := mail.ParseDate(n.header.Get("Date"))
		return err == nil && d.Equal(time.Date(2026, 11, 2, 7, 0, 5, 0, time.UTC)) &&
			n.header.Get("Message-ID") == "<0K7Q3F9W2D4H6B8X@relay.bank.example>"
	}},
}

func TestRules(t *testing.T) {
	for _, r := range rules {
		report := r.report(t)
		raw := compose(t, report)
		wellFormed(t, raw, report.SMTPUTF8())
		if !r.ok(read(t, raw), string(raw)) {
			t.Errorf("RFC %s: %s:\n%s", r.rfc, r.rule, raw)
		}
	}
}

// RFC 3464 section 2.3.3, and the note in it: what was given up may have a
// temporary status.
func TestStatusGoesWithAction(t *testing.T) {
	none, e := reply.Enhanced{}, func(a, b, c int) reply.Enhanced { return reply.Enhanced{a, b, c} }
	for _, c := range []struct {
		action           Action
		given, said, out reply.Enhanced
	}{
		{Failed, e(5, 1, 1), none, e(5, 1, 1)},
		{Failed, e(4, 4, 7), none, e(4, 4, 7)},
		{Failed, none, none, e(5, 0, 0)},
		{Failed, none, e(5, 2, 2), e(5, 2, 2)},
		{Failed, e(2, 0, 0), none, e(5, 0, 0)},
		{Failed, e(5, 1000, 1), e(5, -1, 1), e(5, 0, 0)},
		{Delayed, e(5, 1, 1), e(4, 2, 0), e(4, 2, 0)},
		{Delayed, none, none, e(4, 0, 0)},
		{Relayed, e(5, 1, 1), none, e(2, 0, 0)},
		{Relayed, e(2, 1, 5), none, e(2, 1, 5)},
	} {
		p := Recipient{Action: c.action, Status: c.given, Diagnostic: reply.Reply{Enhanced: c.said}}
		if got := p.status(); got != c.out {
			t.Errorf("%s %v %v: %v, want %v", c.action, c.given, c.said, got, c.out)
		}
	}
}

// RFC 3461 section 4.1.
func TestWanted(t *testing.T) {
	for _, c := range []struct {
		notify string
		told   []Action
	}{
		{"", []Action{Failed, Delayed}},
		{"NEVER", nil},
		{"FAILURE", []Action{Failed}},
		{"failure,Delay", []Action{Failed, Delayed}},
		{"SUCCESS", []Action{Relayed}},
		{"SUCCESS,FAILURE,DELAY", []Action{Failed, Delayed, Relayed}},
	} {
		notify := strings.FieldsFunc(c.notify, func(r rune) bool { return r == ',' })
		for _, a := range []Action{Failed, Delayed, Relayed, "expanded", ""} {
			if got := Wanted(notify, a); got != slices.Contains(c.told, a) {
				t.Errorf("NOTIFY=%s, %q: %v", c.notify, a, got)
			}
		}
	}
}
