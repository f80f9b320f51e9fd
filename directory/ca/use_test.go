package ca_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"sealpost/directory/ca"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/outbound"
	"sealpost/lookup/revocation"
	"sealpost/smime"
	"sealpost/smime/cms"
)

// vouching is a source with one certificate, as a relay sees the directory.
type vouching struct{ cert *certificate.Certificate }

func (v vouching) Lookup(context.Context, address.Address) lookup.Answer {
	return lookup.Answer{Outcome: lookup.Found, Candidates: []lookup.Candidate{{Cert: v.cert, Source: "directory"}}}
}

// A relay uses what is issued, and the programs that should open what it seals do.
func TestSealedToIssued(t *testing.T) {
	const entity = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nYour statement.\r\n"
	for _, family := range []string{"rsa-2048", "p-256"} {
		for _, kind := range []string{"rsa", "p-256"} {
			w := newWorld(t, family)
			c, private := w.issue(t, "anna@example.org", kind)
			cert, err := certificate.Parse(c.Raw)
			if err != nil {
				t.Fatal(err)
			}
			source, err := lookup.NewTrusted(vouching{cert}, lookup.TrustOptions{Vouch: lookup.Itself})
			if err != nil {
				t.Fatal(err)
			}
			answer := source.Lookup(t.Context(), mailbox(t, "anna@example.org"))
			usable := answer.Usable(1)
			if len(usable) != 1 {
				t.Fatalf("%s, %s: %+v", family, kind, answer)
			}
			der, err := x509.MarshalPKCS8PrivateKey(private)
			if err != nil {
				t.Fatal(err)
			}
			anna := &testkit.Identity{Cert: c, Key: private, CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}),
				KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
			mail := sealedTo(t, usable[0], "From: bank@example.com\r\nTo: anna@example.org\r\n"+entity)
			programs := map[string]func(testing.TB, []byte, *testkit.Identity) []byte{"OpenSSL": testkit.OpenSSLOpen}
			if kind == "rsa" { // who reads which: docs/readers.md
				programs["NSS"], programs["GnuPG"] = testkit.NSSOpen, testkit.GPGSMOpen
			}
			for program, open := range programs {
				if got := open(t, mail, anna); string(got) != entity {
					t.Errorf("%s issuer, %s key, %s: %q", family, kind, program, got)
				}
			}
		}
	}
}

func sealedTo(t *testing.T, cert *certificate.Certificate, mail string) []byte {
	t.Helper()
	to, err := cms.NewRecipient(cert, cms.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := smime.ReadMessage(bytes.NewReader([]byte(mail)), smime.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := smime.SealStream(&out, m, smime.SealOptions{}, cms.AES256CBC, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Our own check of revocation, which whoever trusts the root uses, believes the
// lists and the answers for the whole chain.
func TestCheckedByRelay(t *testing.T) {
	var handler http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer srv.Close()
	files, err := ca.Make(ca.MakeOptions{Name: "Bank", Organization: "Bank", Country: "DE", Key: "p-256", URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{made: files, now: time.Now(), source: &source{issued: map[string]bool{}}}
	if w.Authority, err = ca.Open(ca.Options{Certificate: files.Certificate, Key: files.Key, URL: srv.URL}); err != nil {
		t.Fatal(err)
	}
	handler = w.Handler(w.source)
	good, _ := w.issue(t, "anna@example.org", "p-256")
	bad, _ := w.issue(t, "bert@example.org", "p-256")
	w.revoke(bad, "left")
	client := outbound.New(outbound.Options{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: testkit.Patience})
	defer client.Close()
	checker, err := revocation.New(revocation.Options{Client: client, Wait: testkit.Patience, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer checker.Close()
	for c, want := range map[*x509.Certificate]revocation.Status{good: revocation.Good, bad: revocation.Revoked} {
		if v := checker.Check(t.Context(), append([]*x509.Certificate{c}, w.Chain()...)); v.Status != want {
			t.Errorf("%s: %+v, want %v", c.Subject, v, want)
		}
	}
}
