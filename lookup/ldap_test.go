package lookup_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/lookup/ldap"
)

func newLDAP(t testing.TB, opts ldap.Options) *lookup.LDAP {
	t.Helper()
	opts.Base = testkit.SlapdPeople
	if opts.Timeout == 0 {
		opts.Timeout = testkit.Patience
	}
	l, err := lookup.NewLDAP(lookup.LDAPOptions{Options: opts, MaxCertificates: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// The whole way, at a real directory: from an address to a certificate that is
// judged.
func TestLDAPTrusted(t *testing.T) {
	root := testkit.NewCA(t)
	middle := root.Intermediate(t, nil)
	s := testkit.StartSlapd(t, testkit.SlapdOptions{TLS: root.Server(t)})
	person := func(name string, values map[string][][]byte) {
		values["mail"] = [][]byte{[]byte(name + "@example.org")}
		s.Entry(t, "cn="+name+","+testkit.SlapdPeople, values)
	}
	cert := func(addresses ...string) []byte {
		return root.Issue(t, testkit.Leaf{Addresses: addresses}).Cert.Raw
	}
	const binary, smime = "userCertificate;binary", "userSMIMECertificate"
	one := cert("one@example.org")
	person("one", map[string][][]byte{binary: {one}})
	person("both", map[string][][]byte{binary: {one}, smime: {certsOnly(t, cert("both@example.org"))}})
	person("chain", map[string][][]byte{smime: {certsOnly(t, middle.For(t, "chain@example.org").Cert.Raw, middle.Cert.Raw)}})
	person("plain", map[string][][]byte{smime: {cert("plain@example.org")}})
	person("bare", map[string][][]byte{})
	person("other", map[string][][]byte{binary: {one}})
	person("broken", map[string][][]byte{smime: {[]byte("no certificate")}})
	person("partly", map[string][][]byte{binary: {cert("partly@example.org")}, smime: {[]byte("no certificate")}})
	person("doubtful", map[string][][]byte{binary: {root.Issue(t, testkit.Leaf{Addresses: []string{"doubtful@example.org"}, NotAfter: time.Now().Add(-time.Minute)}).Cert.Raw}, smime: {[]byte("x")}})
	person("strange", map[string][][]byte{binary: {testkit.NewCA(t).For(t, "strange@example.org").Cert.Raw}})
	person("crowd", map[string][][]byte{binary: {cert("crowd@example.org"), cert("crowd@example.org"), cert("crowd@example.org")},
		smime: {certsOnly(t, one, cert("crowd@example.org"))}})

	source := newLDAP(t, ldap.Options{URLs: []string{s.TLSURL}, TLS: root.ClientTLS("")})
	pki := trusted(t, source, lookup.TrustOptions{Roots: []*x509.Certificate{root.Cert}})
	itself := trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself})
	for _, c := range []struct {
		name    string
		outcome lookup.Outcome
		usable  int
		token   reason.Token
		self    reason.Token // when the directory vouches
	}{
		{"one", lookup.Found, 1, "", ""},
		{"ONE", lookup.None, 0, reason.CertificateAddress, reason.CertificateAddress}, // the directory takes it for one, the certificate does not
		{"both", lookup.Found, 1, "", ""},
		{"chain", lookup.Found, 1, "", ""},
		{"plain", lookup.Found, 1, "", ""},
		{"bare", lookup.None, 0, reason.NoCertificate, reason.NoCertificate},
		{"nobody", lookup.None, 0, reason.NoCertificate, reason.NoCertificate},
		{"other", lookup.Unavailable, 0, reason.CertificateAddress, reason.CertificateAddress},
		{"broken", lookup.Unavailable, 0, reason.LookupUnavailable, reason.LookupUnavailable},
		{"partly", lookup.Found, 1, "", ""},
		{"doubtful", lookup.Unavailable, 0, reason.CertificateUnreadable, reason.CertificateUnreadable},
		{"strange", lookup.None, 0, reason.CertificateUntrusted, ""},
		{"crowd", lookup.Unavailable, 0, reason.LookupUnavailable, reason.LookupUnavailable},
	} {
		addr := parse(t, c.name+"@example.org")
		a := pki.Lookup(context.Background(), addr)
		if a.Outcome != c.outcome || len(a.Usable(0)) != c.usable || a.Reason != c.token {
			t.Errorf("%s: %v with %d usable, %s, %v", c.name, a.Outcome, len(a.Usable(0)), a.Reason, a.Err)
		}
		if a := itself.Lookup(context.Background(), addr); a.Reason != c.self {
			t.Errorf("%s, vouched for: %v, %s, %v", c.name, a.Outcome, a.Reason, a.Err)
		}
	}
	s.Stop(t)
	if a := pki.Lookup(context.Background(), parse(t, "nobody@example.org")); a.Outcome != lookup.Unavailable || a.Err == nil {
		t.Errorf("stopped: %v, %v", a.Outcome, a.Err)
	}
}

// No noise that a server makes is taken for "none", not even under a chain
// that hears the same from every source.
func TestLDAPNoiseIsNotNone(t *testing.T) {
	done := []byte("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00")
	noise := map[string][]byte{
		"nothing": nil, "HTML": []byte("<html>"), "half an end": done[:10], "an end for another": bytes.Replace(done, []byte{2, 1, 1}, []byte{2, 1, 9}, 1),
	}
	for code := 1; code < 128; code++ {
		noise[fmt.Sprint("result ", code)] = bytes.Replace(done, []byte{0x0a, 1, 0}, []byte{0x0a, 1, byte(code)}, 1)
	}
	for name, bytes := range noise {
		a := newLDAP(t, ldap.Options{URLs: []string{"ldap://" + once(t, bytes)}}).Lookup(context.Background(), parse(t, anna))
		if a.Outcome != lookup.Unavailable || a.Err == nil || a.Reason != reason.LookupUnavailable {
			t.Errorf("%s: %v, %s, %v", name, a.Outcome, a.Reason, a.Err)
		}
	}
	if a := newLDAP(t, ldap.Options{URLs: []string{"ldap://" + once(t, done)}}).Lookup(context.Background(), parse(t, anna)); a.Outcome != lookup.None {
		t.Errorf("a whole end: %v, %v: the others prove nothing", a.Outcome, a.Err)
	}
}

// once takes one connection, answers its first bytes and hangs up.
func once(t testing.TB, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = io.Copy(c, bytes.NewReader(answer))
		}
	}()
	return l.Addr().String()
}

func TestNewLDAPRefuses(t *testing.T) {
	if _, err := lookup.NewLDAP(lookup.LDAPOptions{}); !errors.Is(err, ldap.ErrURL) {
		t.Error(err)
	}
}
