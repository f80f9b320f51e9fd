package testkit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // Forged.Hash
	_ "crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	encasn1 "encoding/asn1"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Forged certificate has whatever DER the test puts into it, and a true
// signature of the CA: the kind that crypto/x509 would neither make nor read.
// The zero value of each field is what an ordinary certificate has.
type Forged struct {
	Serial              []byte // content of the INTEGER
	Subject             []byte // DER of a Name
	NotBefore, NotAfter []byte // DER of a Time
	Key                 []byte // DER of a SubjectPublicKeyInfo; default: RSA 2048
	Extensions          [][]byte
	Hash                crypto.Hash // of the signature: SHA256 (default) or SHA1
}

// Sign gives the DER of the certificate.
func (f Forged) Sign(t testing.TB, ca *CA) []byte {
	t.Helper()
	f.fill(t)
	oid := encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	if f.Hash == crypto.SHA1 {
		oid = encasn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}
	}
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
	}
	var tbs cryptobyte.Builder
	tbs.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(f.Serial) })
		algorithm(b)
		b.AddBytes(ca.Cert.RawSubject)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(f.NotBefore); b.AddBytes(f.NotAfter) })
		b.AddBytes(f.Subject)
		b.AddBytes(f.Key)
		b.AddASN1(asn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, e := range f.Extensions {
					b.AddBytes(e)
				}
			})
		})
	})
	signed := tbs.BytesOrPanic()
	digest := f.Hash.New()
	digest.Write(signed)
	sig, err := ca.key.Sign(rand.Reader, digest.Sum(nil), f.Hash)
	if err != nil {
		t.Fatal(err)
	}
	var cert cryptobyte.Builder
	cert.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		algorithm(b)
		b.AddASN1BitString(sig)
	})
	return cert.BytesOrPanic()
}

func (f *Forged) fill(t testing.TB) {
	if f.Hash == 0 {
		f.Hash = crypto.SHA256
	}
	if f.Serial == nil {
		f.Serial = append([]byte{1}, serial(t).Bytes()...) // a positive one
	}
	if f.Subject == nil {
		f.Subject = marshal(t, pkix.Name{CommonName: "forged"}.ToRDNSequence())
	}
	if f.NotBefore == nil {
		f.NotBefore = marshal(t, time.Now().Add(-time.Hour).UTC())
	}
	if f.NotAfter == nil {
		f.NotAfter = marshal(t, time.Now().Add(12*time.Hour).UTC())
	}
	if f.Key == nil {
		spki, err := x509.MarshalPKIXPublicKey(&Key(t, "rsa2048").(*rsa.PrivateKey).PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		f.Key = spki
	}
}

// TLV is one DER element.
func TLV(tag byte, content ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.Tag(tag), func(b *cryptobyte.Builder) {
		for _, c := range content {
			b.AddBytes(c)
		}
	})
	return b.BytesOrPanic()
}

// OID is the DER of an object identifier.
func OID(t testing.TB, arcs ...int) []byte { return marshal(t, encasn1.ObjectIdentifier(arcs)) }

// Extension is the DER of one X.509 extension.
func Extension(t testing.TB, critical bool, value []byte, arcs ...int) []byte {
	flag := []byte(nil)
	if critical {
		flag = TLV(0x01, []byte{0xff})
	}
	return TLV(0x30, OID(t, arcs...), flag, TLV(0x04, value))
}

// extension is Extension for crypto/x509.
func extension(critical bool, value []byte, arcs ...int) pkix.Extension {
	return pkix.Extension{Id: arcs, Critical: critical, Value: value}
}

// SAN is the extension with the subject's alternative names; each name is the
// DER of a GeneralName.
func SAN(t testing.TB, names ...[]byte) []byte {
	return Extension(t, false, TLV(0x30, names...), 2, 5, 29, 17)
}

// RFC822Name is the GeneralName of an ordinary mailbox.
func RFC822Name(mailbox string) []byte { return TLV(0x81, []byte(mailbox)) }

// SmtpUTF8Mailbox is the GeneralName of RFC 9598.
func SmtpUTF8Mailbox(t testing.TB, mailbox string) []byte {
	return TLV(0xa0, OID(t, 1, 3, 6, 1, 5, 5, 7, 8, 9), TLV(0xa0, TLV(0x0c, []byte(mailbox))))
}

func marshal(t testing.TB, v any) []byte {
	der, err := encasn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
