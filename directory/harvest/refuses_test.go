package harvest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/revocation"
)

// TestRefuses has one message for every reason.
func TestRefuses(t *testing.T) {
	w := newWorld(t)
	id, bob := w.ca.For(t, anna), w.ca.For(t, "bob@example.org")
	good := w.mail(by(id))
	change := func(old, new string) []byte {
		t.Helper()
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%q is not there to be changed", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	leaf := func(change func(*testkit.Leaf)) *testkit.Identity {
		l := testkit.Leaf{Addresses: []string{anna}}
		change(&l)
		return w.ca.Issue(t, l)
	}
	data := func(d testkit.SignedData, s testkit.Signature) []byte {
		s.ID, d.Content, d.Detached = id, entity, true
		d.Signs = []testkit.Signature{s}
		return d.Mail(t, header)
	}
	forge := func(s testkit.Signature) []byte { return data(testkit.SignedData{}, s) }
	certsOnly := testkit.SignedData{Content: entity, Certs: [][]byte{id.Cert.Raw}}
	for _, test := range []struct {
		name    string
		message []byte
		want    reason.Token
	}{
		{"not signed", []byte(header + "\r\nhello\r\n"), reason.MessageNotSigned},
		{"certificates only", certsOnly.Mail(t, header), reason.MessageNotSigned},
		{"signed, but not mail", data(testkit.SignedData{Type: testkit.OID(t, 1, 2, 840, 113549, 1, 9, 16, 1, 4)}, testkit.Signature{}), reason.MessageNotSigned},
		{"two Froms", change("From:", "From: bob@example.org\r\nFrom:"), reason.FromAmbiguous},
		{"From with a comment", change("Anna <anna@example.org>", "anna@example.org (Anna)"), reason.FromAmbiguous},
		{"no From", change("From:", "X-From:"), reason.FromAmbiguous},
		{"two content types", change("MIME-Version", "Content-Type: text/plain\r\nMIME-Version"), reason.MessageMalformed},
		{"third part", change("------between--", "------between\r\n\r\nmore\r\n------between--"), reason.MessageMalformed},

		{"text changed", change("hello\r\n\r\n", "hallo\r\n\r\n"), reason.SignatureMismatch},
		{"forged signature", forge(testkit.Signature{Change: func(f [][]byte) { f[5] = testkit.TLV(4, make([]byte, 256)) }}), reason.SignatureInvalid},
		{"damaged signature", forge(testkit.Signature{Change: func(f [][]byte) { f[5] = nil }}), reason.SignatureInvalid},
		{"attributes twice", forge(testkit.Signature{Attrs: [][]byte{testkit.Attribute(t, testkit.TLV(4, []byte{1}), 4)}}), reason.SignatureInvalid},
		{"SHA-1", forge(testkit.Signature{Hash: crypto.SHA1}), reason.SignatureWeak},
		{"unknown algorithm", forge(testkit.Signature{Algorithm: testkit.TLV(0x30, testkit.OID(t, 1, 2, 3))}), reason.SignatureUnsupported},
		{"no certificate", data(testkit.SignedData{NoCerts: true}, testkit.Signature{}), reason.SignerMissing},
		{"a decoy", data(testkit.SignedData{Certs: [][]byte{bob.Cert.Raw, w.ca.Cert.Raw}}, testkit.Signature{}), reason.SignerMissing},

		{"no time", forge(testkit.Signature{NoTime: true}), reason.SignatureTime},
		{"no attributes", forge(testkit.Signature{Bare: true}), reason.SignatureTime},
		{"in the future", forge(testkit.Signature{Time: time.Now().Add(16 * time.Minute)}), reason.SignatureTime},
		{"before the certificate", forge(testkit.Signature{Time: time.Now().Add(-2 * time.Hour)}), reason.SignatureTime},
		{"signed twice", w.mail(append(by(id), testkit.Signature{ID: leaf(func(*testkit.Leaf) {})})), reason.SignersSeveral},
		{"signed twice, once badly", w.mail(append(by(id), testkit.Signature{ID: bob, Digest: make([]byte, 32)})), reason.SignatureMismatch},
		{"signed twice, once by nobody", data(testkit.SignedData{Certs: [][]byte{}}, testkit.Signature{}), reason.SignerMissing},

		{"another's", w.mail(by(bob)), reason.CertificateAddress},
		{"another's, and a certificate of the sender's", w.mail(by(bob), id.Cert), reason.CertificateAddress},
		{"other case", w.mail(by(leaf(func(l *testkit.Leaf) { l.Addresses = []string{"Anna@example.org"} }))), reason.CertificateAddress},
		{"expired", w.mail(by(leaf(func(l *testkit.Leaf) { l.NotAfter = time.Now().Add(-time.Minute) }))), reason.CertificateExpired},
		{"not yet valid", w.mail(by(leaf(func(l *testkit.Leaf) { l.NotBefore = time.Now().Add(time.Minute) }))), reason.CertificateNotYetValid},
		{"untrusted", w.mail(by(testkit.NewCA(t).For(t, anna))), reason.CertificateUntrusted},
		{"no intermediate", w.mail(by(w.ca.Intermediate(t, nil).For(t, anna))), reason.CertificateUntrusted},
		{"may not sign", w.mail(by(w.ca.Issue(t, encryptionLeaf))), reason.CertificateUsage},
		{"server's", w.mail(by(leaf(func(l *testkit.Leaf) { l.ExtUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))), reason.CertificateUsage},
		{"an authority", w.mail(by(leaf(func(l *testkit.Leaf) { l.Change = func(c *x509.Certificate) { c.IsCA = true } }))), reason.CertificateCA},
		{"cannot encrypt", w.mail(by(w.ca.Issue(t, signingLeaf))), reason.CertificateUsage},
		{"Ed25519 alone", w.mail(by(leaf(func(l *testkit.Leaf) { l.Key = "ed25519" }))), reason.CertificateKeyKind},
		{"weak key", w.mail(by(leaf(func(l *testkit.Leaf) { l.Key = "rsa1024" }))), reason.CertificateWeakKey},
	} {
		w.refuses(test.name, test.message, test.want)
	}
	w.opts.MaxSize = 1000
	w.refuses("too large", good, reason.MessageTooLarge)
}

// TestReplayed: a message of long ago, and one from before the clock was right.
func TestReplayed(t *testing.T) {
	w := newWorld(t)
	w.opts.MaxAge = 20 * time.Minute
	id := w.ca.For(t, anna)
	w.refuses("old", w.mail([]testkit.Signature{{ID: id, Time: time.Now().Add(-21 * time.Minute)}}), reason.SignatureOld)
	w.learns("not so old", w.mail([]testkit.Signature{{ID: id, Time: time.Now().Add(-19 * time.Minute)}}), id.Cert)
	w.opts.Clock = func() time.Time { return time.Now().Add(-20 * time.Minute) }
	w.refuses("future", w.mail(by(id)), reason.SignatureTime)
}

// TestAttached: anybody can add certificates to a signed message. None but the
// signer's is learned from it.
func TestAttached(t *testing.T) {
	w := newWorld(t)
	eveCA := testkit.NewCA(t)
	sign, both := w.ca.Issue(t, signingLeaf), w.ca.For(t, anna)
	eve := eveCA.Issue(t, encryptionLeaf)
	issuer := both.Cert.RawIssuer
	serial := func(c *x509.Certificate) []byte {
		b := c.SerialNumber.Bytes()
		if b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// eve's certificate with the issuer and serial number of another one.
	twin := func(c *x509.Certificate) *x509.Certificate {
		d := testkit.Forged{Serial: serial(c), Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(anna))}}.Sign(t, eveCA)
		x, err := x509.ParseCertificate(d)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	preference := func(c *x509.Certificate) []byte {
		return testkit.Attribute(t, testkit.TLV(0xa0, issuer, testkit.TLV(2, serial(c))), 1, 2, 840, 113549, 1, 9, 16, 2, 11)
	}
	encrypt := w.ca.Issue(t, encryptionLeaf)
	w.refuses("of another issuer", w.mail(by(sign), eve.Cert, eveCA.Cert), reason.CertificateUsage)
	w.learns("of another issuer, beside", w.mail(by(both), eve.Cert, eveCA.Cert), both.Cert)
	w.learns("a twin of the one named", w.mail(by(sign, preference(encrypt.Cert)), twin(encrypt.Cert), eveCA.Cert, encrypt.Cert), encrypt.Cert)
	w.refuses("a twin alone", w.mail(by(sign, preference(encrypt.Cert)), twin(encrypt.Cert), eveCA.Cert), reason.CertificateUntrusted)
	w.any().refuses("a twin alone, nobody vouches", w.mail(by(sign, preference(encrypt.Cert)), twin(encrypt.Cert), eveCA.Cert, w.ca.Cert), reason.EncryptionCertForeign)
	w.any().learns("beside, nobody vouches", w.mail(by(both), eve.Cert, eveCA.Cert, w.ca.Cert), both.Cert)
	w.any().refuses("for a signer who cannot be encrypted to", w.mail(by(sign), eve.Cert, eveCA.Cert, w.ca.Cert), reason.EncryptionCertForeign)
	w.any().learns("proven", w.mail(by(sign), eve.Cert, encrypt.Cert, eveCA.Cert, w.ca.Cert), encrypt.Cert)

	// Both authorities are trusted: it still counts who issued the signer's.
	w.opts.Trust.Roots = append(w.opts.Trust.Roots, eveCA.Cert)
	elsewhere := eveCA.Intermediate(t, nil)
	there := elsewhere.Issue(t, encryptionLeaf)
	w.learns("of another trusted issuer, beside", w.mail(by(both), there.Cert, elsewhere.Cert), both.Cert)
	w.refuses("of another trusted issuer, alone", w.mail(by(sign), there.Cert, elsewhere.Cert), reason.EncryptionCertForeign)
	bob := w.ca.Issue(t, testkit.Leaf{Addresses: []string{"bob@example.org"}, Usage: x509.KeyUsageKeyEncipherment})
	w.refuses("the one named is another's", w.mail(by(sign, preference(bob.Cert)), bob.Cert), reason.EncryptionCertForeign)
	old := encryptionLeaf
	old.NotAfter = time.Now().Add(-time.Minute)
	expired := w.ca.Issue(t, old)
	w.refuses("the one named has expired", w.mail(by(both, preference(expired.Cert)), expired.Cert), reason.CertificateExpired)
	w.refuses("the one named may not encrypt", w.mail(by(both, preference(sign.Cert)), sign.Cert), reason.CertificateUsage)
}

// TestRefusalsAreWords: each refusal is a sentence for a person.
func TestRefusalsAreWords(t *testing.T) {
	w := newWorld(t)
	_, err := w.read(w.mail(by(w.ca.For(t, "bob@example.org"))))
	no, ok := err.(*Refusal)
	if !ok || !strings.HasPrefix(no.Why, "The ") || !strings.HasSuffix(no.Why, ".") || !strings.Contains(no.Why, "bob@example.org") {
		t.Errorf("%v", err)
	}
}

// TestOddSigner: a certificate that crypto/x509 does not read signs, too, where
// nobody has to verify it.
func TestOddSigner(t *testing.T) {
	w := newWorld(t)
	id := w.ca.For(t, anna)
	spki, err := x509.MarshalPKIXPublicKey(&id.Key.(*rsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	odd := testkit.Forged{Serial: []byte{0x80, 1}, Key: spki, Extensions: [][]byte{testkit.SAN(t, testkit.RFC822Name(anna))}}.Sign(t, w.ca)
	c, err := certificate.Parse(odd)
	if err != nil {
		t.Fatal(err)
	}
	message := testkit.SignedData{Content: entity, Detached: true, Certs: [][]byte{odd}, Signs: []testkit.Signature{{ID: id, Change: func(f [][]byte) {
		f[1] = testkit.TLV(0x30, c.RawIssuer, c.RawSerial)
	}}}}.Mail(t, header)
	w.any().learns("odd", message, &x509.Certificate{Raw: odd})
	w.refuses("odd, to be verified", message, reason.CertificateUnverified)
}

// says is a Revoker of one word.
type says revocation.Status

func (s says) Check(context.Context, []*x509.Certificate) revocation.Verdict {
	return revocation.Verdict{Status: revocation.Status(s), Where: "here"}
}

// What an authority has withdrawn teaches nothing; what is not known of is
// learned from, or where it has to be known is left for later, which is no word
// against the message.
func TestAuthoritiesAreAsked(t *testing.T) {
	w := newWorld(t)
	message := w.mail(by(w.ca.For(t, anna)))
	for _, test := range []struct {
		status revocation.Status
		hard   bool
		want   reason.Token
		err    error
	}{
		{revocation.Good, true, "", nil}, {revocation.Unknown, false, "", nil},
		{revocation.Revoked, false, reason.CertificateRevoked, nil}, {revocation.Unknown, true, "", ErrLater},
	} {
		opts := w.opts
		opts.Trust.Revoker, opts.Trust.Hard = says(test.status), test.hard
		h, err := New(opts)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Read(t.Context(), bytes.NewReader(message))
		var no *Refusal
		if errors.As(err, &no) != (test.want != "") || no != nil && no.Reason != test.want || no == nil && !errors.Is(err, test.err) {
			t.Errorf("%v, hard %v: %v", test.status, test.hard, err)
		}
	}
}
