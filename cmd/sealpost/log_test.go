package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// One id in the reply, the Received field and the log; Postfix's names where
// Postfix has them, with values as Postfix writes them.
func TestLogLines(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "log: {level: info, format: json}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "550", "RCPT TO:<nokey@example.org>")
	answer := d.data(t, sampleMail(canary))
	id := regexp.MustCompile(`queued as ([0-9A-Z]{16})\r\n$`).FindStringSubmatch(answer)
	if id == nil {
		t.Fatalf("no id in %q", answer)
	}
	if raw := string(sink.Wait(t, 1)[0].Raw); !strings.Contains(raw[:strings.Index(raw, ";")], " id "+id[1]) {
		t.Errorf("the id %s is not in the Received field:\n%.300s", id[1], raw)
	}
	in.waitLog(t, `"msg":"recipient"`, "anna@example.org")
	var lines []map[string]any
	for line := range strings.Lines(in.log(t)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if fields["id"] == id[1] {
			lines = append(lines, fields)
		}
	}
	if len(lines) != 3 {
		t.Fatalf("%d lines have the id: %v", len(lines), lines)
	}
	seconds := `(0|[0-9]+(\.[0-9]+)?)`
	for n, want := range []map[string]string{
		{"msg": "^recipient$", "level": "WARN", "to": "^<nokey@example.org>$", "relay": "^none$", "dsn": `^5\.7\.1$`, "action": "^refused$",
			"status": `^bounced \(550 5\.7\.1 <nokey@example\.org>: .*\)$`, "rule": "^default$", "reason": "^no-certificate$"},
		{"msg": "^message$", "from": "^<statements@bank.example>$", "client": `^127\.0\.0\.1:`, "helo": "^mailer.bank.example$",
			"proto": "^ESMTP$", "message-id": "^<42@bank.example>$"},
		{"msg": "^recipient$", "level": "INFO", "to": "^<anna@example.org>$", "relay": "^" + sink.Addr + "$", "dsn": `^2\.0\.0$`,
			"delays": "^" + seconds + "/" + seconds + "/" + seconds + "/" + seconds + "$", "status": `^sent \(250 2\.0\.0 .*\)$`, "rule": "^default$",
			"action": "^sealed$", "certificate": "^[0-9a-f]{16}$", "cipher": "^aes-256-cbc$"},
	} {
		for name, pattern := range want {
			if got, _ := lines[n][name].(string); !regexp.MustCompile(pattern).MatchString(got) {
				t.Errorf("line %d: %s is %v, want %s", n+1, name, lines[n][name], pattern)
			}
		}
	}
	if _, ok := lines[2]["delay"].(float64); !ok {
		t.Errorf("delay is %v", lines[2]["delay"])
	}
	if strings.Contains(in.log(t), "Your statement") {
		t.Error("the subject is in the log")
	}
	in.nowhere(t, canary)
}

// Every series of the contract is there before the first message, and no label
// has an address.
func TestMetricsFromTheStart(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+keys.source(""))
	in.start(t)
	for _, series := range []string{
		`sealpost_recipients_total{action="sealed",rule="default"}`, `sealpost_recipients_total{action="passed",rule="default"}`,
		`sealpost_recipients_total{action="refused",rule="default"}`, `sealpost_recipients_total{action="deferred",rule="default"}`,
		`sealpost_plaintext_recipients_total{rule="default"}`, `sealpost_messages_total{result="taken"}`,
		`sealpost_provisioned_total{result="created"}`, `sealpost_provisioned_total{result="known"}`,
		`sealpost_provision_failures_total{reason="provision-unavailable"}`,
		`sealpost_lookups_total{source="pinned"}`, `sealpost_lookup_failures_total{source="keys"}`,
		`sealpost_lookup_stale_answers_total{source="keys"}`, `sealpost_certificates_refused_total{reason="certificate-expired"}`,
		`sealpost_delivery_delay_seconds_count{phase="transmit"}`, `sealpost_upstream_failures_total{dsn="4.4.1",upstream="` + sink.Addr + `"}`,
		`sealpost_refusals_total{reason="lookup-unavailable"}`, `sealpost_intake_refusals_total{reason="auth-failed"}`,
	} {
		if n := in.metric(t, series); n != 0 {
			t.Errorf("%s is %v at the start", series, n)
		}
	}
	for _, series := range []string{"sealpost_config_last_reload_successful", "sealpost_config_last_reload_success_timestamp_seconds", "go_goroutines", "process_open_fds"} {
		if n := in.metric(t, series); n < 1 {
			t.Errorf("%s is %v", series, n)
		}
	}
	if in.get(t, "/healthz") != "ok\n" || in.get(t, "/readyz") != "ready\n" {
		t.Error("not well")
	}
	d := in.dial(t)
	for _, to := range []string{"anna@example.org", "500@trouble.example", "nobody@example.org"} {
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		d.send(t, "RCPT TO:<"+to+">\r\n")
		d.reply(t)
		d.say(t, "250", "RSET")
	}
	d.submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org")
	if page := in.get(t, "/metrics"); regexp.MustCompile(`[a-z]@[a-z]|example\.org`).MatchString(page) {
		t.Error("the metrics show an address")
	}
	for series, want := range map[string]float64{
		`sealpost_recipients_total{action="sealed",rule="default"}`:   1,
		`sealpost_recipients_total{action="refused",rule="default"}`:  1,
		`sealpost_recipients_total{action="deferred",rule="default"}`: 1,
		`sealpost_refusals_total{reason="no-certificate"}`:            1,
		`sealpost_messages_total{result="taken"}`:                     1,
		`sealpost_lookups_total{source="keys"}`:                       2,
	} {
		if n := in.metric(t, series); n != want {
			t.Errorf("%s is %v, want %v", series, n, want)
		}
	}
}

// Whatever a client does wrong, the refusal ends with a word that
// docs/reasons.md explains. (The dialog checks that of every reply.)
func TestEveryRefusalSaysWhy(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.configure(t, testkit.FreeAddr(t), "limits: {errors: 50, temp_dir: tmp}\n")
	in.start(t)
	reasons, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), "docs", "reasons.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := in.dial(t)
	for _, c := range []struct{ say, want string }{
		{"NONSENSE", "500"}, {"EHLO", "501"}, {"RCPT TO:<anna@example.org>", "503"}, {"DATA", "503"}, {"STARTTLS", "502"}, {"AUTH PLAIN", "502"},
		{"MAIL FROM:statements@bank.example", "501"}, {"MAIL FROM:<statements@bank.example> FROB=1", "555"}, {"MAIL FROM:<a b@bank.example>", "501"},
		{"MAIL FROM:<a%b@bank.example>", "553"}, {"BDAT 2 LAST\r\n", "503"}, {"XFORWARD NAME=x", "50"}, {"MAIL FROM:<ü@bank.example>", "553"},
	} {
		got := d.say(t, c.want, c.say)
		if m := tokenAtEnd.FindStringSubmatch(got); m == nil || !strings.Contains(string(reasons), "## "+m[1]+"\n") {
			t.Errorf("%s: %q is not explained", c.say, got)
		}
	}
	for content, want := range map[string]string{
		"Subject: x\r\n\r\nbare\nnewline\r\n":                        "554 5.6.11",
		strings.Repeat("Received: x\r\n", 60) + "\r\nround\r\n":      "554 5.4.6",
		strings.Repeat("A: b\r\n", 20000) + "\r\nendless header\r\n": "554 5.6.0",
		"Subject: x\r\n\r\nnobody takes it\r\n":                      "451 4.4.1",
	} {
		d.say(t, "250", "MAIL FROM:<statements@bank.example>")
		d.say(t, "250", "RCPT TO:<anna@example.org>")
		if got := d.data(t, content); !strings.HasPrefix(got, want) {
			t.Errorf("%.30q: %s", content, got)
		}
	}
}
