package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// long encodes an element with length octets that are longer than need be.
func long(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	n := len(content)
	return append([]byte{tag, 0x85, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, content...)
}

// TestOddEncodings opens one message in forms of BER that nobody should write.
func TestOddEncodings(t *testing.T) {
	plaintext := []byte("SEALPOST-CANARY in an odd envelope")
	s := newSealed(t, "p256", AES256GCM, plaintext)
	ciphertext, mac := s.content[2:], s.tail[2:]
	half := len(ciphertext) / 2
	one, two := tlv(tagOctetString, ciphertext[:half]), tlv(tagOctetString, ciphertext[half:])
	nested := ber(0x24, tlv(tagOctetString), ber(0x24, one, ber(0x24)), long(0x24, two))
	for name, change := range map[string]func(*layout){
		"segments":            func(l *layout) { l.content = tlv(tagExplicit0, one, two) },
		"nested segments":     func(l *layout) { l.content = ber(tagExplicit0, nested) },
		"definite segments":   func(l *layout) { l.content = long(tagExplicit0, tlv(0x24, one), tlv(0x24, tlv(0x24, two))) },
		"long lengths":        func(l *layout) { l.content = long(tagContent, ciphertext) },
		"constructed mac":     func(l *layout) { l.tail = ber(0x24, tlv(tagOctetString, mac[:5]), long(tagOctetString, mac[5:])) },
		"constructed nonce":   func(l *layout) { l.algorithm = constructNonce(l.algorithm) },
		"indefinite and long": func(l *layout) { l.recipients = ber(tagSet, reencode(contentOf(l.recipients))) },
		"unprotected": func(l *layout) {
			l.tail = append(l.tail, ber(tagAttributes2, ber(tagSequence, oidDER(oidData), ber(tagSet, nullDER())))...)
		},
	} {
		for form, wrap := range map[string]func(byte, ...[]byte) []byte{"DER": tlv, "BER": ber, "long": long} {
			l := s.layout
			change(&l)
			message := l.encode(wrap)
			if got, err := s.open(message); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%s, %s: %q, %v", name, form, got, err)
			}
			for _, piece := range []int{1, 2, 3, 5, len(message)} {
				if _, err := validate(message, piece); err != nil {
					t.Errorf("%s, %s, in pieces of %d: %v", name, form, piece, err)
				}
			}
		}
	}
}

// constructNonce splits the nonce in GCMParameters into two segments.
func constructNonce(algorithm []byte) []byte {
	id, _ := parseAlgorithm(algorithm)
	nonce := id.params[4:16]
	params := ber(tagSequence, ber(0x24, tlv(tagOctetString, nonce[:3]), tlv(tagOctetString, nonce[3:])), id.params[16:])
	return ber(tagSequence, oidDER(id.oid), params)
}

// reencode gives an element the longer form, and those inside the indefinite one.
func reencode(element []byte) []byte {
	var parts [][]byte
	for _, part := range elementsOf(element) {
		if part[0]&tagConstructed != 0 {
			part = ber(part[0], contentOf(part))
		}
		parts = append(parts, part)
	}
	return long(element[0], parts...)
}

// TestAuthenticatedAttributes opens messages of senders that use what is
// never written here: authenticated attributes, and other sizes of nonce and tag.
func TestAuthenticatedAttributes(t *testing.T) {
	plaintext := []byte("SEALPOST-CANARY")
	id, cert := issue(t, "p256")
	key := noise(32)
	set, _, err := recipientInfos(key, []Recipient{recipient(t, cert, KeyOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	// In the order of DER, and reversed in the message.
	one := tlv(tagSequence, oidDER(oidData), tlv(tagSet, nullDER()))
	two := tlv(tagSequence, oidDER(oidEnvelopedData), tlv(tagSet, nullDER(), nullDER()))
	for _, v := range []struct {
		name           string
		nonce, tagSize int
		attributes     []byte
		additional     []byte
		good           bool
	}{
		{"no attributes", 12, 16, nil, nil, true},
		{"attributes", 12, 16, tlv(tagAttributes1, one, two), tlv(tagSet, one, two), true},
		{"attributes out of order", 12, 16, tlv(tagAttributes1, two, one), tlv(tagSet, one, two), true},
		{"other attributes", 12, 16, tlv(tagAttributes1, two), tlv(tagSet, one), false},
		{"attributes not authenticated", 12, 16, tlv(tagAttributes1, two), nil, false},
		{"tag of 12", 12, 12, nil, nil, true},
		{"nonce of 16", 16, 16, nil, nil, true},
	} {
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCMWithTagSize(block, v.tagSize)
		if v.nonce != gcmNonceSize {
			aead, err = cipher.NewGCMWithNonceSize(block, v.nonce)
		}
		if err != nil {
			t.Fatal(err)
		}
		params := tlv(tagSequence, tlv(tagOctetString, noise(v.nonce)), []byte{tagInteger, 1, byte(v.tagSize)})
		if v.tagSize == 12 {
			params = tlv(tagSequence, tlv(tagOctetString, noise(v.nonce))) // the default
		}
		out := aead.Seal(nil, noise(v.nonce), plaintext, v.additional)
		l := layout{
			contentType: oidDER(oidAuthEnvelopedData), version: []byte{2, 1, 0}, recipients: set, innerType: oidDER(oidData),
			algorithm: algorithmDER(AES256GCM.algorithm().oid, params), content: tlv(tagContent, out[:len(plaintext)]),
			tail: slices.Concat(v.attributes, tlv(tagOctetString, out[len(plaintext):])),
		}
		got, err := sealed{l, id, cert}.open(l.encode(ber))
		if v.good != (err == nil && bytes.Equal(got, plaintext)) || !v.good && fieldOf(err) != "decrypt" {
			t.Errorf("%s: %q, %v", v.name, got, err)
		}
		if _, err := validate(l.encode(tlv), 10); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

// TestOtherAgreements opens what others may do in KeyAgreeRecipientInfo.
func TestOtherAgreements(t *testing.T) {
	plaintext := []byte("SEALPOST-CANARY")
	s := newSealed(t, "p384", AES256CBC, plaintext)
	point := s.ephemeral(t)
	compressed := append([]byte{2 + point[96]&1}, point[1:49]...)
	off := slices.Concat([]byte{4}, point[49:], point[1:49]) // x and y exchanged
	for name, v := range map[string]struct {
		from, to []byte
		want     string
	}{
		"as it is":            {nil, nil, "ok"},
		"compressed point":    {tlv(3, []byte{0}, point), tlv(3, []byte{0}, compressed), "ok"},
		"point off the curve": {tlv(3, []byte{0}, point), tlv(3, []byte{0}, off), "decrypt"},
		"no point":            {tlv(3, []byte{0}, point), []byte{3, 1, 0}, "decrypt"},
		"NULL in the wrap":    {wrapNull(), algorithmDER(oidAES256Wrap, nil), "ok"},
		"unknown wrap":        {wrapNull(), algorithmDER(oidSHA1, nil), fieldKeyEncryption},
		"static key":          {s.originator(t), tlv(0xa0, tlv(0x80, []byte("key identifier"))), "originator"},
	} {
		l := s.layout
		l.recipients = replace(t, l.recipients, v.from, v.to)
		got, err := s.open(l.encode(tlv))
		if fieldOf(err) != v.want || err == nil && !bytes.Equal(got, plaintext) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func wrapNull() []byte { return algorithmDER(oidAES256Wrap, nullDER()) }

func (s sealed) ephemeral(t testing.TB) []byte {
	t.Helper()
	infos, err := parseRecipients(s.recipients)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ecdh.P384().NewPublicKey(infos[0].ephemeral.point); err != nil {
		t.Fatal(err)
	}
	return infos[0].ephemeral.point
}

func (s sealed) originator(t testing.TB) []byte {
	return tlv(0xa0, tlv(0xa1, algorithmDER(oidECPublicKey, nil), tlv(3, []byte{0}, s.ephemeral(t))))
}

// replace exchanges bytes anywhere inside nested elements and mends the lengths.
func replace(t testing.TB, element, from, to []byte) []byte {
	t.Helper()
	if len(from) == 0 {
		return element
	}
	if bytes.Equal(element, from) {
		return to
	}
	if element[0]&tagConstructed == 0 || !bytes.Contains(element, from) {
		return element
	}
	var parts [][]byte
	for _, part := range elementsOf(element) {
		parts = append(parts, replace(t, part, from, to))
	}
	return tlv(element[0], parts...)
}

// TestAllKindsOfRecipients opens messages that others can open with a password
// or a shared key, too.
func TestAllKindsOfRecipients(t *testing.T) {
	testkit.Need(t, "openssl")
	plaintext := []byte("SEALPOST-CANARY")
	id, cert := issue(t, "rsa2048")
	ec, ecCert := issue(t, "p256")
	dir := t.TempDir()
	certFile, _ := id.WriteFiles(t, dir, "rsa")
	ecFile, _ := ec.WriteFiles(t, dir, "ec")
	message := run(t, "openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-in", write(t, "in", plaintext), "-aes256",
		"-pwri_password", "password", "-secretkey", strings.Repeat("0f", 32), "-secretkeyid", "01", "-recip", ecFile, "-recip", certFile)
	if got := open(t, message, id, cert); !bytes.Equal(got, plaintext) {
		t.Errorf("RSA: %q", got)
	}
	if got := open(t, message, ec, ecCert); !bytes.Equal(got, plaintext) {
		t.Errorf("EC: %q", got)
	}
	info, err := validate(message, 1)
	if want := (Info{Cipher: "aes-256-cbc", Recipients: 4, Size: 16}); err != nil || info != want {
		t.Errorf("%+v, %v", info, err)
	}
	// Other kinds (RFC 9629) are passed over.
	l := take(t, message)
	l.recipients = tlv(tagSet, contentOf(l.recipients), tlv(0xa4, oidDER(oidSHA1), nullDER()))
	if got := open(t, l.encode(tlv), id, cert); !bytes.Equal(got, plaintext) {
		t.Errorf("with another kind: %q", got)
	}
}
