package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"sealpost/directory/ca"
)

// complaints are the lints that are not content, with those of notices left out.
func complaints(results map[string]*lint.LintResult) (names []string) {
	for name, r := range results {
		if r.Status >= lint.Warn {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func passed(results map[string]*lint.LintResult, source lint.LintSource) (n int) {
	for name, r := range results {
		if l := lint.GlobalRegistry().CertificateLints().ByName(name); l != nil && l.Source == source && r.Status == lint.Pass {
			n++
		}
	}
	return n
}

func lintCertificate(t *testing.T, der []byte) map[string]*lint.LintResult {
	t.Helper()
	c, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return zlint.LintCertificate(c).Results
}

// Every lint of zlint, those of the S/MIME baseline requirements among them, is
// content with what is issued.
func TestZlintCertificates(t *testing.T) {
	for _, kind := range []string{"rsa-2048", "p-256"} {
		w := newWorld(t, kind)
		for _, key := range []string{"rsa", "p-256"} {
			for _, to := range []string{"anna@example.org", "a.very.long.local.part.that.does.not.fit.into.a.common.name@subdomain.example.org"} {
				c, _ := w.issue(t, to, key)
				results := lintCertificate(t, c.Raw)
				if list := complaints(results); len(list) > 0 {
					t.Errorf("%s issuer, %s key, %s: %q", kind, key, to, list)
				}
				if n := passed(results, lint.CABFSMIMEBaselineRequirements); n < 15 {
					t.Errorf("only %d lints of the S/MIME requirements had something to say", n)
				}
			}
		}
	}
}

func TestZlintAuthorities(t *testing.T) {
	for _, kind := range []string{"rsa-2048", "p-256"} {
		w := newWorld(t, kind)
		for i, c := range w.Chain() {
			if list := complaints(lintCertificate(t, c.Raw)); len(list) > 0 {
				t.Errorf("%s, certificate %d of the chain: %q", kind, i, list)
			}
		}
	}
}

func TestZlintLists(t *testing.T) {
	w := newWorld(t, "p-256")
	h := w.Handler(w.source)
	c, _ := w.issue(t, "anna@example.org", "p-256")
	empty := get(t, h, ca.PathCRL).Body.Bytes()
	w.now = w.now.Add(time.Minute)
	w.revoke(c, "key-compromise")
	for _, l := range []struct {
		name string
		der  []byte
		but  []string
	}{
		{"empty", empty, nil},
		{"one", get(t, h, ca.PathCRL).Body.Bytes(), nil},
		// It lives as long as the issuing certificate, for the root's key is in its safe
		// until then; public authorities may have twelve months.
		{"root", get(t, h, ca.PathRootList).Body.Bytes(), []string{"e_crl_next_update_invalid"}},
	} {
		list, err := zx509.ParseRevocationList(l.der)
		if err != nil {
			t.Fatal(err)
		}
		if found := complaints(zlint.LintRevocationList(list).Results); !slices.Equal(found, l.but) {
			t.Errorf("%s: %q", l.name, found)
		}
	}
}

// A lint that finds nothing finds something when there is something: without the
// mailbox in the subjectAltName the certificate is none of the S/MIME kind.
func TestZlintComplains(t *testing.T) {
	w := newWorld(t, "p-256")
	c, _ := w.issue(t, "anna@example.org", "p-256")
	block, _ := pem.Decode(w.made.Key)
	signer, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	bad := *c
	bad.Policies, bad.ExtKeyUsage = nil, append(slices.Clone(c.ExtKeyUsage), x509.ExtKeyUsageAny)
	der, err := x509.CreateCertificate(rand.Reader, &bad, w.Chain()[0], c.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if len(complaints(lintCertificate(t, der))) == 0 {
		t.Error("it is content with a certificate without policy, for any purpose")
	}
}
