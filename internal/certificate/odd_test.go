package certificate_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// An odd certificate is one that people hold although it is wrong in some way,
// or that asks for more than crypto/x509 knows.
type odd struct {
	name   string
	forged testkit.Forged
	x509   bool // crypto/x509 reads it
	check  func(t *testing.T, c *certificate.Certificate)
}

func TestParseOddCertificates(t *testing.T) {
	ca := testkit.NewCA(t)
	var all []odd
	for _, list := range [][]odd{oddNames(t), oddStructure(t), oddKeys(t), oddUsages(t)} {
		all = append(all, list...)
	}
	for _, o := range all {
		t.Run(o.name, func(t *testing.T) {
			c, err := certificate.Parse(o.forged.Sign(t, ca))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.X509(); (err == nil) != o.x509 {
				t.Errorf("crypto/x509 reads it: %v", err)
			}
			agrees(t, c)
			o.check(t, c)
		})
	}
}

func addresses(want ...string) func(*testing.T, *certificate.Certificate) {
	return func(t *testing.T, c *certificate.Certificate) {
		if !slices.Equal(c.Addresses, want) {
			t.Errorf("addresses %q, want %q", c.Addresses, want)
		}
	}
}

func oddNames(t *testing.T) []odd {
	const anna = "anna@example.org"
	san := func(names ...[]byte) testkit.Forged {
		return testkit.Forged{Extensions: [][]byte{testkit.SAN(t, names...)}}
	}
	mail := testkit.RFC822Name(anna)
	return []odd{
		{"UTF-8 in rfc822Name", san(testkit.RFC822Name("jürgen@bücher.example")), false, addresses("jürgen@bücher.example")},
		{"bad URI beside the address", san(testkit.TLV(0x86, []byte("http://[::1/%zz")), mail), false, addresses(anna)},
		{"bad IP beside the address", san(mail, testkit.TLV(0x87, []byte{1, 2, 3})), false, addresses(anna)},
		{"SmtpUTF8Mailbox", san(testkit.SmtpUTF8Mailbox(t, "jürgen@bücher.example"), mail), true, addresses("jürgen@bücher.example", anna)},
		{"another otherName", san(testkit.TLV(0xa0, testkit.OID(t, 1, 3, 6, 1, 4, 1, 311, 20, 2, 3), testkit.TLV(0xa0, testkit.TLV(0x0c, []byte("upn@example.org")))), mail), true, addresses(anna)},
		{"list of names cut short", testkit.Forged{Extensions: [][]byte{testkit.Extension(t, false, testkit.TLV(0x30, mail, []byte{0x81, 0x20}), 2, 5, 29, 17)}}, false, addresses(anna)},
		{"the extension twice", testkit.Forged{Extensions: [][]byte{testkit.SAN(t, mail), testkit.SAN(t, testkit.RFC822Name("bob@example.org"))}}, false, addresses(anna)},
		{"@ in PrintableString", testkit.Forged{Subject: name(t, 0x13, "anna@example.org")}, false, func(t *testing.T, c *certificate.Certificate) {
			if c.Subject != "emailAddress=anna@example.org" || !slices.Equal(c.SubjectAddresses, []string{anna}) {
				t.Errorf("subject %q, addresses %q", c.Subject, c.SubjectAddresses)
			}
		}},
		{"Latin-1 in PrintableString", testkit.Forged{Subject: name(t, 0x13, "J\xfcrgen")}, false, func(t *testing.T, c *certificate.Certificate) {
			if c.Subject != "emailAddress=Jürgen" {
				t.Errorf("subject %q", c.Subject)
			}
		}},
		{"BMPString", testkit.Forged{Subject: name(t, 0x1e, "\x00A\x00\xfc")}, true, func(t *testing.T, c *certificate.Certificate) {
			if c.Subject != "emailAddress=Aü" {
				t.Errorf("subject %q", c.Subject)
			}
		}},
		{"terminal controls in the subject", testkit.Forged{Subject: name(t, 0x0c, "A\x1b[2J\nB")}, true, func(t *testing.T, c *certificate.Certificate) {
			if c.Subject != "emailAddress=A?[2J?B" {
				t.Errorf("subject %q", c.Subject)
			}
		}},
	}
}

func name(t *testing.T, tag byte, value string) []byte {
	return testkit.TLV(0x30, testkit.TLV(0x31, testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 9, 1), testkit.TLV(tag, []byte(value)))))
}

func oddStructure(t *testing.T) []odd {
	at := func(want time.Time) func(*testing.T, *certificate.Certificate) {
		return func(t *testing.T, c *certificate.Certificate) {
			if !c.NotAfter.Equal(want) {
				t.Errorf("valid until %v, want %v", c.NotAfter, want)
			}
		}
	}
	serial := func(want int64, raw string) func(*testing.T, *certificate.Certificate) {
		return func(t *testing.T, c *certificate.Certificate) {
			if c.Serial.Int64() != want || string(c.RawSerial) != raw {
				t.Errorf("serial %v, raw %x", c.Serial, c.RawSerial)
			}
		}
	}
	date := time.Date(2033, 4, 5, 6, 7, 0, 0, time.UTC)
	return []odd{
		{"negative serial", testkit.Forged{Serial: []byte{0x80, 0x01}}, false, serial(-32767, "\x02\x02\x80\x01")},
		{"serial with needless zeros", testkit.Forged{Serial: []byte{0, 0, 5}}, false, serial(5, "\x02\x03\x00\x00\x05")},
		{"serial zero", testkit.Forged{Serial: []byte{0}}, true, serial(0, "\x02\x01\x00")},
		{"UTCTime without seconds", testkit.Forged{NotAfter: testkit.TLV(0x17, []byte("3304050607Z"))}, true, at(date)},
		{"UTCTime with an offset", testkit.Forged{NotAfter: testkit.TLV(0x17, []byte("330405080700+0200"))}, true, at(date)},
		{"GeneralizedTime with a fraction", testkit.Forged{NotAfter: testkit.TLV(0x18, []byte("20330405060700.5Z"))}, false, at(date.Add(time.Second / 2))},
		{"UTCTime of 1950", testkit.Forged{NotBefore: testkit.TLV(0x17, []byte("500101000000Z"))}, true, func(t *testing.T, c *certificate.Certificate) {
			if c.NotBefore.Year() != 1950 {
				t.Errorf("valid from %v", c.NotBefore)
			}
		}},
		{"no end of validity", testkit.Forged{NotAfter: testkit.TLV(0x18, []byte("99991231235959Z"))}, true, at(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))},
		{"unknown critical extension", testkit.Forged{Extensions: [][]byte{testkit.Extension(t, true, []byte{5, 0}, 1, 2, 3, 4)}}, true, func(t *testing.T, c *certificate.Certificate) {
			if len(c.UnknownCritical) != 1 || c.UnknownCritical[0].String() != "1.2.3.4" {
				t.Errorf("unknown critical extensions %v", c.UnknownCritical)
			}
		}},
	}
}

func oddKeys(t *testing.T) []odd {
	rsaKey := testkit.Key(t, "rsa2048").(*rsa.PrivateKey).PublicKey
	ecKey := testkit.Key(t, "p384").(*ecdsa.PrivateKey)
	ecdhKey, err := ecKey.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&rsaKey)
	null := []byte{5, 0}
	ecPublic, rsaes := testkit.OID(t, 1, 2, 840, 10045, 2, 1), []int{1, 2, 840, 113549, 1, 1}
	p384 := testkit.OID(t, 1, 3, 132, 0, 34)
	compressed := elliptic.MarshalCompressed(elliptic.P384(), ecKey.X, ecKey.Y)
	point := ecdhKey.Bytes()
	x25519 := testkit.Key(t, "x25519").(*ecdh.PrivateKey).PublicKey()
	spki := func(key []byte, algorithm ...[]byte) testkit.Forged {
		return testkit.Forged{Key: testkit.TLV(0x30, testkit.TLV(0x30, algorithm...), testkit.TLV(0x03, []byte{0}, key))}
	}
	is := func(kind certificate.KeyKind, name string, equal interface{ Equal(any) bool }) func(*testing.T, *certificate.Certificate) {
		return func(t *testing.T, c *certificate.Certificate) {
			if c.KeyKind != kind || c.KeyName != name {
				t.Errorf("key is %s, %s", c.KeyKind, c.KeyName)
			}
			if equal == nil && c.PublicKey != nil || equal != nil && !equal.Equal(c.PublicKey) {
				t.Errorf("public key %v", c.PublicKey)
			}
		}
	}
	huge := testkit.TLV(0x30, testkit.TLV(0x02, append([]byte{1}, make([]byte, certificate.MaxRSABits/8)...)), testkit.TLV(0x02, []byte{1, 0, 1}))
	return []odd{
		{"RSA without NULL", spki(pkcs1, testkit.OID(t, append(rsaes, 1)...)), false, is(certificate.KeyRSA, "RSA 2048", rsaEqual{&rsaKey})},
		{"RSAES-OAEP", spki(pkcs1, testkit.OID(t, append(rsaes, 7)...), null), true, is(certificate.KeyOther, "RSAES-OAEP 2048", nil)},
		{"RSASSA-PSS", spki(pkcs1, testkit.OID(t, append(rsaes, 10)...)), true, is(certificate.KeyRSAPSS, "RSA-PSS 2048", nil)},
		{"RSA modulus beyond all measure", spki(huge, testkit.OID(t, append(rsaes, 1)...), null), true, is(certificate.KeyRSA, "RSA 16385", nil)},
		{"RSA exponent 1", spki(testkit.TLV(0x30, pkcs1[4:len(pkcs1)-5], testkit.TLV(0x02, []byte{1})), testkit.OID(t, append(rsaes, 1)...), null), true, is(certificate.KeyRSA, "RSA 2048", nil)},
		{"RSA garbage", spki([]byte("garbage"), testkit.OID(t, append(rsaes, 1)...), null), false, is(certificate.KeyRSA, "RSA (unreadable)", nil)},
		{"compressed EC", spki(compressed, ecPublic, p384), false, is(certificate.KeyEC, "EC P-384", ecEqual{ecdhKey})},
		{"id-ecDH", spki(point, testkit.OID(t, 1, 3, 132, 1, 12), p384), true, is(certificate.KeyEC, "EC P-384", ecEqual{ecdhKey})},
		{"point off the curve", spki(append([]byte{4}, make([]byte, 96)...), ecPublic, p384), false, is(certificate.KeyEC, "EC P-384", nil)},
		{"explicit parameters", spki(point, ecPublic, testkit.TLV(0x30)), false, is(certificate.KeyOther, "EC with explicit parameters", nil)},
		{"brainpool", spki(point, ecPublic, testkit.OID(t, 1, 3, 36, 3, 3, 2, 8, 1, 1, 11)), false, is(certificate.KeyOther, "brainpoolP384r1", nil)},
		{"X25519", spki(x25519.Bytes(), testkit.OID(t, 1, 3, 101, 110)), true, is(certificate.KeyX25519, "X25519", ecEqual{x25519})},
		{"X25519 of the wrong length", spki(x25519.Bytes()[1:], testkit.OID(t, 1, 3, 101, 110)), true, is(certificate.KeyX25519, "X25519", nil)},
		{"ML-KEM", spki(make([]byte, 1184), testkit.OID(t, 2, 16, 840, 1, 101, 3, 4, 4, 2)), true, is(certificate.KeyOther, "ML-KEM-768", nil)},
		{"unknown algorithm", spki(nil, testkit.OID(t, 1, 2, 3)), true, is(certificate.KeyOther, "unknown key algorithm 1.2.3", nil)},
	}
}

type rsaEqual struct{ key *rsa.PublicKey }

func (e rsaEqual) Equal(other any) bool { k, ok := other.(*rsa.PublicKey); return ok && e.key.Equal(k) }

type ecEqual struct{ key *ecdh.PublicKey }

func (e ecEqual) Equal(other any) bool { k, ok := other.(*ecdh.PublicKey); return ok && e.key.Equal(k) }

func oddUsages(t *testing.T) []odd {
	ext := func(value []byte, arcs ...int) testkit.Forged {
		return testkit.Forged{Extensions: [][]byte{testkit.Extension(t, true, value, arcs...)}}
	}
	bigOID := testkit.TLV(0x06, []byte{0x69, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	purposes := func(n int) func(*testing.T, *certificate.Certificate) {
		return func(t *testing.T, c *certificate.Certificate) {
			if len(c.ExtKeyUsage) != n || len(c.UnknownCritical) != 0 {
				t.Errorf("purposes %v, unknown critical %v", c.ExtKeyUsage, c.UnknownCritical)
			}
		}
	}
	capability := func(arcs ...int) []byte { return testkit.TLV(0x30, testkit.OID(t, arcs...)) }
	return []odd{
		{"no purpose at all", ext(testkit.TLV(0x30), 2, 5, 29, 37), true, purposes(1)},
		{"purpose beyond 31 bits", ext(testkit.TLV(0x30, bigOID), 2, 5, 29, 37), false, purposes(1)},
		{"damaged purposes", ext([]byte("garbage"), 2, 5, 29, 37), false, purposes(1)},
		{"damaged key usage", ext([]byte("garbage"), 2, 5, 29, 15), false, func(t *testing.T, c *certificate.Certificate) {
			if !c.HasKeyUsage || c.KeyUsage != 0 {
				t.Errorf("usage %v %b", c.HasKeyUsage, c.KeyUsage)
			}
		}},
		{"capabilities", testkit.Forged{Extensions: [][]byte{testkit.Extension(t, false, testkit.TLV(0x30,
			capability(2, 16, 840, 1, 101, 3, 4, 1, 46), capability(2, 16, 840, 1, 101, 3, 4, 1, 42)), 1, 2, 840, 113549, 1, 9, 15)}}, true,
			func(t *testing.T, c *certificate.Certificate) {
				if len(c.Capabilities) != 2 || c.Capabilities[0].String() != "2.16.840.1.101.3.4.1.46" {
					t.Errorf("capabilities %v", c.Capabilities)
				}
			}},
	}
}
