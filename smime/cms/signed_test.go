package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// verifySigned reads a message in pieces, beside its content if that is detached,
// and verifies every signature.
func verifySigned(message []byte, detached io.Reader, piece int) (*SignedData, []*certificate.Certificate, error) {
	r := NewSignedReader()
	var inside bytes.Buffer
	r.Tee(&inside)
	for p := message; len(p) > 0; {
		n := min(piece, len(p))
		if _, err := r.Write(p[:n]); err != nil {
			break
		}
		p = p[n:]
	}
	d, err := r.Close()
	if err != nil {
		return nil, nil, err
	}
	if int64(inside.Len()) != d.Size {
		return nil, nil, errors.New("the content was not given out whole")
	}
	if detached != nil {
		digests := NewDigests()
		if _, err := io.Copy(digests, detached); err != nil {
			return nil, nil, err
		}
		if err := d.Detached(digests); err != nil {
			return nil, nil, err
		}
	}
	var by []*certificate.Certificate
	for _, s := range d.Signers {
		c, err := d.Verify(s)
		if err != nil {
			return d, nil, err
		}
		by = append(by, c)
	}
	return d, by, nil
}

// TestTee gives the content of every encoding out as it was signed.
func TestTee(t *testing.T) {
	sign := testkit.Signature{ID: signerLeaf(t, testkit.NewCA(t), "p256")}
	for _, data := range []testkit.SignedData{{}, {Wrap: ber}} {
		data.Content, data.Signs = signedText, []testkit.Signature{sign}
		var inside bytes.Buffer
		r := NewSignedReader()
		r.Tee(&inside)
		_, err := r.Write(data.Encode(t))
		if _, closed := r.Close(); err != nil || closed != nil || !bytes.Equal(inside.Bytes(), signedText) {
			t.Errorf("%d octets of %d: %v, %v", inside.Len(), len(signedText), err, closed)
		}
	}
}

// signerLeaf is a certificate with a key identifier.
func signerLeaf(t testing.TB, ca *testkit.CA, key string) *testkit.Identity {
	t.Helper()
	return ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: key, Change: func(c *x509.Certificate) {
		id := sha1.Sum([]byte(key))
		c.SubjectKeyId = id[:]
	}})
}

var signedText = []byte("Content-Type: text/plain\r\n\r\n" + string(bytes.Repeat([]byte("all that is signed\r\n"), 500)))

// TestVerify goes over kinds of keys, digests, identifiers and encodings.
func TestVerify(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, key := range []string{"rsa2048", "p256", "p384", "p521", "ed25519"} {
		id := signerLeaf(t, ca, key)
		for _, sign := range []testkit.Signature{
			{}, {Hash: crypto.SHA384}, {Hash: crypto.SHA512}, {KeyID: true}, {PSS: true}, {PSS: true, Hash: crypto.SHA512}, {Bare: true},
		} {
			if key == "ed25519" && (sign.Hash == crypto.SHA384 || sign.Bare) || key != "rsa2048" && sign.PSS {
				continue
			}
			sign.ID = id
			for _, data := range []testkit.SignedData{
				{}, {Detached: true}, {Wrap: ber}, {Wrap: ber, Detached: true},
				{Certs: [][]byte{ca.Cert.Raw, {0x30, 0}, testkit.TLV(0xa2, []byte("attributes")), bytes.Repeat([]byte{0}, 0), id.Cert.Raw, id.Cert.Raw}},
			} {
				data.Content, data.Signs = signedText, []testkit.Signature{sign}
				message := data.Encode(t)
				var beside io.Reader
				if data.Detached {
					beside = bytes.NewReader(signedText)
				}
				for _, piece := range []int{1 << 20, 13} {
					d, by, err := verifySigned(message, beside, piece)
					if err != nil || len(by) != 1 || !bytes.Equal(by[0].Raw, id.Cert.Raw) {
						t.Fatalf("%s %+v: %v", key, sign, err)
					}
					if d.Attached == data.Detached || !d.ContentType.Equal(oidData) || !sign.Bare && time.Since(d.Signers[0].SigningTime) > time.Minute {
						t.Errorf("%+v", d)
					}
					if beside != nil {
						break
					}
				}
			}
		}
	}
}

// TestVerifyRefuses has one message for every way in which a signature is not to
// be believed.
func TestVerifyRefuses(t *testing.T) {
	ca := testkit.NewCA(t)
	id, other, ec := signerLeaf(t, ca, "rsa2048"), ca.For(t, "bob@example.org"), signerLeaf(t, ca, "p256")
	ed := signerLeaf(t, ca, "ed25519")
	sum := sha256.Sum256(signedText)
	decoy := testkit.Forged{Serial: append([]byte{0}, id.Cert.SerialNumber.Bytes()...)}.Sign(t, ca)
	type sig = testkit.Signature
	algorithm := func(arcs ...int) []byte { return testkit.TLV(0x30, testkit.OID(t, arcs...), testkit.TLV(5)) }
	for _, test := range []struct {
		name string
		data testkit.SignedData
		sign sig
		want error // nil: it is good
	}{
		{"SHA-1", testkit.SignedData{}, sig{ID: id, Hash: crypto.SHA1}, ErrWeakDigest},
		{"signature with SHA-1", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 5)}, ErrWeakDigest},
		{"signature with MD5", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 4)}, ErrWeakDigest},
		{"PSS with the default, SHA-1", testkit.SignedData{}, sig{ID: id, PSS: true, Algorithm: testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 1, 10), testkit.TLV(0x30))}, ErrWeakDigest},
		{"PSS with another digest", testkit.SignedData{}, sig{ID: id, PSS: true, Algorithm: testkit.PSSAlgorithm(t, crypto.SHA512, 32)}, ErrUnsupported},
		{"PSS with another salt", testkit.SignedData{}, sig{ID: id, PSS: true, Algorithm: testkit.PSSAlgorithm(t, crypto.SHA256, 20)}, ErrSignature},
		{"PSS without salt", testkit.SignedData{}, sig{ID: id, PSS: true, Algorithm: testkit.PSSAlgorithm(t, crypto.SHA256, 0)}, ErrUnsupported},
		{"PSS for PKCS #1", testkit.SignedData{}, sig{ID: id, Algorithm: testkit.PSSAlgorithm(t, crypto.SHA256, 32)}, ErrSignature},
		{"rsaEncryption as algorithm", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 1)}, nil},
		{"unknown algorithm", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 99)}, ErrUnsupported},
		{"digests differ", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 13)}, ErrUnsupported},
		{"ECDSA with an RSA key", testkit.SignedData{}, sig{ID: id, Algorithm: algorithm(1, 2, 840, 10045, 4, 3, 2)}, ErrSignature},
		{"RSA with an EC key", testkit.SignedData{}, sig{ID: ec, Algorithm: algorithm(1, 2, 840, 113549, 1, 1, 11)}, ErrSignature},
		{"Ed25519 with SHA-256", testkit.SignedData{}, sig{ID: ed, Hash: crypto.SHA256}, ErrUnsupported},
		{"Ed25519 without attributes", testkit.SignedData{}, sig{ID: ed, Bare: true}, ErrUnsupported},

		{"digest of another content", testkit.SignedData{}, sig{ID: id, Digest: sum[1:]}, ErrDigest},
		{"no content", testkit.SignedData{Detached: true}, sig{ID: id}, ErrDigest},
		{"other contentType", testkit.SignedData{}, sig{ID: id, Type: oidDER(oidSignedData)}, ErrAttributes},
		{"two contentTypes", testkit.SignedData{}, sig{ID: id, Attrs: [][]byte{testkit.Attribute(t, oidDER(oidData), 3)}}, ErrAttributes},
		{"two digests", testkit.SignedData{}, sig{ID: id, Attrs: [][]byte{testkit.Attribute(t, testkit.TLV(4, sum[:]), 4)}}, ErrAttributes},
		{"two times", testkit.SignedData{}, sig{ID: id, Attrs: [][]byte{testkit.Attribute(t, testkit.TLV(23, []byte("250101000000Z")), 5)}}, ErrAttributes},
		{"damaged time", testkit.SignedData{}, sig{ID: id, NoTime: true, Attrs: [][]byte{testkit.Attribute(t, testkit.TLV(23, []byte("yesterday")), 5)}}, ErrAttributes},
		{"bare, not data", testkit.SignedData{Type: oidDER(oidSignedData)}, sig{ID: id, Bare: true}, ErrAttributes},

		{"no certificates", testkit.SignedData{NoCerts: true}, sig{ID: id}, ErrNoSigner},
		{"another's certificate", testkit.SignedData{Certs: [][]byte{other.Cert.Raw, ca.Cert.Raw}}, sig{ID: id}, ErrNoSigner},
		{"a decoy of the same name", testkit.SignedData{Certs: [][]byte{decoy}}, sig{ID: id}, ErrSignature},
		{"a decoy and the true one", testkit.SignedData{Certs: [][]byte{decoy, id.Cert.Raw}}, sig{ID: id}, nil},
		{"another signature", testkit.SignedData{}, sig{ID: id, Change: func(f [][]byte) { f[5] = testkit.TLV(4, make([]byte, 256)) }}, ErrSignature},
		{"short signature", testkit.SignedData{}, sig{ID: id, Change: func(f [][]byte) { f[5] = testkit.TLV(4) }}, ErrSignature},
		{"attributes changed", testkit.SignedData{}, sig{ID: id, Change: func(f [][]byte) { f[3][len(f[3])-1] ^= 1 }}, ErrDigest},
		{"attributes in another order", testkit.SignedData{}, sig{ID: id, Change: reverseAttributes}, ErrSignature},
	} {
		test.data.Content, test.data.Signs = signedText, []testkit.Signature{test.sign}
		if _, _, err := verifySigned(test.data.Encode(t), nil, 1<<20); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// reverseAttributes turns the signed attributes around.
func reverseAttributes(fields [][]byte) {
	var attrs [][]byte
	set := fields[3][2:] // of fewer than 128 octets
	for len(set) > 0 {
		n := 2 + int(set[1])
		attrs = append([][]byte{set[:n]}, attrs...)
		set = set[n:]
	}
	fields[3] = testkit.TLV(0xa0, attrs...)
}

// TestPSSKey: a key for RSASSA-PSS only verifies just that, and only as it says.
func TestPSSKey(t *testing.T) {
	ca := testkit.NewCA(t)
	id := signerLeaf(t, ca, "rsa2048")
	with := func(hash crypto.Hash, salt int) []byte { // the parameters alone
		return testkit.PSSAlgorithm(t, hash, salt)[4+len(oidDER(oidRSASSAPSS))-2:]
	}
	for _, test := range []struct {
		name   string
		params [][]byte
		sign   testkit.Signature
		want   error
	}{
		{"free", nil, testkit.Signature{PSS: true}, nil},
		{"PKCS #1", nil, testkit.Signature{}, ErrSignature},
		{"as it says", [][]byte{with(crypto.SHA256, 32)}, testkit.Signature{PSS: true}, nil},
		{"more salt than it asks for", [][]byte{with(crypto.SHA256, 20)}, testkit.Signature{PSS: true}, nil},
		{"less salt than it asks for", [][]byte{with(crypto.SHA256, 64)}, testkit.Signature{PSS: true}, ErrUnsupported},
		{"another digest", [][]byte{with(crypto.SHA512, 20)}, testkit.Signature{PSS: true}, ErrUnsupported},
	} {
		forged := testkit.Forged{Serial: append([]byte{0}, id.Cert.SerialNumber.Bytes()...), Key: testkit.PSSKey(t, id.Key.(*rsa.PrivateKey), test.params...)}
		test.sign.ID = id
		data := testkit.SignedData{Content: signedText, Certs: [][]byte{forged.Sign(t, ca)}, Signs: []testkit.Signature{test.sign}}
		if _, _, err := verifySigned(data.Encode(t), nil, 1000); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// TestAttributesAsContent: whoever makes the signed attributes of a message the
// content of another one, without attributes, has a signature that verifies.
func TestAttributesAsContent(t *testing.T) {
	id := testkit.NewCA(t).For(t, "anna@example.org")
	var attrs []byte
	var signature []byte
	testkit.SignedData{Content: signedText, Signs: []testkit.Signature{{ID: id, Change: func(f [][]byte) {
		attrs, signature = append([]byte{tagSet}, f[3][1:]...), f[5]
	}}}}.Encode(t)
	forged := testkit.SignedData{Content: attrs, Signs: []testkit.Signature{{ID: id, Bare: true, Change: func(f [][]byte) { f[5] = signature }}}}
	if _, _, err := verifySigned(forged.Encode(t), nil, 100); !errors.Is(err, ErrAttributes) {
		t.Errorf("%v", err)
	}
}

// TestSignedForm: what is not a SignedData is refused whole.
func TestSignedForm(t *testing.T) {
	id := testkit.NewCA(t).For(t, "anna@example.org")
	sign := func(change func(f [][]byte)) testkit.SignedData {
		return testkit.SignedData{Content: signedText, Signs: []testkit.Signature{{ID: id, Change: change}}}
	}
	many := testkit.SignedData{Content: signedText, Certs: [][]byte{}}
	for range maxSigners + 1 {
		many.Signs = append(many.Signs, testkit.Signature{ID: id})
	}
	full := sign(nil)
	for range maxCertificates + 1 {
		full.Certs = append(full.Certs, []byte{0x30, 0})
	}
	whole := sign(nil).Encode(t)
	for name, message := range map[string][]byte{
		"nothing":                nil,
		"cut":                    whole[:len(whole)-1],
		"more behind":            append(bytes.Clone(whole), 0),
		"enveloped":              testkit.TLV(0x30, oidDER(oidEnvelopedData), testkit.TLV(0xa0, testkit.TLV(0x30))),
		"too many signatures":    many.Encode(t),
		"too many certificates":  full.Encode(t),
		"version":                sign(func(f [][]byte) { f[0] = testkit.TLV(2, []byte{2}) }).Encode(t),
		"no signer":              sign(func(f [][]byte) { f[1] = testkit.TLV(4) }).Encode(t),
		"signature of bits":      sign(func(f [][]byte) { f[5][0] = 3 }).Encode(t),
		"attributes of integers": sign(func(f [][]byte) { f[3] = testkit.TLV(0xa0, testkit.TLV(2, []byte{1})) }).Encode(t),
		"no attributes":          sign(func(f [][]byte) { f[3] = testkit.TLV(0xa0) }).Encode(t),
		"huge signature":         sign(func(f [][]byte) { f[5] = testkit.TLV(4, make([]byte, maxSignerInfo)) }).Encode(t),
		"content of another tag": bytes.Replace(whole, append([]byte{4, 0x82}, byte(len(signedText)>>8), byte(len(signedText))), append([]byte{12, 0x82}, byte(len(signedText)>>8), byte(len(signedText))), 1),
	} {
		if _, _, err := verifySigned(message, nil, 100); !errors.As(err, new(*FormatError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := verifySigned(whole, bytes.NewReader(signedText), 100)
	if !errors.As(err, new(*FormatError)) {
		t.Errorf("content inside and beside: %v", err)
	}
}
