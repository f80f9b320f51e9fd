package cms

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"
)

// A damage changes a message; both Open and Validator have to say that it is
// the named field that is wrong. An empty name means that the Validator accepts
// what cannot be opened here.
type damage struct {
	name   string
	change func(*layout)
	open   string // field, for Open
	valid  string // field, for Validator; "ok" when it accepts
}

var nullOID = asn1.ObjectIdentifier{1, 2, 3, 4}

func iv16() []byte { return tlv(tagOctetString, make([]byte, 16)) }

// damages are made to a CBC message for an RSA key.
var damages = []damage{
	{"signed data", func(l *layout) { l.contentType = oidDER(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) }, "contentType", "contentType"},
	{"data", func(l *layout) { l.contentType = oidDER(oidData) }, "contentType", "contentType"},
	{"CBC as AuthEnvelopedData", func(l *layout) {
		l.contentType = oidDER(oidAuthEnvelopedData)
		l.tail = iv16()
	}, fieldAlgorithm, fieldAlgorithm},
	{"AuthEnvelopedData without mac", func(l *layout) { l.contentType = oidDER(oidAuthEnvelopedData) }, "mac", "mac"},
	{"no version", func(l *layout) { l.version = nil }, "version", "version"},
	{"version 9", func(l *layout) { l.version = []byte{2, 1, 9} }, "ok", "version"},
	{"no recipients field", func(l *layout) { l.recipients = nil }, fieldRecipients, fieldRecipients},
	{"no recipient", func(l *layout) { l.recipients = tlv(tagSet) }, fieldRecipients, fieldRecipients},
	{"recipient is text", func(l *layout) { l.recipients = tlv(tagSet, tlv(tagOctetString, []byte("anna"))) }, fieldRecipients, fieldRecipients},
	{"recipient is empty", func(l *layout) { l.recipients = tlv(tagSet, tlv(tagSequence)) }, fieldRecipients, fieldRecipients},
	{"agreement of another version", func(l *layout) { l.recipients = tlv(tagSet, tlv(0xa1, []byte{2, 1, 4})) }, fieldRecipients, fieldRecipients},
	{"unknown kind of recipient", func(l *layout) { l.recipients = tlv(tagSet, tlv(0xa7, []byte{2, 1, 0})) }, fieldRecipients, fieldRecipients},
	{"no inner type", func(l *layout) { l.innerType = nil }, "contentType", "contentType"},
	{"inner type is signed data", func(l *layout) { l.innerType = oidDER(oidEnvelopedData) }, "contentType", "ok"},
	{"inner type is not an OID", func(l *layout) { l.innerType = []byte{6, 1, 0x80} }, "contentType", "contentType"},
	{"no algorithm", func(l *layout) { l.algorithm = nil }, fieldAlgorithm, fieldAlgorithm},
	{"null cipher", func(l *layout) { l.algorithm = algorithmDER(nullOID, iv16()) }, fieldAlgorithm, fieldAlgorithm},
	{"rsaEncryption as cipher", func(l *layout) { l.algorithm = algorithmDER(oidRSAEncryption, nullDER()) }, fieldAlgorithm, fieldAlgorithm},
	{"AES-CBC without IV", func(l *layout) { l.algorithm = algorithmDER(AES256CBC.algorithm().oid, nil) }, fieldAlgorithm, fieldAlgorithm},
	{"AES-CBC with NULL", func(l *layout) { l.algorithm = algorithmDER(AES256CBC.algorithm().oid, nullDER()) }, fieldAlgorithm, fieldAlgorithm},
	{"AES-CBC with a short IV", func(l *layout) {
		l.algorithm = algorithmDER(AES256CBC.algorithm().oid, tlv(tagOctetString, make([]byte, 8)))
	}, fieldAlgorithm, fieldAlgorithm},
	{"AES-GCM as EnvelopedData", func(l *layout) {
		l.algorithm = algorithmDER(AES256GCM.algorithm().oid, tlv(tagSequence, tlv(tagOctetString, make([]byte, 12))))
	}, fieldAlgorithm, fieldAlgorithm},
	{"RC2", func(l *layout) {
		oid := asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 2}
		l.algorithm = algorithmDER(oid, tlv(tagSequence, []byte{2, 1, 58}, tlv(tagOctetString, make([]byte, 8))))
	}, fieldAlgorithm, "ok"},
	{"no content", func(l *layout) { l.content = nil }, "encryptedContent", "encryptedContent"},
	{"empty content", func(l *layout) { l.content = tlv(tagContent) }, "encryptedContent", "encryptedContent"},
	{"empty segments", func(l *layout) { l.content = ber(tagExplicit0, tlv(tagOctetString)) }, "encryptedContent", "encryptedContent"},
	{"not whole blocks", func(l *layout) { l.content = tlv(tagContent, noise(47)) }, "encryptedContent", "encryptedContent"},
	{"content of other type", func(l *layout) { l.content = tlv(tagOctetString, noise(48)) }, "encryptedContent", "encryptedContent"},
	{"segment of other type", func(l *layout) { l.content = ber(tagExplicit0, tlv(0x0c, noise(48))) }, "encryptedContent", "encryptedContent"},
	{"two contents", func(l *layout) { l.content = append(l.content, l.content...) }, "encryptedContentInfo", "encryptedContentInfo"},
	{"text for ciphertext", func(l *layout) {
		l.content = tlv(tagContent, bytes.Repeat([]byte("Dear customer,\r\n"), 40))
	}, "decrypt", "encryptedContent"},
	{"mac behind CBC", func(l *layout) { l.tail = iv16() }, "EnvelopedData", "EnvelopedData"},
	{"empty attributes", func(l *layout) { l.tail = tlv(tagAttributes1) }, "ok", "unprotectedAttrs"},
	{"attributes are text", func(l *layout) { l.tail = tlv(tagAttributes1, tlv(tagOctetString, []byte("text"))) }, "ok", "unprotectedAttrs"},
	{"large attributes", func(l *layout) { l.tail = tlv(tagAttributes1, tlv(tagOctetString, noise(8<<10))) }, "unprotectedAttrs", "unprotectedAttrs"},
	{"large originator", func(l *layout) { l.originator = tlv(tagExplicit0, tlv(tagOctetString, noise(80<<10))) }, "originatorInfo", "originatorInfo"},
	{"text behind", func(l *layout) { l.after = []byte("\r\nDear customer,\r\n") }, "ContentInfo", "ContentInfo"},
	{"a second message behind", func(l *layout) { l.after = tlv(tagSequence) }, "ContentInfo", "ContentInfo"},
	{"end of contents behind", func(l *layout) { l.after = []byte{0, 0} }, "ContentInfo", "ContentInfo"},
}

func TestDamaged(t *testing.T) {
	plaintext := []byte("Content-Type: text/plain\r\n\r\nSEALPOST-CANARY\r\n")
	s := newSealed(t, "rsa2048", AES256CBC, plaintext)
	for _, d := range damages {
		for form, wrap := range map[string]func(byte, ...[]byte) []byte{"DER": tlv, "BER": ber} {
			t.Run(d.name+"/"+form, func(t *testing.T) {
				l := s.layout
				d.change(&l)
				message := l.encode(wrap)
				got, err := s.open(message)
				// The field that ends with the surplus element has the same name in both forms.
				if field := fieldOf(err); field != d.open && (d.open != "decrypt" || bytes.Equal(got, plaintext)) {
					t.Errorf("Open finds fault with %q, not %q: %v", field, d.open, err)
				}
				if _, err := validate(message, 7); fieldOf(err) != d.valid {
					t.Errorf("Validator finds fault with %q, not %q: %v", fieldOf(err), d.valid, err)
				}
			})
		}
	}
}

// fieldOf is the field of a FormatError, "decrypt" for ErrDecrypt, "ok" for nil.
func fieldOf(err error) string {
	var format *FormatError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrDecrypt):
		return "decrypt"
	case errors.As(err, &format):
		return format.Field
	}
	return err.Error()
}

// TestTruncated cuts messages at every octet.
func TestTruncated(t *testing.T) {
	for _, c := range []Cipher{AES256CBC, AES128GCM} {
		s := newSealed(t, "p256", c, []byte("SEALPOST-CANARY"))
		for _, wrap := range []func(byte, ...[]byte) []byte{tlv, ber} {
			message := s.encode(wrap)
			for n := range message {
				if _, err := s.open(message[:n]); !errors.As(err, new(*FormatError)) {
					t.Fatalf("%v: Open of %d octets: %v", c, n, err)
				}
				if _, err := validate(message[:n], n); !errors.As(err, new(*FormatError)) {
					t.Fatalf("%v: Validator of %d octets: %v", c, n, err)
				}
			}
		}
	}
}

// TestFlippedBits changes each bit of authenticated messages: none opens to
// anything else, and damaged keys and contents are one error.
func TestFlippedBits(t *testing.T) {
	plaintext := []byte("SEALPOST-CANARY")
	for _, kind := range []string{"p256", "x25519"} {
		s := newSealed(t, kind, AES256GCM, plaintext)
		message := s.encode(tlv)
		for i := range message {
			for bit := range 8 {
				damaged := slices.Clone(message)
				damaged[i] ^= 1 << bit
				got, err := s.open(damaged)
				if err == nil && !bytes.Equal(got, plaintext) {
					t.Fatalf("%s: bit %d of octet %d: opened to %q", kind, bit, i, got)
				}
			}
		}
		for _, part := range []*[]byte{&s.content, &s.tail} {
			kept := slices.Clone(*part)
			(*part)[len(*part)-1] ^= 1
			if _, err := s.open(s.encode(tlv)); !errors.Is(err, ErrDecrypt) {
				t.Errorf("%s: %v", kind, err)
			}
			*part = kept
		}
	}
}

// TestWrongKey opens with a key that is not the certificate's.
func TestWrongKey(t *testing.T) {
	plaintext := noise(1000)
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521", "x25519"} {
		s := newSealed(t, kind, AES256GCM, plaintext)
		other, _ := issue(t, kind)
		_, err := Open(bytes.NewReader(s.encode(tlv)), OpenOptions{Certificate: s.cert, Key: other.Key})
		if !errors.Is(err, ErrDecrypt) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	s := newSealed(t, "rsa2048", AES256GCM, plaintext)
	other, _ := issue(t, "p256")
	_, err := Open(bytes.NewReader(s.encode(tlv)), OpenOptions{Certificate: s.cert, Key: other.Key})
	if fieldOf(err) != fieldRecipients {
		t.Errorf("a key of another kind: %v", err)
	}
}

// TestMillionMessage asks what RFC 3218 warns of: an encrypted key of a bad
// padding, and one of a good padding around a key of the wrong size, look like
// any other content that does not decrypt.
func TestMillionMessage(t *testing.T) {
	s := newSealed(t, "rsa2048", AES256GCM, noise(100))
	short := newSealed(t, "rsa2048", AES128GCM, noise(100))
	short.algorithm = s.algorithm // the key inside is too short for it
	if _, err := short.open(short.encode(tlv)); !errors.Is(err, ErrDecrypt) {
		t.Errorf("key of the wrong size: %v", err)
	}
	damaged := slices.Clone(s.recipients)
	damaged[len(damaged)-1] ^= 1
	s.recipients = damaged
	if _, err := s.open(s.encode(tlv)); !errors.Is(err, ErrDecrypt) {
		t.Errorf("bad padding: %v", err)
	}
}

// TestPadding tries all paddings of the last two octets, good and bad.
func TestPadding(t *testing.T) {
	for last := range 256 {
		for before := range 256 {
			p := bytes.Repeat([]byte{byte(last)}, 32)
			p[30] = byte(before)
			got, ok := unpad(p, 16)
			want := last >= 1 && last <= 16 && (last == 1 || before == last)
			if ok != want || ok && len(got) != 32-last {
				t.Fatalf("…%d, %d: %v, %d octets left", before, last, ok, len(got))
			}
		}
	}
}
