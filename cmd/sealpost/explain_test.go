package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

const explainedPolicy = `policy:
  - {name: internal, recipient: "*@bank.example", encrypt: never}
  - {name: from-lab, client: [10.9.0.0/16], encrypt: never}
  - {name: bounces, sender: "<>", no_key: plaintext}
  - {name: marketing, sender: "news@*", header: {name: X-Class, value: "public*"}, encrypt: never}
  - {name: private, header: {name: Subject, value: "*[private]*"}}
  - {name: lax, recipient: "*@lax.example", no_key: plaintext}
  - {name: trouble, recipient: "*@trouble.example", no_key: plaintext}
  - {name: customers, recipient: "*@example.org"}
`

// What explain says is what a client hears: for every sender, recipient and
// header, from a live server with the same configuration.
func TestExplainIsWhatTheServerAnswers(t *testing.T) {
	in := newInstallation(t)
	in.odd(t)
	in.enroll("other@example.org", in.ca.For(t, "other@example.org"))
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  timeout: 500ms\n  cache: {negative_ttl: 1s}\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+keys.source("")+explainedPolicy)
	in.start(t)
	d := in.dial(t)
	recipients := []string{"rsa@example.org", "curve@example.org", "teller@bank.example", "nokey@lax.example", "html@trouble.example", "other@trouble.example", "x@elsewhere.example"}
	for r := range refusals {
		recipients = append(recipients, r)
	}
	for _, header := range []string{"", "X-Class: Public, for all", "Subject: a [private] matter"} {
		for _, from := range []string{"statements@bank.example", "news@bank.example", "<>"} {
			said := in.explained(t, header, from, recipients...)
			for _, to := range recipients {
				in.compare(t, d, header, from, said[to])
			}
		}
	}
}

// explained runs explain --json.
func (in *installation) explained(t testing.TB, header, from string, to ...string) map[string]explanation {
	t.Helper()
	args := []string{"explain", "--json", "--config", in.config, "--from", from}
	for _, r := range to {
		args = append(args, "--to", r)
	}
	if header != "" {
		args = append(args, "--header", header)
	}
	out, errs, code := sealpost(t, "", args...)
	if code != exitOK {
		t.Fatalf("explain: %d, %s", code, errs)
	}
	said := map[string]explanation{}
	decoder := json.NewDecoder(strings.NewReader(out))
	for decoder.More() {
		var e explanation
		if err := decoder.Decode(&e); err != nil {
			t.Fatal(err)
		}
		said[e.To] = e
	}
	if len(said) != len(to) {
		t.Fatalf("explain spoke of %d recipients, not of %d", len(said), len(to))
	}
	return said
}

// compare has the server answer the same question.
func (in *installation) compare(t testing.TB, d *dialog, header, from string, said explanation) {
	t.Helper()
	what := fmt.Sprintf("from %s to %s, %q", from, said.To, header)
	d.say(t, "250", "MAIL FROM:<"+strings.Trim(from, "<>")+">")
	defer d.say(t, "250", "RSET")
	d.send(t, "RCPT TO:<"+said.To+">\r\n")
	live := oneReply(d.reply(t))
	if live != said.Rcpt {
		t.Errorf("%s: explain said %q, the server %q", what, said.Rcpt, live)
	}
	if !strings.HasPrefix(live, "250") {
		return
	}
	fields := "From: a@bank.example\r\n"
	if header != "" {
		fields += header + "\r\n"
	}
	live = oneReply(d.data(t, fields+"\r\nbody\r\n"))
	if said.AfterData != "" && live != said.AfterData || said.AfterData == "" && !strings.HasPrefix(live, "250") {
		t.Errorf("%s: explain said %q after the data, the server %q", what, said.AfterData, live)
		return
	}
	if id := tokenAtEnd.FindString(live + "\r\n"); id == "" {
		id = live[strings.LastIndex(live, " ")+1:]
		in.waitLog(t, "msg=recipient", id, "rule="+said.Rule, "action="+said.Action)
	}
}

// oneReply puts the lines of a reply together as explain prints it.
func oneReply(reply string) string {
	var text []string
	for i, line := range strings.Split(strings.TrimSuffix(reply, "\r\n"), "\r\n") {
		if i > 0 { // code and enhanced code stand in front of each line
			line = strings.SplitN(line, " ", 2)[1]
		}
		text = append(text, line)
	}
	if len(text) > 1 {
		text[0] = strings.Replace(text[0], "-", " ", 1)
	}
	return strings.Join(text, " ")
}

// Whether the client may send at all is part of the answer.
func TestExplainKnowsWhoMayRelay(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.configure(t, "127.0.0.1:25", "listen:\n  - {address: \"127.0.0.1:2525\", networks: [10.0.0.0/16]}\npolicy:\n  - {name: lab, client: [10.0.7.0/24], encrypt: never}\n  - {name: default}\n")
	for _, c := range []struct{ args, want string }{
		{"", "rule         default"},
		{"--client 10.0.7.9", "rule         lab"},
		{"--client 192.0.2.1", "(relay-denied)"},
		{"--client 192.0.2.1 --login", "rule         default"},
		{"--listener 127.0.0.1:2525 --client 10.0.0.1", "RCPT         250 2.1.5 OK"},
	} {
		args := append([]string{"explain", "--config", in.config, "--from", "a@bank.example", "--to", "anna@example.org"}, strings.Fields(c.args)...)
		if out, errs, code := sealpost(t, "", args...); code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("%s: %d\n%s%s", c.args, code, out, errs)
		}
	}
	for _, bad := range []string{"--listener 127.0.0.1:1", "--client nonsense", "--header nonsense", "--to nonsense", "--from a%b@c.example"} {
		args := append([]string{"explain", "--config", in.config, "--from", "a@bank.example", "--to", "anna@example.org"}, strings.Fields(bad)...)
		if _, errs, code := sealpost(t, "", args...); code != exitUsage || !strings.Contains(errs, strings.Fields(bad)[0]) {
			t.Errorf("%s: %d, %s", bad, code, errs)
		}
	}
}

// Parcels are counted as they would be sent: a sealed copy each, a cleartext
// one for all recipients of a rule.
func TestExplainCountsParcels(t *testing.T) {
	in := newInstallation(t, "anna@example.org", "bert@example.org")
	in.configure(t, "127.0.0.1:25", "policy:\n  - {name: open, recipient: \"*@open.example\", encrypt: never}\n  - {name: default}\n")
	args := []string{"explain", "--config", in.config, "--from", "a@bank.example"}
	for _, to := range []string{"anna@example.org", "bert@example.org", "x@open.example", "y@open.example", "nokey@example.org"} {
		args = append(args, "--to", to)
	}
	if out, _, code := sealpost(t, "", args...); code != exitOK || !strings.Contains(out, "\n3 parcel(s) would go upstream.\n") {
		t.Errorf("%d\n%s", code, out)
	}
}
