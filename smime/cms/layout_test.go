package cms

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	asn1tag "golang.org/x/crypto/cryptobyte/asn1"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// A layout is a message in parts that a test can exchange. Nil is absent.
type layout struct {
	contentType, version, originator, recipients, innerType, algorithm []byte
	content, tail, after                                               []byte
}

// tlv encodes an element with a definite length.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	return append(appendHeader(nil, tag, int64(len(content))), content...)
}

// ber encodes a constructed element with an indefinite length.
func ber(tag byte, parts ...[]byte) []byte {
	return slices.Concat([]byte{tag, lengthIndefinite}, bytes.Join(parts, nil), []byte{0, 0})
}

func (l layout) encode(wrap func(tag byte, parts ...[]byte) []byte) []byte {
	inner := wrap(tagSequence, l.innerType, l.algorithm, l.content)
	envelope := wrap(tagSequence, l.version, l.originator, l.recipients, inner, l.tail)
	return append(wrap(tagSequence, l.contentType, wrap(tagExplicit0, envelope)), l.after...)
}

// take takes a sealed message apart.
func take(t testing.TB, message []byte) layout {
	t.Helper()
	var ciphertext []byte
	e := newEnvelope(func(p []byte) error {
		ciphertext = append(ciphertext, p...)
		return nil
	}, encryptedTypes()...)
	if _, err := e.Write(message); err != nil {
		t.Fatal(err)
	}
	return layout{
		contentType: e.parts[partType], version: e.parts[partVersion], recipients: e.parts[partRecipients],
		innerType: e.parts[partInnerType], algorithm: e.parts[partAlgorithm],
		content: tlv(tagContent, ciphertext), tail: e.parts[partMAC],
	}
}

// A sealed is a message with the key that opens it.
type sealed struct {
	layout
	id   *testkit.Identity
	cert *certificate.Certificate
}

func newSealed(t testing.TB, kind string, c Cipher, plaintext []byte) sealed {
	t.Helper()
	id, cert := issue(t, kind)
	return sealed{take(t, seal(t, c, plaintext, recipient(t, cert, KeyOptions{}))), id, cert}
}

func (s sealed) open(message []byte) ([]byte, error) {
	return Open(bytes.NewReader(message), OpenOptions{Certificate: s.cert, Key: s.id.Key, MaxSize: 1 << 20})
}

// contentOf and elementsOf take an element in DER apart.
func contentOf(der []byte) []byte {
	s := cryptobyte.String(der)
	var content cryptobyte.String
	var tag asn1tag.Tag
	s.ReadAnyASN1(&content, &tag)
	return content
}

func elementsOf(der []byte) [][]byte {
	content := cryptobyte.String(contentOf(der))
	var all [][]byte
	var part cryptobyte.String
	var tag asn1tag.Tag
	for content.ReadAnyASN1Element(&part, &tag) {
		all = append(all, part)
	}
	return all
}
