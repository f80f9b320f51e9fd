package importer

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// taken keeps what it is given.
type taken struct {
	certs []store.New
	fails error
	after int // batches that go well before
}

func (k *taken) Add(_ context.Context, certs []store.New) ([]store.Added, error) {
	if k.fails != nil && k.after == 0 {
		return nil, k.fails
	}
	k.after--
	k.certs = append(k.certs, certs...)
	return make([]store.Added, len(certs)), nil
}

func items(all ...Item) func(func(Item) error) error {
	return func(yield func(Item) error) error {
		for _, it := range all {
			if err := yield(it); err != nil {
				return err
			}
		}
		return nil
	}
}

func read(t testing.TB, c *x509.Certificate) *certificate.Certificate {
	t.Helper()
	out, err := certificate.Parse(c.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mailbox(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What mail cannot be sealed to is refused, with the reason that a relay would
// have given.
func TestRefusals(t *testing.T) {
	ca := testkit.NewCA(t)
	issue := func(l testkit.Leaf) *certificate.Certificate { return read(t, ca.Issue(t, l).Cert) }
	anna := []string{"anna@example.org"}
	hour := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		item  Item
		want  reason.Token
		count int // addresses it is taken for
	}{
		"good":          {Item{Cert: issue(testkit.Leaf{Addresses: anna, Key: "p256"})}, reason.None, 1},
		"two":           {Item{Cert: issue(testkit.Leaf{Addresses: []string{"a@example.org", "b@example.org"}})}, reason.None, 2},
		"one of two":    {Item{Cert: issue(testkit.Leaf{Addresses: anna}), Addresses: []address.Address{mailbox(t, "x@example.org"), mailbox(t, "anna@example.org")}}, reason.None, 1},
		"expired":       {Item{Cert: issue(testkit.Leaf{Addresses: anna, NotBefore: hour.Add(-time.Hour), NotAfter: hour})}, reason.CertificateExpired, 0},
		"future":        {Item{Cert: issue(testkit.Leaf{Addresses: anna, NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)})}, reason.CertificateNotYetValid, 0},
		"signing":       {Item{Cert: issue(testkit.Leaf{Addresses: anna, Usage: x509.KeyUsageDigitalSignature})}, reason.CertificateUsage, 0},
		"server":        {Item{Cert: issue(testkit.Leaf{Addresses: anna, ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})}, reason.CertificateUsage, 0},
		"short":         {Item{Cert: issue(testkit.Leaf{Addresses: anna, Key: "rsa1024"})}, reason.CertificateWeakKey, 0},
		"ed25519":       {Item{Cert: issue(testkit.Leaf{Addresses: anna, Key: "ed25519"})}, reason.CertificateKeyKind, 0},
		"nobody":        {Item{Cert: issue(testkit.Leaf{DNSNames: []string{"www.example.org"}})}, reason.CertificateAddress, 0},
		"another":       {Item{Cert: issue(testkit.Leaf{Addresses: anna}), Addresses: []address.Address{mailbox(t, "x@example.org")}}, reason.CertificateAddress, 0},
		"authority":     {Item{Cert: read(t, ca.Cert)}, reason.CertificateCA, 0},
		"not readable":  {Item{Err: certificate.ErrMalformed}, reason.CertificateUnreadable, 0},
		"other address": {Item{Cert: issue(testkit.Leaf{Addresses: []string{"Anna@Example.ORG"}}), Addresses: []address.Address{mailbox(t, "anna@example.org")}}, reason.CertificateAddress, 0},
	} {
		var kept taken
		var why error
		report, err := Run(t.Context(), Options{Store: &kept, Refused: func(_ Item, err error) { why = err }}, items(test.item))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if test.want != reason.None {
			if report.Refused[test.want] != 1 || why == nil || len(kept.certs) != 0 {
				t.Errorf("%s: %+v, %v, want %s", name, report, why, test.want)
			}
			continue
		}
		if len(kept.certs) != 1 || len(kept.certs[0].Addresses) != test.count || report.Added != 1 {
			t.Errorf("%s: %+v, %v", name, report, why)
		}
	}
}

// The first failure of the store ends an import, and what was written before
// is counted.
func TestStoreFails(t *testing.T) {
	c := read(t, testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"a@example.org"}, Key: "p256"}).Cert)
	full := errors.New("disk full")
	kept := taken{fails: full, after: 2}
	given := 0
	report, err := Run(t.Context(), Options{Store: &kept}, func(yield func(Item) error) error {
		for ; given < 100*batch; given++ {
			if err := yield(Item{Where: fmt.Sprint(given), Cert: c}); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, full) || report.Added != 2*batch || given == 100*batch {
		t.Errorf("%v, %+v, %d were read", err, report, given)
	}
}

func TestImportEnds(t *testing.T) {
	c := read(t, testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"a@example.org"}, Key: "p256"}).Cert)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Options{Store: &taken{}}, func(yield func(Item) error) error {
		for {
			cancel()
			if err := yield(Item{Cert: c}); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A dry run writes nothing.
func TestDryRun(t *testing.T) {
	c := read(t, testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"a@example.org"}, Key: "p256"}).Cert)
	kept := taken{fails: errors.New("asked")}
	report, err := Run(t.Context(), Options{Store: &kept, DryRun: true}, items(Item{Cert: c}))
	if err != nil || report.Added != 1 || len(kept.certs) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Into a real store and again: the second time everything is known.
func TestIntoTheStore(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + t.TempDir() + "/d.db"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var text strings.Builder
	for i := range 50 {
		for _, der := range someCertificates(t, fmt.Sprintf("user%d@example.org", i)) {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
		}
	}
	for round, want := range []Report{{Read: 50, Added: 50}, {Read: 50, Known: 50}} {
		r := Reader{Stdin: strings.NewReader(text.String())}
		got, err := Run(t.Context(), Options{Store: db}, func(y func(Item) error) error { return r.Files([]string{"-"}, y) })
		if err != nil || got.Read != want.Read || got.Added != want.Added || got.Known != want.Known || len(got.Refused) != 0 {
			t.Errorf("round %d: %+v, %v", round, got, err)
		}
	}
	found, err := db.Lookup(t.Context(), []string{"user7@example.org", "user50@example.org"})
	if err != nil || len(found[0]) != 1 || len(found[1]) != 0 || found[0][0].Origin != store.OriginImport {
		t.Errorf("%v, %v", found, err)
	}
}

func BenchmarkImport(b *testing.B) {
	c := read(b, testkit.NewCA(b).Issue(b, testkit.Leaf{Addresses: []string{"a@example.org"}, Key: "rsa2048"}).Cert)
	b.ReportAllocs()
	n := 0
	_, err := Run(b.Context(), Options{Store: &taken{}}, func(yield func(Item) error) error {
		for ; n < b.N; n++ {
			parsed, err := certificate.Parse(c.Raw)
			if err != nil {
				return err
			}
			if err := yield(Item{Cert: parsed}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
