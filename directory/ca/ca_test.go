package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/directory/ca"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// made is an authority of each family, made once: RSA 4096 takes its time.
var made = map[string]func() (*ca.Made, error){}

func maker(kind string) func() (*ca.Made, error) {
	return sync.OnceValues(func() (*ca.Made, error) {
		return ca.Make(ca.MakeOptions{Name: "Example Bank", Organization: "Example Bank AG", Country: "de", Key: kind, URL: base})
	})
}

func TestMain(m *testing.M) {
	for _, kind := range []string{"rsa-2048", "p-256"} {
		made[kind] = maker(kind)
	}
	m.Run()
}

const base = "http://keys.example.com"

// A world is an authority, what it issued, and its clock.
type world struct {
	*ca.Authority
	made   *ca.Made
	now    time.Time
	source *source
}

func newWorld(t testing.TB, kind string, change ...func(*ca.Options)) *world {
	t.Helper()
	m, err := made[kind]()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{made: m, now: time.Now().Truncate(time.Second), source: &source{issued: map[string]bool{}}}
	opts := ca.Options{Certificate: m.Certificate, Key: m.Key, URL: base, Clock: func() time.Time { return w.now }}
	for _, c := range change {
		c(&opts)
	}
	if w.Authority, err = ca.Open(opts); err != nil {
		t.Fatal(err)
	}
	return w
}

// A source is a store in memory, which may be away.
type source struct {
	issued  map[string]bool
	revoked []store.Revocation
	away    error
	asked   int
}

func (s *source) Issued(_ context.Context, n *big.Int) (*store.Revocation, error) {
	if s.away != nil {
		return nil, s.away
	}
	if !s.issued[n.String()] {
		return nil, store.ErrNotFound
	}
	for i := range s.revoked {
		if s.revoked[i].Serial.Cmp(n) == 0 {
			return &s.revoked[i], nil
		}
	}
	return nil, nil
}

func (s *source) Revocations(_ context.Context, since time.Time) (list []store.Revocation, err error) {
	s.asked++
	for _, r := range s.revoked {
		if !r.NotAfter.Before(since) {
			list = append(list, r)
		}
	}
	return list, s.away
}

func (s *source) RevocationCount(context.Context) (int64, error) {
	return int64(len(s.revoked)), s.away
}

func mailbox(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func key(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var k crypto.Signer
	var err error
	if kind == "rsa" {
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue issues for a new key.
func (w *world) issue(t testing.TB, to, kind string) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	k := key(t, kind)
	der, err := w.Issue(ca.Request{Address: mailbox(t, to), PublicKey: k.Public()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	w.source.issued[c.SerialNumber.String()] = true
	return c, k
}

func (w *world) revoke(c *x509.Certificate, why string) {
	w.source.revoked = append(w.source.revoked, store.Revocation{Serial: c.SerialNumber, At: w.now, NotAfter: c.NotAfter, Why: why})
}

// chains verifies as a mail program does.
func (w *world) chains(c *x509.Certificate) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	between.AddCert(w.Chain()[0])
	roots.AddCert(w.Chain()[1])
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: w.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}})
	return err
}

func TestIssue(t *testing.T) {
	longest := strings.Repeat("l", 64) + "@" + strings.Repeat(strings.Repeat("d", 60)+".", 4) + "example"
	long := strings.Repeat("l", 60) + "@example.org"
	for _, c := range []struct{ to, want, name string }{
		{"Anna.Miller@Example.ORG", "Anna.Miller@example.org", "Anna.Miller@example.org"},
		{`"two words"@example.org`, `"two words"@example.org`, `"two words"@example.org`},
		{"anna@bücher.example", "anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"},
		{"jürgen@bücher.example", "jürgen@xn--bcher-kva.example", "jürgen@xn--bcher-kva.example"},
		{long, long, ""},
		{longest, longest, ""},
		{"ü" + long, "ü" + long, ""},
	} {
		for _, kind := range []string{"rsa-2048", "p-256"} {
			w := newWorld(t, kind)
			cert, _ := w.issue(t, c.to, "p-256")
			if err := w.chains(cert); err != nil {
				t.Errorf("%s: %v", c.to, err)
			}
			read, err := certificate.Parse(cert.Raw)
			if err != nil {
				t.Fatal(err)
			}
			found, err := address.Parse(strings.Join(read.Addresses, "|"))
			if err != nil || found.Key() != mailbox(t, c.to).Key() || read.Addresses[0] != c.want || cert.Subject.CommonName != c.name {
				t.Errorf("%s: addresses %q, common name %q", c.to, read.Addresses, cert.Subject.CommonName)
			}
			if !cert.NotBefore.Equal(w.now.UTC().Add(-time.Hour)) && !cert.NotBefore.Equal(w.Chain()[0].NotBefore) || !cert.NotAfter.Equal(w.now.Add(ca.DefaultLifetime)) {
				t.Errorf("%s: valid from %s to %s", c.to, cert.NotBefore, cert.NotAfter)
			}
		}
	}
}

func TestSerialNumbers(t *testing.T) {
	w := newWorld(t, "p-256")
	seen := map[string]bool{}
	k := key(t, "p-256")
	for range 500 {
		der, err := w.Issue(ca.Request{Address: mailbox(t, "anna@example.org"), PublicKey: k.Public()})
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		n := c.SerialNumber
		if seen[n.String()] || n.Sign() <= 0 || len(n.Bytes()) != 16 {
			t.Fatalf("serial number %x", n)
		}
		seen[n.String()] = true
	}
}

func TestIssueRefuses(t *testing.T) {
	w := newWorld(t, "p-256")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	anna, good := mailbox(t, "anna@example.org"), key(t, "p-256").Public()
	for name, c := range map[string]struct {
		r    ca.Request
		want error
	}{
		"short RSA":    {ca.Request{Address: anna, PublicKey: weak.Public()}, ca.ErrKey},
		"Ed25519":      {ca.Request{Address: anna, PublicKey: ed}, ca.ErrKey},
		"P-224":        {ca.Request{Address: anna, PublicKey: p224.Public()}, ca.ErrKey},
		"no key":       {ca.Request{Address: anna}, ca.ErrKey},
		"nobody":       {ca.Request{PublicKey: good}, ca.ErrAddress},
		"no host name": {ca.Request{Address: mailbox(t, "anna@[192.0.2.1]"), PublicKey: good}, ca.ErrAddress},
	} {
		if _, err := w.Issue(c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.now = w.Chain()[0].NotAfter.Add(-time.Hour)
	last, _ := w.issue(t, "anna@example.org", "p-256")
	if !last.NotAfter.Equal(w.Chain()[0].NotAfter) {
		t.Errorf("it outlives its issuer: %s", last.NotAfter)
	}
	w.now = w.now.Add(2 * time.Hour)
	if _, err := w.Issue(ca.Request{Address: anna, PublicKey: good}); !errors.Is(err, ca.ErrExpired) {
		t.Errorf("by an expired issuer: %v", err)
	}
}

// Trouble of a signer that is elsewhere, or of the random numbers, is an error.
func TestSignerFails(t *testing.T) {
	trouble := errors.New("the device was pulled out")
	w := newWorld(t, "p-256", func(o *ca.Options) {
		block := newWorld(t, "p-256")
		o.Key, o.Signer = nil, failingSigner{block.Chain()[0].PublicKey, trouble}
	})
	r := ca.Request{Address: mailbox(t, "anna@example.org"), PublicKey: key(t, "p-256").Public()}
	if _, err := w.Issue(r); !errors.Is(err, trouble) {
		t.Error(err)
	}
	w = newWorld(t, "p-256", func(o *ca.Options) { o.Rand = strings.NewReader("short") })
	if _, err := w.Issue(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type failingSigner struct {
	public crypto.PublicKey
	err    error
}

func (f failingSigner) Public() crypto.PublicKey { return f.public }
func (f failingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, f.err
}

func TestOpenRefuses(t *testing.T) {
	rsaFiles, ecFiles := newWorld(t, "rsa-2048").made, newWorld(t, "p-256").made
	blocks := strings.SplitAfter(string(rsaFiles.Certificate), "-----END CERTIFICATE-----\n")
	other := strings.SplitAfter(string(ecFiles.Certificate), "-----END CERTIFICATE-----\n")
	for name, o := range map[string]ca.Options{
		"nothing":                        {},
		"another one's key":              {Certificate: rsaFiles.Certificate, Key: ecFiles.Key},
		"no key":                         {Certificate: rsaFiles.Certificate},
		"a damaged key":                  {Certificate: rsaFiles.Certificate, Key: rsaFiles.Key[:len(rsaFiles.Key)/2]},
		"only the issuer":                {Certificate: []byte(blocks[0]), Key: rsaFiles.Key},
		"the wrong order":                {Certificate: []byte(blocks[1] + blocks[0]), Key: rsaFiles.Key},
		"another root":                   {Certificate: []byte(blocks[0] + other[1]), Key: rsaFiles.Key},
		"the key among the certificates": {Certificate: append(append([]byte{}, rsaFiles.Certificate...), rsaFiles.Key...), Key: rsaFiles.Key},
	} {
		if _, err := ca.Open(o); !errors.Is(err, ca.ErrFiles) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"keys.example.com", "ldap://keys.example.com", "http://"} {
		if _, err := ca.Open(ca.Options{Certificate: rsaFiles.Certificate, Key: rsaFiles.Key, URL: bad}); err == nil {
			t.Errorf("URL %q was taken", bad)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, o := range []ca.MakeOptions{
		{Organization: "Bank", Country: "DE"},
		{Name: "Bank", Country: "DE"},
		{Name: "Bank", Organization: "Bank", Country: "Germany"},
		{Name: strings.Repeat("x", 41), Organization: "Bank", Country: "DE"},
	} {
		if _, err := ca.Make(o); !errors.Is(err, ca.ErrNames) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := ca.Make(ca.MakeOptions{Name: "Bank", Organization: "Bank", Country: "DE", Key: "dsa"}); err == nil {
		t.Error("a key of kind dsa was made")
	}
}

// Whatever stands in the files, what opens is an authority whose certificates
// chain.
func FuzzOpen(f *testing.F) {
	w := newWorld(f, "p-256")
	f.Add(w.made.Certificate, w.made.Key)
	f.Add(w.made.Key, w.made.Certificate)
	f.Add(w.made.Certificate[:500], w.made.Key)
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		a, err := ca.Open(ca.Options{Certificate: certificate, Key: key})
		if err != nil {
			if !errors.Is(err, ca.ErrFiles) {
				t.Error(err)
			}
			return
		}
		if err := a.Chain()[0].CheckSignatureFrom(a.Chain()[1]); err != nil {
			t.Error(err)
		}
	})
}
