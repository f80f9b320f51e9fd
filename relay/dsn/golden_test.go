package dsn

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

var update = flag.Bool("update", false, "write the golden files and the example in docs/bounces.md anew")

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func compose(t testing.TB, r Report) []byte {
	t.Helper()
	out, err := Compose(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

var cet = time.FixedZone("CET", 3600)

// statementHeader is the header of the message that most reports are about,
// with fields that must not come back.
const statementHeader = `Received: from mailer.bank.example (mailer.bank.example [192.0.2.10])
	by relay.bank.example (Sealpost) with ESMTPS id 0K7Q3F2M8V5T1R9C;
	Mon, 02 Nov 2026 08:00:00 +0100
Date: Mon, 02 Nov 2026 08:00:00 +0100
From: Bank <statements@bank.example>
To: Anna <anna@example.org>
Bcc: auditor@bank.example
Subject: Your statement for October
Message-ID: <20261102.4711@mailer.bank.example>
X-Account: DE00 1234 5678
MIME-Version: 1.0
Content-Type: application/pdf; name="statement-4711.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="statement-4711.pdf"
DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=x; b=AAAA

`

// statement reports on that message, with one recipient who fails.
func statement(t testing.TB) Report {
	arrived := time.Date(2026, 11, 2, 8, 0, 0, 0, cet)
	return Report{
		Hostname: "relay.bank.example", ID: "0K7Q3F9W2D4H6B8X", Now: arrived.Add(5 * time.Second),
		To: parse(t, "statements@bank.example"), QueueID: "0K7Q3F2M8V5T1R9C", EnvID: "job-17/4711",
		Arrived: arrived, ReceivedFrom: "mailer.bank.example", ClientAddr: netip.MustParseAddr("192.0.2.10"),
		Header: crlf(statementHeader),
		Recipients: []Recipient{{
			Address: parse(t, "anna@example.org"), ORcpt: "rfc822;Anna@example.org", Action: Failed,
			Status: reply.Enhanced{5, 1, 1}, RemoteMTA: "mx.example.org:25",
			Diagnostic:  reply.New(550, reply.Enhanced{5, 1, 1}, "<anna@example.org>: no such mailbox here"),
			LastAttempt: arrived.Add(4 * time.Second), Reason: reason.UpstreamRefused,
		}},
	}
}

func delayed(t testing.TB) Report {
	r := statement(t)
	r.Now = r.Arrived.Add(4 * time.Hour)
	r.Recipients = []Recipient{{
		Address: parse(t, "anna@example.org"), Action: Delayed, Status: reply.Enhanced{4, 4, 1},
		Diagnostic:  reply.New(451, reply.Enhanced{4, 4, 1}, "Upstream cannot be reached"),
		LastAttempt: r.Now, WillRetryUntil: r.Arrived.Add(120 * time.Hour), Reason: reason.UpstreamUnreachable,
	}}
	return r
}

func relayed(t testing.TB) Report {
	r := statement(t)
	p := &r.Recipients[0]
	p.Action, p.Status, p.Reason = Relayed, reply.Enhanced{2, 0, 0}, reason.None
	p.Diagnostic = reply.New(250, reply.Enhanced{2, 0, 0}, "Ok: queued as 4Xy7")
	return r
}

// several has recipients of different fates, two of them of the same.
func several(t testing.TB) Report {
	r := delayed(t)
	held := Recipient{
		Address: parse(t, "bert@example.net"), Action: Failed, Status: reply.Enhanced{5, 7, 1},
		Diagnostic: reply.New(550, reply.Enhanced{5, 7, 1}, "No certificate"), Reason: reason.NoCertificate,
	}
	other := held
	other.Address, other.ORcpt = parse(t, `"c d"@example.net`), `rfc822;"c  d"@example.net`
	refused := statement(t).Recipients[0]
	refused.Address = parse(t, "dora@[192.0.2.7]")
	refused.Diagnostic.Text = "Our policy\nforbids this.\nSee https://postmaster.example.org/policy/5.7.1 for what you can do about it, and whom to ask"
	r.Recipients = append(r.Recipients, held, other, refused)
	return r
}

const globalHeader = `Date: Mon, 02 Nov 2026 08:00:00 +0100
From: =?utf-8?q?M=C3=BCller?= <müller@bank.example>
To: 安娜@例子.example
Subject: Kontoauszug für Oktober
Message-ID: <20261102.4712@mailer.bank.example>

`

// global needs SMTPUTF8 (RFC 6533).
func global(t testing.TB) Report {
	r := statement(t)
	r.UTF8, r.Header, r.To = true, crlf(globalHeader), parse(t, "müller@bank.example")
	p := &r.Recipients[0]
	p.Address, p.ORcpt = parse(t, "安娜@例子.example"), `utf-8;\x{5B89}\x{5A1C}@\x{4F8B}\x{5B50}.example`
	p.Diagnostic.Text = "Postfach unbekannt: <安娜@例子.example>, größer geht es nicht"
	return r
}

// downgraded is the same for a sender who may not understand RFC 6533.
func downgraded(t testing.TB) Report {
	r := global(t)
	r.UTF8, r.To = false, parse(t, "mueller@bank.example")
	return r
}

// hostile has control characters, line ends and forged fields in every place
// that somebody else fills.
func hostile(t testing.TB) Report {
	r := statement(t)
	evil := "x\r\nBcc: evil@example.com\r\n\r\n--=_0K7Q3F9W2D4H6B8X\r\n\x00\x1b[31m\u202e\xff"
	r.EnvID, r.ReceivedFrom = evil, evil
	r.Header = append([]byte("Subject: a\nX-Forged: evil\rContent-Type: evil\r\n \r\n\tb\x00\xe9\r\n"), r.Header...)
	p := &r.Recipients[0]
	p.ORcpt, p.RemoteMTA, p.Diagnostic.Text = "rfc822;"+evil, evil, evil
	return r
}

var reports = map[string]func(testing.TB) Report{
	"failed": statement, "delayed": delayed, "relayed": relayed, "several": several,
	"global": global, "downgraded": downgraded, "hostile": hostile,
}

func TestGolden(t *testing.T) {
	for name, report := range reports {
		t.Run(name, func(t *testing.T) {
			got, path := compose(t, report(t)), filepath.Join("testdata", name+".eml")
			if again := compose(t, report(t)); !bytes.Equal(got, again) {
				t.Error("equal reports give different bytes")
			}
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; see what changed with -update and git diff. Now:\n%s", path, got)
			}
		})
	}
}
