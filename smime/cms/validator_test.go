package cms

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// validate writes a message to a Validator in pieces.
func validate(message []byte, piece int) (Info, error) {
	v := NewValidator()
	for p := range slices.Chunk(message, max(piece, 1)) {
		if _, err := v.Write(p); err != nil {
			break
		}
	}
	return v.Close()
}

// TestClosedListOfCiphers has the Validator look at every algorithm.
func TestClosedListOfCiphers(t *testing.T) {
	s := newSealed(t, "p256", AES256CBC, noise(100))
	for _, a := range contentAlgorithms {
		l := s.layout
		var params []byte
		switch a.mode {
		case modeCBC:
			params = tlv(tagOctetString, noise(a.block))
		case modeRC2:
			params = tlv(tagSequence, []byte{2, 2, 0, 160}, tlv(tagOctetString, noise(8)))
		case modeChaCha:
			params = tlv(tagOctetString, noise(12))
		default:
			params = tlv(tagSequence, tlv(tagOctetString, noise(12)), []byte{2, 1, 16})
		}
		l.algorithm = algorithmDER(a.oid, params)
		if a.aead() {
			l.contentType, l.tail = oidDER(oidAuthEnvelopedData), tlv(tagOctetString, noise(16))
		}
		info, err := validate(l.encode(tlv), 100)
		if err != nil || info.Cipher != a.name || info.Authenticated != a.aead() {
			t.Errorf("%s: %+v, %v", a.name, info, err)
		}
		l.algorithm = algorithmDER(a.oid, nullDER())
		if _, err := validate(l.encode(tlv), 100); fieldOf(err) != fieldAlgorithm {
			t.Errorf("%s with NULL: %v", a.name, err)
		}
	}
}

// TestSample tells ciphertext from what people write, in many sizes.
func TestSample(t *testing.T) {
	text := strings.Repeat("Sehr geehrte Damen und Herren, anbei erhalten Sie Ihre Rechnung.\r\n", 1000)
	cyrillic := strings.Repeat("Уважаемый клиент, направляем Вам выписку по счёту.\r\n", 1000)
	for _, v := range []struct {
		name string
		data []byte
		from int // octets from which it is recognised; 0 for never
	}{
		{"ciphertext", noise(80_000), 0},
		{"text", []byte(text), 64},
		{"Cyrillic", []byte(cyrillic), 2048},
		{"zeros", make([]byte, 70_000), 64},
		{"base64", bytes.Repeat([]byte("MIIBszCCAVmgAwIBAgIUQ"), 3000), 64},
	} {
		for n := 1; n < len(v.data); n += 1 + n/7 {
			var s sample
			s.add(v.data[:n])
			if want := v.from != 0 && n >= v.from; s.isText() != want && (want || v.from == 0) {
				t.Errorf("%s, %d octets: %v", v.name, n, s.isText())
			}
		}
	}
}
