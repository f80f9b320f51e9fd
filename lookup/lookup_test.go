package lookup_test

import (
	"context"
	"errors"
	"flag"
	"testing"

	"go.uber.org/goleak"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

func TestMain(m *testing.M) {
	// A hundred runs, the default, miss too much; the command line still decides.
	if err := flag.Set("rapid.checks", "2000"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// A sourceFunc is a source made of one function.
type sourceFunc func(ctx context.Context, addr address.Address) lookup.Answer

func (f sourceFunc) Lookup(ctx context.Context, addr address.Address) lookup.Answer {
	return f(ctx, addr)
}

// always answers the same.
func always(a lookup.Answer) sourceFunc {
	return func(context.Context, address.Address) lookup.Answer { return a }
}

var errDown = errors.New("down")

// found is an answer of certificates that nobody has judged yet.
func found(certs ...*certificate.Certificate) lookup.Answer {
	a := lookup.Answer{Outcome: lookup.Found}
	for _, c := range certs {
		a.Candidates = append(a.Candidates, lookup.Candidate{Cert: c})
	}
	return a
}

// usable is found, judged.
func usable(certs ...*certificate.Certificate) lookup.Answer {
	a := found(certs...)
	for i := range a.Candidates {
		a.Candidates[i].Usable, a.Candidates[i].Until = true, certs[i].NotAfter
	}
	return a
}

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

func read(t testing.TB, der []byte) *certificate.Certificate {
	t.Helper()
	c, err := certificate.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue makes a certificate without its key.
func issue(t testing.TB, ca *testkit.CA, leaf testkit.Leaf) *certificate.Certificate {
	t.Helper()
	return read(t, ca.Issue(t, leaf).Cert.Raw)
}

func trusted(t testing.TB, source lookup.Source, opts lookup.TrustOptions) *lookup.Trusted {
	t.Helper()
	s, err := lookup.NewTrusted(source, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
