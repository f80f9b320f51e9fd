package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// withAuthority has the people's certificates proved by a chain, and asks their
// authority, which runs on this machine.
func (in *installation) withAuthority(t testing.TB, revocation string) *testkit.Authority {
	t.Helper()
	a := in.ca.Authority(t)
	in.write(t, "root.pem", string(a.PEM))
	in.configure(t, "127.0.0.1:25", "lookup:\n  sources:\n    - {name: pinned, type: files, dir: certs, trust: pki}\n"+
		"trust:\n  roots: [root.pem]\n  revocation: "+revocation+"\n  fetch: {networks: [127.0.0.0/8], wait: 20s, dir: lists}\n")
	return a
}

func TestRevocationAtTheDoor(t *testing.T) {
	in := newInstallation(t)
	a := in.withAuthority(t, "soft")
	in.personWith(t, "anna@example.org", testkit.Leaf{Change: a.Points("crl")})
	bob := in.personWith(t, "bob@example.org", testkit.Leaf{Change: a.Points("crl", "ocsp")})
	in.personWith(t, "carl@example.org", testkit.Leaf{})
	a.Withdraw(bob.Cert, 1)
	in.start(t)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "250", "RCPT TO:<carl@example.org>")
	if got := d.say(t, "550 5.7.1", "RCPT TO:<bob@example.org>"); !strings.Contains(got, "(certificate-revoked)") || !strings.Contains(got, "keyCompromise") {
		t.Errorf("%q", got)
	}
	for series, want := range map[string]float64{
		`sealpost_revocation_fetches_total{kind="crl"}`: 1, `sealpost_revocation_fetch_failures_total{kind="crl"}`: 0,
		`sealpost_revocation_fetches_total{kind="ocsp"}`: 0, `sealpost_revocation_fetches_total{kind="issuer"}`: 0,
		`sealpost_revocation_verdicts_total{status="good"}`: 1, `sealpost_revocation_verdicts_total{status="revoked"}`: 1,
		`sealpost_revocation_verdicts_total{status="unknown"}`: 1, `sealpost_revocation_cache_entries{kind="crl"}`: 1,
		`sealpost_certificates_refused_total{reason="certificate-revoked"}`: 1,
	} {
		if got := in.metric(t, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}

// Under hard nobody is written to of whom nothing is known, and everybody
// again when the authority is back; what was known over a restart stays known.
func TestRevocationHard(t *testing.T) {
	in := newInstallation(t)
	a := in.withAuthority(t, "hard")
	in.personWith(t, "anna@example.org", testkit.Leaf{Change: a.Points("crl")})
	in.personWith(t, "carl@example.org", testkit.Leaf{})
	list := a.List(t, testkit.List{})
	a.Handle("/crl", nil)
	look := func(who string) (int, map[string]any) {
		out, _, code := sealpost(t, "", "lookup", "--json", "--config", in.config, who)
		var r struct {
			Reason       string
			Certificates []struct{ Revocation map[string]any }
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Certificates) != 1 {
			t.Fatalf("%v\n%s", err, out)
		}
		if code != exitOK && r.Reason != "revocation-unknown" {
			t.Errorf("%s: %q", who, r.Reason)
		}
		return code, r.Certificates[0].Revocation
	}
	if code, r := look("anna@example.org"); code != exitFailed || r["status"] != "unknown" || !strings.Contains(r["why"].(string), "404") {
		t.Errorf("out of reach: %d, %v", code, r)
	}
	if code, r := look("carl@example.org"); code != exitFailed || r["status"] != "unknown" {
		t.Errorf("no list: %d, %v", code, r)
	}
	in.start(t)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	if got := d.say(t, "451 4.4.3", "RCPT TO:<anna@example.org>"); !strings.Contains(got, "(lookup-unavailable)") {
		t.Errorf("%q", got)
	}
	a.Serve("/crl", list)
	if code, r := look("anna@example.org"); code != exitOK || r["status"] != "good" || r["until"] == nil {
		t.Errorf("back: %d, %v", code, r)
	}
	a.Stop()
	if code, r := look("anna@example.org"); code != exitOK || r["status"] != "good" {
		t.Errorf("kept on disk: %d, %v", code, r)
	}
}

// A certificate that its authority has withdrawn is not learned, however good
// the signature.
func TestWithdrawnSignerTeachesNothing(t *testing.T) {
	in := aDirectory(t, "trust: {roots: [root.pem], revocation: hard, fetch: {networks: [127.0.0.0/8], dir: lists}}\n")
	a := in.ca.Authority(t)
	in.write(t, "root.pem", string(a.PEM))
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	signer := func(who string) *testkit.Identity {
		return in.ca.Issue(t, testkit.Leaf{Addresses: []string{who}, Usage: usage, Change: a.Points("crl")})
	}
	anna, bert := signer("anna@example.org"), signer("bert@example.org")
	a.Withdraw(bert.Cert, 1)
	in.start(t)
	client := in.keydb(t, "", nil)
	var problem *keydb.Problem
	if _, err := client.Message(t.Context(), strings.NewReader(opensslSignedBy(t, bert, "bert@example.org", "bank@bank.example", "yes"))); !errors.As(err, &problem) || problem.Reason != "certificate-revoked" {
		t.Errorf("withdrawn: %v", err)
	}
	if _, err := client.Message(t.Context(), strings.NewReader(opensslSignedBy(t, anna, "anna@example.org", "bank@bank.example", "yes"))); err != nil {
		t.Errorf("good: %v", err)
	}
	carl := in.ca.Issue(t, testkit.Leaf{Addresses: []string{"carl@example.org"}, Usage: usage})
	if _, err := client.Message(t.Context(), strings.NewReader(opensslSignedBy(t, carl, "carl@example.org", "bank@bank.example", "yes"))); !errors.As(err, &problem) || problem.Status != 503 {
		t.Errorf("nothing is known of it: %v", err)
	}
}
