package harvest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

const (
	anna   = "anna@example.org"
	header = "From: Anna <anna@example.org>\r\nTo: b@bank.example\r\nMessage-ID: <1@example.org>\r\nSubject: hello\r\n"
)

var entity = []byte("Content-Type: text/plain\r\n\r\nhello\r\n")

// A world has an authority, and a Harvester that trusts it.
type world struct {
	*testing.T
	ca   *testkit.CA
	opts Options
}

func newWorld(t *testing.T) *world {
	ca := testkit.NewCA(t)
	return &world{t, ca, Options{Trust: trusting(ca)}}
}

func trusting(ca *testkit.CA) lookup.TrustOptions {
	return lookup.TrustOptions{Roots: []*x509.Certificate{ca.Cert}}
}

// any gives a world in which nobody vouches for anybody.
func (w *world) any() *world {
	v := *w
	v.opts.Trust = lookup.TrustOptions{Vouch: lookup.Itself}
	return &v
}

func (w *world) read(message []byte) (Learned, error) {
	w.Helper()
	h, err := New(w.opts)
	if err != nil {
		w.Fatal(err)
	}
	return h.Read(w.Context(), bytes.NewReader(message))
}

// learns checks that the message teaches this certificate.
func (w *world) learns(name string, message []byte, want *x509.Certificate) Learned {
	w.Helper()
	l, err := w.read(message)
	if err != nil {
		w.Errorf("%s: %v", name, err)
		return l
	}
	if l.Address.String() != anna || !bytes.Equal(l.Certificate.Raw, want.Raw) {
		w.Errorf("%s: learned %s for %v (%s)", name, l.Certificate.Subject, l.Address, l.Verdict)
	}
	return l
}

// refuses checks that the message teaches nothing, for this reason.
func (w *world) refuses(name string, message []byte, want reason.Token) {
	w.Helper()
	l, err := w.read(message)
	var no *Refusal
	if !errors.As(err, &no) || no.Reason != want {
		w.Errorf("%s: %v, want %s", name, err, want)
		return
	}
	if l.Certificate != nil || no.Why == "" || strings.Contains(no.Why, "hello") {
		w.Errorf("%s: %+v, %q", name, l, no.Why)
	}
}

// mail is a signed mail; the signatures, and certificates beside theirs.
func (w *world) mail(signs []testkit.Signature, more ...*x509.Certificate) []byte {
	d := testkit.SignedData{Content: entity, Detached: true, Signs: signs}
	for _, s := range signs {
		d.Certs = append(d.Certs, s.ID.Cert.Raw)
	}
	for _, c := range more {
		d.Certs = append(d.Certs, c.Raw)
	}
	return d.Mail(w, header)
}

func by(id *testkit.Identity, attrs ...[]byte) []testkit.Signature {
	return []testkit.Signature{{ID: id, Attrs: attrs}}
}

// Leaves of one person with two keys.
var (
	signingLeaf    = testkit.Leaf{Addresses: []string{anna}, Usage: x509.KeyUsageDigitalSignature}
	encryptionLeaf = testkit.Leaf{Addresses: []string{anna}, Usage: x509.KeyUsageKeyEncipherment}
)

func TestLearns(t *testing.T) {
	w := newWorld(t)
	id := w.ca.For(t, anna)
	capabilities := testkit.Attribute(t, testkit.TLV(0x30,
		testkit.TLV(0x30, testkit.OID(t, 2, 16, 840, 1, 101, 3, 4, 1, 46)), testkit.TLV(0x30, testkit.OID(t, 2, 16, 840, 1, 101, 3, 4, 1, 42)),
		testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 3, 2), testkit.TLV(2, []byte{40})), testkit.TLV(0x30, testkit.OID(t, 2, 16, 840, 1, 101, 3, 4, 1, 46))), 15)
	l := w.learns("one key", w.mail(by(id, capabilities), w.ca.Cert), id.Cert)
	if l.MessageID != "<1@example.org>" || !strings.Contains(l.Signer, anna) || time.Since(l.SigningTime) > time.Minute || l.Verdict == "" {
		t.Errorf("%+v", l)
	}
	if want := []string{"2.16.840.1.101.3.4.1.46", "2.16.840.1.101.3.4.1.42", "1.2.840.113549.3.2"}; !slices.Equal(l.Capabilities, want) {
		t.Errorf("capabilities %v", l.Capabilities)
	}
	if len(l.Chain) != 1 || !bytes.Equal(l.Chain[0].Raw, w.ca.Cert.Raw) {
		t.Errorf("chain %v", l.Chain)
	}
	opaque := testkit.SignedData{Content: entity, Signs: by(id)}
	w.learns("opaque", opaque.Mail(t, header), id.Cert)
	w.learns("line feeds", bytes.ReplaceAll(w.mail(by(id)), []byte("\r\n"), []byte("\n")), id.Cert)
	stranger := testkit.NewCA(t).For(t, anna)
	w.any().learns("nobody vouches", w.mail(by(stranger)), stranger.Cert)

	middle := w.ca.Intermediate(t, nil)
	below := middle.For(t, anna)
	if l := w.learns("below an intermediate", w.mail(by(below), middle.Cert), below.Cert); len(l.Chain) != 1 {
		t.Errorf("chain %v", l.Chain)
	}
	p := w.ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	w.learns("elliptic curve", w.mail(by(p)), p.Cert)
	w.learns("PSS", w.mail([]testkit.Signature{{ID: id, PSS: true, Hash: crypto.SHA512}}), id.Cert)
	many := w.ca.Issue(t, testkit.Leaf{Addresses: []string{"a.b@example.org", anna}})
	w.learns("several addresses", w.mail(by(many)), many.Cert)
	other := w.ca.For(t, "bob@example.org")
	w.learns("signed by somebody else, too", w.mail(append(by(other), by(id)...)), id.Cert)
}

func TestLearnsTheOtherKey(t *testing.T) {
	w := newWorld(t)
	keyID := func(c *x509.Certificate) { c.SubjectKeyId = []byte("key of anna") }
	sign, enc := w.ca.Issue(t, signingLeaf), encryptionLeaf
	enc.Change = keyID
	encrypt := w.ca.Issue(t, enc)
	ed := w.ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, Key: "ed25519"})
	both := w.ca.For(t, anna)
	issuerAndSerial := append(bytes.Clone(encrypt.Cert.RawIssuer), testkit.TLV(2, encrypt.Cert.SerialNumber.FillBytes(make([]byte, 16)))...)
	w.learns("in the bundle", w.mail(by(sign), encrypt.Cert), encrypt.Cert)
	w.learns("in the bundle, Ed25519", w.mail(by(ed), encrypt.Cert), encrypt.Cert)
	w.learns("in the bundle, though the signer's would do", w.mail(by(both), encrypt.Cert), encrypt.Cert)
	w.learns("another one of both uses", w.mail(by(sign), both.Cert), both.Cert)
	w.learns("the signer's own before another of both uses", w.mail(by(both), w.ca.For(t, anna).Cert), both.Cert)
	newest := encryptionLeaf
	newest.NotBefore = time.Now().Add(-time.Minute)
	renewed := w.ca.Issue(t, newest)
	w.learns("the newer of two", w.mail(by(sign), renewed.Cert, encrypt.Cert), renewed.Cert)
	w.learns("for somebody else in the bundle", w.mail(by(both), w.ca.Issue(t, testkit.Leaf{Addresses: []string{"eve@example.org"}, Usage: x509.KeyUsageKeyEncipherment}).Cert), both.Cert)

	pkcs9 := func(value []byte) []byte { return testkit.Attribute(t, value, 1, 2, 840, 113549, 1, 9, 16, 2, 11) }
	for name, attr := range map[string][]byte{
		"issuer and serial":            pkcs9(testkit.TLV(0xa0, issuerAndSerial)),
		"issuer and serial, explicit":  pkcs9(testkit.TLV(0xa0, testkit.TLV(0x30, issuerAndSerial))),
		"recipient key identifier":     pkcs9(testkit.TLV(0xa1, testkit.TLV(4, []byte("key of anna")), testkit.TLV(24, []byte("20260101000000Z")))),
		"subject alternative key":      pkcs9(testkit.TLV(0x82, []byte("key of anna"))),
		"subject alternative, in full": pkcs9(testkit.TLV(0xa2, testkit.TLV(4, []byte("key of anna")))),
		"Microsoft's":                  testkit.Attribute(t, testkit.TLV(0x30, issuerAndSerial), 1, 3, 6, 1, 4, 1, 311, 16, 4),
	} {
		w.learns(name, w.mail(by(both, attr), renewed.Cert, encrypt.Cert), encrypt.Cert)
		w.any().learns(name+", proven", w.mail(by(both, attr), renewed.Cert, encrypt.Cert, w.ca.Cert), encrypt.Cert)
		w.any().refuses(name+", not proven", w.mail(by(both, attr), renewed.Cert, encrypt.Cert), reason.EncryptionCertForeign)
		w.refuses(name+", not there", w.mail(by(both, attr), renewed.Cert), reason.EncryptionCertMissing)
	}
	w.refuses("preference that cannot be read", w.mail(by(both, pkcs9(testkit.TLV(4, []byte("x")))), encrypt.Cert), reason.EncryptionCertMissing)
}

// TestReaderFails: what went wrong while reading is nobody's fault.
func TestReaderFails(t *testing.T) {
	h, err := New(newWorld(t).opts)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Read(t.Context(), iotest.ErrReader(io.ErrClosedPipe))
	if !errors.Is(err, io.ErrClosedPipe) || errors.As(err, new(*Refusal)) {
		t.Error(err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("trust by PKI without roots")
	}
}

// TestOddText: what strangers write reaches no terminal as it is.
func TestOddText(t *testing.T) {
	w := newWorld(t)
	id := w.ca.Issue(t, testkit.Leaf{Name: "\x1b[2J" + strings.Repeat("x", 1000), Addresses: []string{anna}})
	d := testkit.SignedData{Content: entity, Detached: true, Signs: by(id)}
	for _, field := range []string{"Message-ID: <a b>", "Message-ID: \x1b", "Message-ID: <" + strings.Repeat("x", 400) + ">", "Message-ID: <1@x>\r\nMessage-ID: <2@x>"} {
		l := w.learns(field, d.Mail(t, "From: "+anna+"\r\n"+field+"\r\n"), id.Cert)
		if l.MessageID != "" || strings.Contains(l.Signer, "\x1b") || len(l.Signer) > maxText+10 {
			t.Errorf("%q, %q", l.MessageID, l.Signer)
		}
	}
}
