package testkit

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"testing"
	"time"
)

// A Signature is one that a test wants in a message. The zero value of each
// field is what an ordinary signature has.
type Signature struct {
	ID     *Identity
	Hash   crypto.Hash // default: SHA-256, for Ed25519 SHA-512
	PSS    bool        // RSASSA-PSS with a salt as long as the digest
	KeyID  bool        // names its certificate by subject key identifier
	Time   time.Time   // default: now; NoTime for none
	NoTime bool
	Attrs  [][]byte // more signed attributes, each the DER of one
	Bare   bool     // no signed attributes at all

	Digest    []byte              // instead of the content's
	Type      []byte              // DER of the OID in the attribute contentType; default: data
	Algorithm []byte              // DER of the signature algorithm, whatever was used
	Change    func(info [][]byte) // last word on the fields of the SignerInfo, each an element
}

// A SignedData is a signed CMS message that a test wants.
type SignedData struct {
	Content  []byte
	Detached bool
	Certs    [][]byte // DER; default: those of the signatures
	NoCerts  bool
	Signs    []Signature
	Type     []byte // DER of the eContentType; default: data
	// Wrap makes the outer elements; default: TLV. With another one the message
	// becomes BER.
	Wrap func(tag byte, content ...[]byte) []byte
}

// Arcs of what signed messages name.
var (
	arcsData      = []int{1, 2, 840, 113549, 1, 7, 1}
	arcsSHA       = map[crypto.Hash][]int{crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3}}
	arcsRSA       = map[crypto.Hash][]int{crypto.SHA1: {1, 2, 840, 113549, 1, 1, 5}, crypto.SHA256: {1, 2, 840, 113549, 1, 1, 11}, crypto.SHA384: {1, 2, 840, 113549, 1, 1, 12}, crypto.SHA512: {1, 2, 840, 113549, 1, 1, 13}}
	arcsECDSA     = map[crypto.Hash][]int{crypto.SHA1: {1, 2, 840, 10045, 4, 1}, crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2}, crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3}, crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4}}
	arcsPSS       = []int{1, 2, 840, 113549, 1, 1, 10}
	arcsMGF1      = []int{1, 2, 840, 113549, 1, 1, 8}
	arcsEd25519   = []int{1, 3, 101, 112}
	arcsSigned    = []int{1, 2, 840, 113549, 1, 7, 2}
	arcsAttribute = []int{1, 2, 840, 113549, 1, 9}
)

// Encode gives the message, a ContentInfo.
func (d SignedData) Encode(t testing.TB) []byte {
	t.Helper()
	wrap := d.Wrap
	if wrap == nil {
		wrap = TLV
	}
	if d.Type == nil {
		d.Type = OID(t, arcsData...)
	}
	var infos, digests [][]byte
	certs := slices.Clone(d.Certs)
	for i := range d.Signs {
		s := &d.Signs[i]
		info, digest := s.encode(t, d)
		infos, digests = append(infos, info), append(digests, digest)
		if d.Certs == nil {
			certs = append(certs, s.ID.Cert.Raw)
		}
	}
	encap := [][]byte{d.Type}
	if !d.Detached {
		encap = append(encap, wrap(0xa0, d.content(wrap)))
	}
	body := [][]byte{TLV(2, []byte{1}), wrap(0x31, digests...), wrap(0x30, encap...)}
	if !d.NoCerts && len(certs) > 0 {
		body = append(body, wrap(0xa0, certs...))
	}
	body = append(body, wrap(0x31, infos...))
	return wrap(0x30, OID(t, arcsSigned...), wrap(0xa0, wrap(0x30, body...)))
}

// content is one OCTET STRING, in BER in segments of odd size.
func (d SignedData) content(wrap func(byte, ...[]byte) []byte) []byte {
	if d.Wrap == nil {
		return TLV(4, d.Content)
	}
	var segments [][]byte
	for segment := range slices.Chunk(d.Content, 777) {
		segments = append(segments, TLV(4, segment))
	}
	return wrap(0x24, segments...)
}

func (s *Signature) encode(t testing.TB, d SignedData) (info, digest []byte) {
	if s.Hash == 0 {
		s.Hash = crypto.SHA256
		if _, ok := s.ID.Key.(ed25519.PrivateKey); ok {
			s.Hash = crypto.SHA512
		}
	}
	digest = TLV(0x30, OID(t, arcsSHA[s.Hash]...), TLV(5))
	version, sid := []byte{1}, TLV(0x30, s.ID.Cert.RawIssuer, marshal(t, s.ID.Cert.SerialNumber))
	if s.KeyID {
		version, sid = []byte{3}, TLV(0x80, s.ID.Cert.SubjectKeyId)
	}
	fields := [][]byte{TLV(2, version), sid, digest, nil, nil, nil}
	signed := d.Content
	if !s.Bare {
		attrs := s.attributes(t, d)
		signed = TLV(0x31, attrs...)
		fields[3] = TLV(0xa0, attrs...)
	}
	var signature []byte
	fields[4], signature = s.sign(t, signed)
	if s.Algorithm != nil {
		fields[4] = s.Algorithm
	}
	fields[5] = TLV(4, signature)
	if s.Change != nil {
		s.Change(fields)
	}
	return TLV(0x30, fields...), digest
}

// Attribute is the DER of one with one value; the last arc is of PKCS #9 when it
// is alone.
func Attribute(t testing.TB, value []byte, arcs ...int) []byte {
	if len(arcs) == 1 {
		arcs = append(slices.Clone(arcsAttribute), arcs...)
	}
	return TLV(0x30, OID(t, arcs...), TLV(0x31, value))
}

func (s *Signature) attributes(t testing.TB, d SignedData) [][]byte {
	digest, kind := s.Digest, s.Type
	if digest == nil {
		h := s.Hash.New()
		h.Write(d.Content)
		digest = h.Sum(nil)
	}
	if kind == nil {
		kind = d.Type
	}
	attrs := [][]byte{Attribute(t, kind, 3), Attribute(t, TLV(4, digest), 4)}
	if !s.NoTime {
		at := s.Time
		if at.IsZero() {
			at = time.Now()
		}
		attrs = append(attrs, Attribute(t, marshal(t, at.UTC()), 5))
	}
	attrs = append(attrs, s.Attrs...)
	slices.SortFunc(attrs, bytes.Compare)
	return attrs
}

// sign gives the signature and its algorithm.
func (s *Signature) sign(t testing.TB, data []byte) (algorithm, signature []byte) {
	t.Helper()
	h := s.Hash.New()
	h.Write(data)
	sum := h.Sum(nil)
	var opts crypto.SignerOpts = s.Hash
	switch s.ID.Key.(type) {
	case *rsa.PrivateKey:
		algorithm = TLV(0x30, OID(t, arcsRSA[s.Hash]...), TLV(5))
		if s.PSS {
			opts = &rsa.PSSOptions{SaltLength: s.Hash.Size(), Hash: s.Hash}
			algorithm = PSSAlgorithm(t, s.Hash, s.Hash.Size())
		}
	case *ecdsa.PrivateKey:
		algorithm = TLV(0x30, OID(t, arcsECDSA[s.Hash]...))
	case ed25519.PrivateKey:
		algorithm, sum, opts = TLV(0x30, OID(t, arcsEd25519...)), data, crypto.Hash(0)
	}
	signature, err := s.ID.Key.(crypto.Signer).Sign(rand.Reader, sum, opts)
	if err != nil {
		t.Fatal(err)
	}
	return algorithm, signature
}

// PSSAlgorithm is the DER of RSASSA-PSS with one digest throughout.
func PSSAlgorithm(t testing.TB, hash crypto.Hash, salt int) []byte {
	digest := TLV(0x30, OID(t, arcsSHA[hash]...), TLV(5))
	return TLV(0x30, OID(t, arcsPSS...), TLV(0x30, TLV(0xa0, digest),
		TLV(0xa1, TLV(0x30, OID(t, arcsMGF1...), digest)), TLV(0xa2, marshal(t, salt))))
}

// Mail makes a mail of it: multipart/signed when it is detached, opaque
// otherwise. The header has no MIME fields and no blank line.
func (d SignedData) Mail(t testing.TB, header string) []byte {
	t.Helper()
	text := wrapped(base64.StdEncoding.EncodeToString(d.Encode(t)))
	if !d.Detached {
		return []byte(header + "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + text)
	}
	return []byte(header + "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n" +
		" boundary=\"----between\"\r\n\r\nThis is an S/MIME signed message\r\n\r\n------between\r\n" + string(d.Content) +
		"\r\n------between\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		text + "\r\n------between--\r\n")
}

func wrapped(s string) string {
	var b bytes.Buffer
	for line := range slices.Chunk([]byte(s), 64) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// PSSKey is the DER of a SubjectPublicKeyInfo for RSASSA-PSS only; the
// parameters, each an element, may say for which.
func PSSKey(t testing.TB, key *rsa.PrivateKey, parameters ...[]byte) []byte {
	algorithm := append([][]byte{OID(t, arcsPSS...)}, parameters...)
	return TLV(0x30, TLV(0x30, algorithm...), TLV(3, []byte{0}, x509.MarshalPKCS1PublicKey(&key.PublicKey)))
}
