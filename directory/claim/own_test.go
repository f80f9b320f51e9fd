package claim_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/claim"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// active gives the fingerprints of what mail to an address is sealed to.
func (w *world) active(t testing.TB, addr string) [][32]byte {
	t.Helper()
	found, err := w.store.Lookup(t.Context(), []string{addr})
	if err != nil {
		t.Fatal(err)
	}
	var list [][32]byte
	for _, c := range found[0] {
		list = append(list, c.Cert.Fingerprint())
	}
	return list
}

func TestReplace(t *testing.T) {
	w := newWorld(t)
	settled := 0
	w.opts.Settle = func(context.Context) { settled++ }
	w.engine = w.build(t, w.opts)
	secret, s, _ := w.enter(t, anna)
	own := testkit.NewCA(t).For(t, "ANNA@example.org") // another mailbox, strictly
	err := w.engine.Replace(t.Context(), secret, bytes.Clone(own.CertPEM))
	isCertificate(t, err, reason.CertificateAddress)
	own = testkit.NewCA(t).For(t, anna)
	if err := w.engine.Replace(t.Context(), secret, bytes.Clone(own.Cert.Raw)); err != nil {
		t.Fatal(err)
	}
	if list := w.active(t, anna); len(list) != 1 || list[0] != fingerprint(own) || settled != 1 {
		t.Errorf("mail is sealed to %x; settled %d times", list, settled)
	}
	c, err := w.store.ByFingerprint(t.Context(), s.Fingerprint)
	if err != nil || c.Status != store.StatusSuperseded {
		t.Errorf("ours is %s, %v", c.Status, err)
	}
	if after, err := w.engine.Session(t.Context(), secret); err != nil || !after.KeyThere {
		t.Errorf("the key for older mail is gone: %+v, %v", after, err)
	}
	if kinds := w.audit(t); kinds != "issued provisioned replaced" {
		t.Errorf("the audit log: %s", kinds)
	}
}

// Where new keys wait for an operator, the owner's word is enough.
func TestReplaceWhereKeysAreHeld(t *testing.T) {
	w := newWorld(t)
	held, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(w.dir, "directory.db"), Clock: w.clock, HoldKeyChange: true})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	w.opts.Store, w.store = held, held
	w.engine = w.build(t, w.opts)
	secret, _, _ := w.enter(t, anna)
	own := testkit.NewCA(t).For(t, anna)
	// Somebody had published it before, and it waits.
	parsed := mustParse(t, own)
	added, err := held.Add(t.Context(), []store.New{{Cert: parsed, Origin: store.OriginAPI, Supersede: true}})
	if err != nil || added[0].Status != store.StatusHeld {
		t.Fatalf("%+v, %v", added, err)
	}
	if err := w.engine.Replace(t.Context(), secret, bytes.Clone(own.CertPEM)); err != nil {
		t.Fatal(err)
	}
	if list := w.active(t, anna); len(list) != 1 || list[0] != fingerprint(own) {
		t.Errorf("mail is sealed to %x", list)
	}
	if err := held.SetStatus(t.Context(), fingerprint(own), store.StatusRevoked, "test"); err != nil {
		t.Fatal(err)
	}
	isCertificate(t, w.engine.Replace(t.Context(), secret, bytes.Clone(own.CertPEM)), reason.CertificateRevoked)
}

func mustParse(t testing.TB, id *testkit.Identity) *certificate.Certificate {
	t.Helper()
	c, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReplaceTakesTheOneThatFits(t *testing.T) {
	w := newWorld(t)
	secret, _, _ := w.enter(t, anna)
	ca := testkit.NewCA(t)
	old := ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, NotBefore: w.now.Add(-48 * time.Hour), NotAfter: w.now.Add(-time.Hour)})
	own := ca.For(t, anna)
	bundle := bytes.Join([][]byte{ca.PEM, ca.For(t, bert).CertPEM, old.CertPEM, own.CertPEM}, []byte("some words\n"))
	if err := w.engine.Replace(t.Context(), secret, bundle); err != nil {
		t.Fatal(err)
	}
	if list := w.active(t, anna); len(list) != 1 || list[0] != fingerprint(own) {
		t.Errorf("mail is sealed to %x", list)
	}
}

func TestReplaceRefuses(t *testing.T) {
	w := newWorld(t)
	secret, s, ours := w.enter(t, anna)
	ca := testkit.NewCA(t)
	leaf := func(l testkit.Leaf) []byte {
		if l.Addresses == nil {
			l.Addresses = []string{anna}
		}
		return ca.Issue(t, l).CertPEM
	}
	for name, c := range map[string]struct {
		upload []byte
		why    reason.Token
	}{
		"nothing":        {nil, reason.CertificateUnreadable},
		"a text":         {[]byte("Dear bank,"), reason.CertificateUnreadable},
		"too large":      {bytes.Repeat([]byte("a"), claim.MaxUpload+1), reason.CertificateUnreadable},
		"an authority":   {bytes.Clone(ca.PEM), reason.CertificateCA},
		"somebody else":  {leaf(testkit.Leaf{Addresses: []string{bert}}), reason.CertificateAddress},
		"expired":        {leaf(testkit.Leaf{NotBefore: w.now.Add(-2 * time.Hour), NotAfter: w.now.Add(-time.Hour)}), reason.CertificateExpired},
		"not for mail":   {leaf(testkit.Leaf{ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), reason.CertificateUsage},
		"only to sign":   {leaf(testkit.Leaf{Usage: x509.KeyUsageDigitalSignature}), reason.CertificateUsage},
		"a weak key":     {leaf(testkit.Leaf{Key: "rsa1024"}), reason.CertificateWeakKey},
		"of another use": {leaf(testkit.Leaf{Key: "ed25519"}), reason.CertificateKeyKind},
		"ours":           {bytes.Clone(ours.CertPEM), reason.CertificateUnreadable},
	} {
		t.Run(name, func(t *testing.T) { isCertificate(t, w.engine.Replace(t.Context(), secret, c.upload), c.why) })
	}
	if list := w.active(t, anna); len(list) != 1 || list[0] != s.Fingerprint {
		t.Errorf("mail is sealed to %x", list)
	}
}

// A private key that is uploaded by mistake is refused and not kept, in whatever
// form it comes.
func TestReplaceRefusesPrivateKeys(t *testing.T) {
	w := newWorld(t)
	secret, s, _ := w.enter(t, anna)
	own := testkit.NewCA(t).For(t, anna)
	der, err := x509.MarshalPKCS8PrivateKey(own.Key)
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(own.Key, own.Cert, nil, good)
	if err != nil {
		t.Fatal(err)
	}
	uploads := map[string][]byte{
		"PEM":             own.KeyPEM,
		"beside its own":  append(bytes.Clone(own.CertPEM), own.KeyPEM...),
		"DER":             der,
		"PKCS #12":        p12,
		"PKCS #12 in PEM": pem.EncodeToMemory(&pem.Block{Type: "PKCS12", Bytes: p12}),
		"PuTTY":           []byte("PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\nAAAA\n"),
		"half of a PEM":   own.KeyPEM[:200],
	}
	dir := t.TempDir()
	_, key := own.WriteFiles(t, dir, "own")
	for name, args := range map[string][]string{
		"PKCS #1":          {"rsa", "-traditional", "-in", key, "-outform", "DER"},
		"under passphrase": {"pkcs8", "-topk8", "-in", key, "-outform", "DER", "-passout", "pass:" + "secret word"},
	} {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		uploads[name] = out
	}
	for name, upload := range uploads {
		t.Run(name, func(t *testing.T) {
			given := bytes.Clone(upload)
			is(t, name, w.engine.Replace(t.Context(), secret, given), claim.ErrPrivateKey)
			if !bytes.Equal(given, make([]byte, len(given))) {
				t.Error("it is still in memory")
			}
		})
	}
	if list := w.active(t, anna); len(list) != 1 || list[0] != s.Fingerprint {
		t.Errorf("mail is sealed to %x", list)
	}
	for _, part := range []string{"PuTTY", strings.Split(string(own.KeyPEM), "\n")[3]} {
		inFiles(t, w.dir, "private key", part)
		if contains(w.log.Bytes(), part) {
			t.Error("the log has the key")
		}
	}
}

// FuzzReplace: whatever is uploaded, only a certificate that names the address
// comes out of it, and none when a private key is with it.
func FuzzReplace(f *testing.F) {
	now := time.Now()
	own := testkit.NewCA(f).For(f, anna)
	f.Add(own.CertPEM)
	f.Add(own.Cert.Raw)
	f.Add(own.KeyPEM)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x80, 2, 1, 3, 0x30})
	addr := parse(f, anna)
	f.Fuzz(func(t *testing.T, upload []byte) {
		c, err := claim.OwnCertificate(t.Context(), addr, bytes.Clone(upload), now)
		var refused *claim.CertificateError
		switch {
		case err == nil && (claim.HasPrivateKey(upload) || !names(c, anna) || c.IsCA):
			t.Errorf("a certificate of %v was taken", c.Addresses)
		case err != nil && !errors.Is(err, claim.ErrPrivateKey) && (!errors.As(err, &refused) || refused.Reason == "" || refused.Why == ""):
			t.Errorf("refused with %v", err)
		}
	})
}

func names(c *certificate.Certificate, addr string) bool {
	for _, text := range c.Addresses {
		if a, err := address.Parse(text); err == nil && a.Key() == addr {
			return true
		}
	}
	return false
}

func isCertificate(t testing.TB, err error, why reason.Token) {
	t.Helper()
	var refused *claim.CertificateError
	if !errors.As(err, &refused) || refused.Reason != why || refused.Why == "" {
		t.Errorf("%v, want %s", err, why)
	}
}
