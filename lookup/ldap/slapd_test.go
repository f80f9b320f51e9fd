package ldap_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"go.uber.org/goleak"

	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup/ldap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anna = "anna@example.org"

func parse(t testing.TB, s string) address.Address {
	t.Helper()
	a, err := address.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// client makes a client whose connections are closed before the test ends.
func client(t testing.TB, opts ldap.Options) *ldap.Client {
	t.Helper()
	if opts.Base == "" {
		opts.Base = testkit.SlapdPeople
	}
	if opts.Timeout == 0 {
		opts.Timeout = testkit.Patience
	}
	c, err := ldap.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask makes a client and asks once.
func ask(t testing.TB, opts ldap.Options, addr string) ([]ldap.Entry, error) {
	t.Helper()
	return client(t, opts).Search(context.Background(), parse(t, addr))
}

// wantValues compares the values of all entries, whatever their order.
func wantValues(t testing.TB, what string, entries []ldap.Entry, err error, want ...[]byte) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	n := 0
	for _, e := range entries {
		for _, v := range e.Values {
			n++
			found := false
			for _, w := range want {
				found = found || bytes.Equal(v, w)
			}
			if !found {
				t.Errorf("%s: %s has a value of %d bytes that nobody stored", what, e.Where, len(v))
			}
		}
	}
	if n != len(want) {
		t.Errorf("%s: %d values, want %d", what, n, len(want))
	}
}

// secret is a way to give a password.
func secret(s string) func() (string, error) { return func() (string, error) { return s, nil } }

func clientCertificate(t testing.TB, ca *testkit.CA, name string) tls.Certificate {
	t.Helper()
	id := ca.Issue(t, testkit.Leaf{
		Name: name, Key: "p256", Usage: x509.KeyUsageDigitalSignature, ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{id.Cert.Raw}, PrivateKey: id.Key}
}

// Every way to connect and to log in, at a server that shows its people only
// to who may see them.
func TestSlapdTransportsAndLogins(t *testing.T) {
	ca, other := testkit.NewCA(t), testkit.NewCA(t)
	const onlyReader = "access to attrs=userPassword by anonymous auth by * none\n" +
		"access to dn.subtree=ou=people,dc=example,dc=org by dn.exact=\"cn=reader,dc=example,dc=org\" read by * none\n" +
		"access to * by * read\n"
	s := testkit.StartSlapd(t, testkit.SlapdOptions{TLS: ca.Server(t), ClientCA: ca, ACL: onlyReader})
	cert := ca.For(t, anna).Cert
	s.Person(t, "anna", anna, cert)
	roots := ca.ClientTLS("").RootCAs
	trusting := func(certs ...tls.Certificate) *tls.Config { return &tls.Config{RootCAs: roots, Certificates: certs} }
	mine, theirs := clientCertificate(t, ca, "reader"), clientCertificate(t, other, "reader")
	expired := client(t, ldap.Options{URLs: []string{s.TLSURL}, TLS: &tls.Config{RootCAs: roots, Time: func() time.Time { return time.Now().Add(48 * time.Hour) }}})
	_, err := expired.Search(context.Background(), parse(t, anna))
	if invalid := (x509.CertificateInvalidError{}); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("expired: %v", err)
	}
	reader := ldap.Options{Bind: ldap.Simple, BindDN: testkit.SlapdReader, Password: secret(testkit.SlapdPassword)}
	for name, c := range map[string]struct {
		url    string
		start  bool
		config *tls.Config
		bind   ldap.BindMode
		pass   string
		good   bool
		want   func(error) bool
	}{
		"cleartext":              {url: s.URL, bind: ldap.Simple, good: true},
		"StartTLS":               {url: s.URL, start: true, config: trusting(), bind: ldap.Simple, good: true},
		"ldaps":                  {url: s.TLSURL, config: trusting(), bind: ldap.Simple, good: true},
		"ldapi":                  {url: s.SocketURL, bind: ldap.Simple, good: true},
		"ldapi, EXTERNAL":        {url: s.SocketURL, bind: ldap.External, good: true},
		"ldaps, EXTERNAL":        {url: s.TLSURL, config: trusting(mine), bind: ldap.External, good: true},
		"StartTLS, EXTERNAL":     {url: s.URL, start: true, config: trusting(mine), bind: ldap.External, good: true},
		"ldaps, anonymous":       {url: s.TLSURL, config: trusting(), want: resultIs(goldap.LDAPResultNoSuchObject)},
		"EXTERNAL, nothing":      {url: s.TLSURL, config: trusting(), bind: ldap.External, want: loginFailed},
		"EXTERNAL, not theirs":   {url: s.TLSURL, config: trusting(theirs), bind: ldap.External, want: anyError},
		"EXTERNAL, cleartext":    {url: s.URL, bind: ldap.External, want: loginFailed},
		"wrong password":         {url: s.URL, bind: ldap.Simple, pass: "wrong", want: resultIs(goldap.LDAPResultInvalidCredentials)},
		"StartTLS, unknown CA":   {url: s.URL, start: true, config: other.ClientTLS(""), want: unknownAuthority},
		"ldaps, unknown CA":      {url: s.TLSURL, config: other.ClientTLS(""), want: unknownAuthority},
		"ldaps, another name":    {url: s.TLSURL, config: ca.ClientTLS("ldap.example.org"), want: anotherName},
		"StartTLS, other name":   {url: s.URL, start: true, config: ca.ClientTLS("ldap.example.org"), want: anotherName},
		"ldaps to a plain port":  {url: strings.Replace(s.URL, "ldap:", "ldaps:", 1), config: trusting(), want: anyError},
		"plain to an ldaps port": {url: strings.Replace(s.TLSURL, "ldaps:", "ldap:", 1), want: anyError},
	} {
		opts := reader
		opts.URLs, opts.StartTLS, opts.TLS, opts.Bind, opts.Timeout = []string{c.url}, c.start, c.config, c.bind, 5*time.Second
		if c.pass != "" {
			opts.Password = secret(c.pass)
		}
		entries, err := ask(t, opts, anna)
		if c.good {
			wantValues(t, name, entries, err, cert.Raw)
			continue
		}
		if !c.want(err) {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
}

func anyError(err error) bool    { return err != nil }
func loginFailed(err error) bool { return errors.Is(err, ldap.ErrLogin) }

func resultIs(code uint16) func(error) bool {
	return func(err error) bool {
		var result *ldap.ResultError
		return errors.As(err, &result) && result.Code == code
	}
}

func unknownAuthority(err error) bool {
	var e x509.UnknownAuthorityError
	return errors.As(err, &e)
}

func anotherName(err error) bool {
	var e x509.HostnameError
	return errors.As(err, &e)
}

// A server that has no TLS, or wants it, is not talked to in the clear.
func TestSlapdStartTLS(t *testing.T) {
	ca := testkit.NewCA(t)
	without := testkit.StartSlapd(t, testkit.SlapdOptions{})
	if _, err := ask(t, ldap.Options{URLs: []string{without.URL}, StartTLS: true}, anna); !errors.Is(err, ldap.ErrStartTLS) {
		t.Errorf("not offered: %v", err)
	}
	wanting := testkit.StartSlapd(t, testkit.SlapdOptions{TLS: ca.Server(t), Config: "security ssf=64"})
	if _, err := ask(t, ldap.Options{URLs: []string{wanting.URL}}, anna); !resultIs(goldap.LDAPResultConfidentialityRequired)(err) {
		t.Errorf("wanted: %v", err)
	}
	entries, err := ask(t, ldap.Options{URLs: []string{wanting.URL}, StartTLS: true, TLS: ca.ClientTLS("")}, anna)
	wantValues(t, "wanted and done", entries, err)
}

// What the entries of a directory look like, and what is taken out of them.
func TestSlapdEntries(t *testing.T) {
	ca := testkit.NewCA(t)
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	a, b, bundle := ca.For(t, anna).Cert, ca.For(t, anna).Cert, []byte{0x30, 0x03, 0x02, 0x01, 0x00}
	s.Person(t, "one", anna, a)
	s.Person(t, "two", "two@example.org", a, b)
	s.Person(t, "shared 1", "shared@example.org", a)
	s.Person(t, "shared 2", "shared@example.org", b)
	s.Person(t, "none", "none@example.org")
	s.Entry(t, "cn=bundle,"+testkit.SlapdPeople, map[string][][]byte{
		"mail": {[]byte("bundle@example.org")}, "userSMIMECertificate": {bundle}, "userCertificate;binary": {a.Raw},
	})
	s.Entry(t, "cn=elsewhere,"+testkit.SlapdBase, map[string][][]byte{
		"mail": {[]byte("elsewhere@example.org")}, "uid": {[]byte("else")}, "userCertificate;binary": {b.Raw},
	})
	s.Add(t, "dn: cn=alias,"+testkit.SlapdPeople+"\nobjectClass: alias\nobjectClass: extensibleObject\ncn: alias\naliasedObjectName: cn=elsewhere,"+testkit.SlapdBase+"\n")
	for _, c := range []struct {
		name, addr string
		opts       ldap.Options
		want       [][]byte
	}{
		{"one", anna, ldap.Options{}, [][]byte{a.Raw}},
		{"another case", "ANNA@EXAMPLE.ORG", ldap.Options{}, [][]byte{a.Raw}},
		{"two certificates", "two@example.org", ldap.Options{}, [][]byte{a.Raw, b.Raw}},
		{"two entries", "shared@example.org", ldap.Options{}, [][]byte{a.Raw, b.Raw}},
		{"no certificate", "none@example.org", ldap.Options{}, nil},
		{"nobody", "nobody@example.org", ldap.Options{}, nil},
		{"somebody whom IA5 cannot spell", "jürgen@example.org", ldap.Options{}, nil},
		{"both attributes", "bundle@example.org", ldap.Options{}, [][]byte{a.Raw, bundle}},
		{"one attribute", "bundle@example.org", ldap.Options{Attributes: []string{"usersmimecertificate"}}, [][]byte{bundle}},
		{"without ;binary", "bundle@example.org", ldap.Options{Attributes: []string{"userCertificate"}}, [][]byte{a.Raw}},
		{"an attribute that nobody knows", anna, ldap.Options{Attributes: []string{"pgpKey"}}, nil},
		{"outside of the base", "elsewhere@example.org", ldap.Options{}, nil},
		{"a wider base", "elsewhere@example.org", ldap.Options{Base: testkit.SlapdBase}, [][]byte{b.Raw}},
		{"an alias, followed", "elsewhere@example.org", ldap.Options{FollowAliases: true}, [][]byte{b.Raw}},
		{"one level", anna, ldap.Options{Base: testkit.SlapdBase, Scope: ldap.OneLevel}, nil},
		{"the base alone", anna, ldap.Options{Base: "cn=one," + testkit.SlapdPeople, Scope: ldap.BaseOnly}, [][]byte{a.Raw}},
		{"another filter", "else@example.org", ldap.Options{Base: testkit.SlapdBase, Filter: "(&(objectClass=person)(uid={local}))"}, [][]byte{b.Raw}},
		{"a filter of the domain", "x@example.org", ldap.Options{Filter: "(&(mail=two@{domain})(!(mail={address})))"}, [][]byte{a.Raw, b.Raw}},
	} {
		c.opts.URLs = []string{s.URL}
		entries, err := ask(t, c.opts, c.addr)
		wantValues(t, c.name, entries, err, c.want...)
	}
	entries, err := ask(t, ldap.Options{URLs: []string{s.URL}}, anna)
	if err != nil || len(entries) != 1 || entries[0].Where != s.URL+"/cn=one%2Cou=people%2Cdc=example%2Cdc=org" {
		t.Errorf("where: %v, %v", entries, err)
	}
}

// A directory that gives less than there is gives nothing.
func TestSlapdIncomplete(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{Config: "sizelimit 5"})
	cert := testkit.NewCA(t).For(t, anna).Cert
	for i := range 8 {
		s.Person(t, fmt.Sprint("many ", i), "many@example.org", cert)
	}
	for i := range 3 {
		s.Person(t, fmt.Sprint("few ", i), "few@example.org", cert)
	}
	s.Add(t, "dn: ou=branch,"+testkit.SlapdBase+"\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\nref: ldap://127.0.0.1:1/ou=branch,"+testkit.SlapdBase+"\n")
	for name, c := range map[string]struct {
		opts ldap.Options
		addr string
		want func(error) bool
	}{
		"the server's limit":   {ldap.Options{}, "many@example.org", resultIs(goldap.LDAPResultSizeLimitExceeded)},
		"our limit":            {ldap.Options{MaxEntries: 2}, "few@example.org", resultIs(goldap.LDAPResultSizeLimitExceeded)},
		"our limit of bytes":   {ldap.Options{MaxAnswer: 1000}, "few@example.org", is(ldap.ErrTooLarge)},
		"a reference":          {ldap.Options{Base: testkit.SlapdBase}, "few@example.org", is(ldap.ErrReferral)},
		"a reference, nobody":  {ldap.Options{Base: testkit.SlapdBase}, "nobody@example.org", is(ldap.ErrReferral)},
		"a referral":           {ldap.Options{Base: "ou=branch," + testkit.SlapdBase}, anna, resultIs(goldap.LDAPResultReferral)},
		"a referral, ignoring": {ldap.Options{Base: "ou=branch," + testkit.SlapdBase, IgnoreReferrals: true}, anna, resultIs(goldap.LDAPResultReferral)},
		"no such base":         {ldap.Options{Base: "ou=nowhere," + testkit.SlapdBase}, anna, resultIs(goldap.LDAPResultNoSuchObject)},
		"not its directory":    {ldap.Options{Base: "dc=example,dc=net"}, anna, anyError},
	} {
		c.opts.URLs = []string{s.URL}
		if entries, err := ask(t, c.opts, c.addr); !c.want(err) || len(entries) > 0 {
			t.Errorf("%s: %d entries, %v", name, len(entries), err)
		}
	}
	entries, err := ask(t, ldap.Options{URLs: []string{s.URL}, Base: testkit.SlapdBase, IgnoreReferrals: true}, "few@example.org")
	wantValues(t, "references ignored", entries, err, cert.Raw, cert.Raw, cert.Raw)
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// What an access rule hides looks like what is not there: the server does not
// say which.
func TestSlapdHidesByACL(t *testing.T) {
	s := testkit.StartSlapd(t, testkit.SlapdOptions{ACL: "access to attrs=userCertificate by * none\naccess to * by * read\n"})
	s.Person(t, "anna", anna, testkit.NewCA(t).For(t, anna).Cert)
	entries, err := ask(t, ldap.Options{URLs: []string{s.URL}}, anna)
	if wantValues(t, "hidden", entries, err); len(entries) != 1 {
		t.Errorf("%d entries", len(entries))
	}
}

// Names that are filters, and letters that are special in them, find whom they
// name and nobody else.
func TestSlapdFilterInjection(t *testing.T) {
	ca := testkit.NewCA(t)
	s := testkit.StartSlapd(t, testkit.SlapdOptions{})
	c := client(t, ldap.Options{URLs: []string{s.URL}})
	s.Person(t, "anna", anna, ca.For(t, anna).Cert)
	s.Person(t, "star", `"*"@example.org`, ca.For(t, "star@example.org").Cert)
	for _, addr := range []string{
		`"*)(mail=*"@example.org`, `*@example.org`, `a*@example.org`, `"*)(objectClass=*"@example.org`, `"anna)(|(mail=*"@example.org`,
		`"\\2a"@example.org`, `"anna@"@example.org`, `"(anna)"@example.org`, `"\\"@example.org`, `{local}@example.org`,
	} {
		a, err := address.Parse(addr)
		if err != nil {
			continue // a route: refused before
		}
		entries, err := c.Search(context.Background(), a)
		wantValues(t, addr, entries, err)
	}
	for i, name := range []string{`"a*b"@example.org`, `"a(b)c"@example.org`, `"a\\b"@example.org`, `a*)(mail=x@example.org`} {
		a, err := address.Parse(name)
		if err != nil {
			continue
		}
		cert := ca.For(t, anna).Cert
		s.Person(t, fmt.Sprint("odd ", i), a.Key(), cert)
		entries, err := c.Search(context.Background(), a)
		wantValues(t, name, entries, err, cert.Raw)
	}
}
