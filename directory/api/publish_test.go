package api_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

func TestPublish(t *testing.T) {
	d := newDirectory(t, nil)
	carl, dora := d.ca.For(t, "carl@example.org"), d.ca.Issue(t, testkit.Leaf{Addresses: []string{"dora@example.org", "dora@example.net"}, Key: "p256"})
	bundle, err := pkcs7.DegenerateCertificate(append(append([]byte(nil), carl.Cert.Raw...), d.ca.Cert.Raw...))
	if err != nil {
		t.Fatal(err)
	}
	publication := func(v keydb.Publication) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct{ name, kind, body, want string }{
		{"DER", "application/pkix-cert", string(carl.Cert.Raw), "carl@example.org"},
		{"PEM, with the authority's", "application/x-pem-file", string(carl.CertPEM) + string(d.ca.PEM), "carl@example.org"},
		{"PKCS #7", "application/pkcs7-mime", string(bundle), "carl@example.org"},
		{"JSON", "application/json", publication(keydb.Publication{DER: carl.Cert.Raw}), "carl@example.org"},
		{"two addresses", "application/pkix-cert", string(dora.Cert.Raw), "dora@example.org,dora@example.net"},
		{"one of two", "application/json", publication(keydb.Publication{DER: dora.Cert.Raw, Addresses: []string{"dora@EXAMPLE.net"}}), "dora@example.net"},
	} {
		a := d.call(t, "POST /v1/certificates", d.with(store.ScopeWrite)+"\nContent-Type: "+c.kind, c.body).expect(t, 200, "")
		var added keydb.Added
		if err := json.Unmarshal(a.body, &added); err != nil {
			t.Fatal(err)
		}
		if len(added.Certificates) != 1 || added.Certificates[0].Status != "active" || strings.Join(added.Certificates[0].Addresses, ",") != c.want {
			t.Errorf("%s: %s", c.name, a.body)
		}
		d.call(t, "GET /v1/certificates?email="+strings.Split(c.want, ",")[0], "", "").expect(t, 200, "")
	}
}

// Nothing that nobody could be written with is stored, and a private key never.
func TestPublishRefuses(t *testing.T) {
	d := newDirectory(t, nil)
	good := d.ca.For(t, "eve@example.org")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(good.Key)
	if err != nil {
		t.Fatal(err)
	}
	pfx := testkit.TLV(0x30, testkit.TLV(2, []byte{3}), testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 7, 1)))
	issue := func(l testkit.Leaf) string { return string(d.ca.Issue(t, l).Cert.Raw) }
	for name, c := range map[string]struct {
		body string
		why  reason.Token
	}{
		"a key, PEM":           {string(good.KeyPEM), reason.PrivateKeyReceived},
		"a key beside it":      {string(good.CertPEM) + string(good.KeyPEM), reason.PrivateKeyReceived},
		"a key, DER":           {string(pkcs8), reason.PrivateKeyReceived},
		"PKCS #12":             {string(pfx), reason.PrivateKeyReceived},
		"an authority":         {string(d.ca.Cert.Raw), reason.CertificateCA},
		"nothing":              {"", reason.CertificateUnreadable},
		"half":                 {string(good.Cert.Raw[:200]), reason.CertificateUnreadable},
		"one good, one broken": {string(good.CertPEM) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", reason.CertificateUnreadable},
		"without an address":   {issue(testkit.Leaf{Name: "Eve"}), reason.CertificateAddress},
		"expired":              {issue(testkit.Leaf{Addresses: []string{"eve@example.org"}, NotAfter: time.Now().Add(-time.Minute)}), reason.CertificateExpired},
		"for signing":          {issue(testkit.Leaf{Addresses: []string{"eve@example.org"}, Usage: x509.KeyUsageDigitalSignature}), reason.CertificateUsage},
	} {
		a := d.call(t, "POST /v1/certificates", d.with(store.ScopeWrite)+"\nContent-Type: application/x-pem-file", c.body)
		if a.StatusCode != 422 || !strings.Contains(string(a.body), `"`+string(c.why)+`"`) {
			t.Errorf("%s: %s %s", name, a.Status, a.body)
		}
	}
	foreign := fmt.Sprintf(`{"der":%q,"addresses":["anna@example.org"]}`, base64.StdEncoding.EncodeToString(good.Cert.Raw))
	d.call(t, "POST /v1/certificates", d.with(store.ScopeWrite)+"\nContent-Type: application/json", foreign).expect(t, 422, reason.CertificateAddress)
	d.call(t, "GET /v1/certificates?email=eve@example.org", "", "").expect(t, 404, reason.NoCertificate)
	if !strings.Contains(d.log.text(), "a private key was sent") || strings.Contains(d.log.text(), "BEGIN") {
		t.Error("the operator is not warned, or told too much")
	}
}

// The relay's own client speaks with the directory: publish, find, follow, revoke.
func TestTheClientOfTheRelay(t *testing.T) {
	d := newDirectory(t, nil)
	client, err := keydb.New(keydb.Options{URL: d.URL, Token: func() (string, error) { return d.secret[store.ScopeAdmin], nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	carl := d.ca.For(t, "carl@example.org")
	addr, err := address.Parse("carl@example.org")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	page, err := client.Changes(ctx, "", 10, 0)
	if err != nil || len(page.Changes) != 1 || !page.Complete {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, err := client.Lookup(ctx, addr); !errors.Is(err, keydb.ErrNone) {
		t.Fatal(err)
	}
	news := make(chan keydb.Page, 1)
	go func() {
		p, err := client.Changes(ctx, page.Next, 10, 30*time.Second)
		if err != nil {
			t.Error(err)
		}
		news <- p
	}()
	added, err := client.Publish(ctx, keydb.Publication{DER: carl.Cert.Raw})
	if err != nil {
		t.Fatal(err)
	}
	p := <-news // the wait ends with the change
	if len(p.Changes) != 1 || p.Changes[0].Address != "carl@example.org" || !bytes.Equal(p.Changes[0].Certificates[0].DER, carl.Cert.Raw) {
		t.Errorf("%+v", p)
	}
	if a, err := client.Lookup(ctx, addr); err != nil || !bytes.Equal(a.Certificates[0].DER, carl.Cert.Raw) || a.Certificates[0].Origin != "api" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := client.Revoke(ctx, added.Certificates[0].SHA256); err != nil {
		t.Fatal(err)
	}
	if p, err = client.Changes(ctx, p.Next, 10, 0); err != nil || len(p.Changes) != 1 || len(p.Changes[0].Certificates) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = client.Changes(ctx, p.Next, 10, time.Second); err != nil || len(p.Changes) != 0 || !p.Complete {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := client.Changes(ctx, "other.3", 10, 0); !errors.Is(err, keydb.ErrCursor) {
		t.Error(err)
	}
	if _, err := client.Changes(ctx, d.store.Epoch()+".999", 10, 0); !errors.Is(err, keydb.ErrCursor) {
		t.Error(err)
	}
}

// A feed that fails on its way is no page to anybody.
func TestFeedInPages(t *testing.T) {
	d := newDirectory(t, nil)
	for i := range 5 {
		d.enter(t, testkit.Leaf{Addresses: []string{fmt.Sprintf("p%d@example.org", i)}, Key: "p256"})
	}
	client, err := keydb.New(keydb.Options{URL: d.URL, Token: func() (string, error) { return d.secret[store.ScopeFeed], nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	seen, cursor := 0, ""
	for complete := false; !complete; {
		page, err := client.Changes(t.Context(), cursor, 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen, cursor, complete = seen+len(page.Changes), page.Next, page.Complete
	}
	if seen != 6 {
		t.Errorf("%d changes", seen)
	}
}
