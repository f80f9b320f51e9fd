package lookup_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// Whatever is given for a certificate: what is used has a key that can be
// sealed to, is valid, and names the address; and what a root vouches for, the
// source vouches for too.
func FuzzTrusted(f *testing.F) {
	ca, all := testkit.Specimens(f)
	for _, s := range all {
		f.Add(s.Certs[0], s.Address)
	}
	roots := []*x509.Certificate{ca.Cert}
	f.Fuzz(func(t *testing.T, der []byte, addr string) {
		c, err := certificate.Parse(der)
		to, bad := address.Parse(addr)
		if err != nil || bad != nil {
			return
		}
		usable := map[lookup.Vouch]bool{}
		for _, vouch := range []lookup.Vouch{lookup.PKI, lookup.Itself} {
			a := trusted(t, always(found(c)), lookup.TrustOptions{Vouch: vouch, Roots: roots}).Lookup(context.Background(), to)
			got := a.Candidates[0]
			usable[vouch] = got.Usable
			if got.Usable != (got.Reason == reason.None) || got.Usable != (a.Outcome == lookup.Found) || got.Usable != (got.Why == "") {
				t.Errorf("usable %v, %v, %q, it %s", got.Usable, a.Outcome, got.Reason, got.Why)
			}
			if len(got.Why) > lookup.MaxWhy+len("…") || strings.ContainsAny(got.Why, "\x00\r\n\x1b") {
				t.Errorf("not fit for a log: %q", got.Why)
			}
			if got.Usable {
				isFit(t, c, to)
			}
		}
		if usable[lookup.PKI] && !usable[lookup.Itself] {
			t.Error("a root vouches for what the source does not")
		}
	})
}

func isFit(t *testing.T, c *certificate.Certificate, to address.Address) {
	t.Helper()
	if now := time.Now(); c.PublicKey == nil || now.Before(c.NotBefore) || !now.Before(c.NotAfter) || len(c.UnknownCritical) > 0 {
		t.Errorf("it is used: key %s, valid from %v to %v", c.KeyName, c.NotBefore, c.NotAfter)
	}
	if c.KeyKind == certificate.KeyRSA && c.KeyBits < 2048 {
		t.Errorf("it is used with a key of %d bits", c.KeyBits)
	}
	if !slices.ContainsFunc(c.Addresses, func(s string) bool {
		a, err := address.Parse(s)
		return err == nil && a.Key() == to.Key()
	}) {
		t.Errorf("it is used for %s, and is for %q", to, c.Addresses)
	}
	if c.IsCA && !bytes.Equal(c.RawIssuer, c.RawSubject) {
		t.Error("the certificate of an authority is used")
	}
}

// A name in a certificate is for an address exactly when both are one mailbox,
// however either is spelled.
func FuzzNames(f *testing.F) {
	for _, pair := range [][2]string{
		{"anna@example.org", "anna@EXAMPLE.org"}, {"Anna@example.org", "anna@example.org"}, {`"anna"@example.org`, "anna@example.org"},
		{"anna@bücher.example", "anna@xn--bcher-kva.example"}, {"ju\u0308rgen@example.org", "jürgen@example.org"}, {"boſs@example.org", "boss@example.org"},
		{"anna@[192.0.2.1]", "anna@[192.0.2.1]"}, {"anna@example.org\x00@evil.example", "anna@example.org"}, {"anna@example.org.", "anna@example.org"},
		{"anna@XN--BCHER-KVA.example", "anna@bücher.example"}, {"anna@exa\u00admple.org", "anna@example.org"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, name, addr string) {
		to, err := address.Parse(addr)
		if err != nil {
			return
		}
		exactly, butForCase := lookup.Names(name, to)
		named, err := address.Parse(name)
		if want := err == nil && named.Key() == to.Key(); exactly != want {
			t.Errorf("%q for %s: %v", name, to, exactly)
		}
		if butForCase && (err != nil || !strings.EqualFold(named.Key(), to.Key())) {
			t.Errorf("%q for %s but for case", name, to)
		}
	})
}
