package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// signedUpTo is a SignedData in BER that stops where a part would begin.
func signedUpTo(part string) []byte {
	b := append([]byte{tagSequence, lengthIndefinite}, oidDER(oidSignedData)...)
	b = append(b, tagExplicit0, lengthIndefinite, tagSequence, lengthIndefinite, 2, 1, 1, tagSet, lengthIndefinite)
	if part == "digests" {
		return b
	}
	b = append(b, algorithmDER(oidSHA256, nil)...)
	b = append(b, 0, 0, tagSequence, lengthIndefinite)
	b = append(b, oidDER(oidData)...)
	if part == "content" {
		return append(b, tagExplicit0, lengthIndefinite, tagOctetsConstructed, lengthIndefinite)
	}
	b = append(b, 0, 0)
	switch part {
	case "certificates":
		return append(b, tagExplicit0, lengthIndefinite)
	case "crls":
		return append(b, tagAttributes1, lengthIndefinite)
	}
	return append(b, tagSet, lengthIndefinite) // signers
}

// TestSignedBombs reads 16 MB of what never ends. Time must stay linear and
// memory bounded, whatever the nesting; what go.mozilla.org/pkcs7 needs seconds
// for at 156 KB is among it.
func TestSignedBombs(t *testing.T) {
	const size = 16 << 20
	for _, bomb := range []struct {
		name, part string
		pattern    []byte
	}{
		{"content", "content", append([]byte{tagOctetString, 0x82, 4, 0}, noise(1024)...)},
		{"empty segments", "content", []byte{tagOctetString, 0}},
		{"nested segments", "content", []byte{tagOctetsConstructed, lengthIndefinite}},
		{"nested certificates", "certificates", []byte{tagSequence, lengthIndefinite}},
		{"nested constructed strings", "certificates", []byte{tagOctetsConstructed, lengthIndefinite}},
		{"empty certificates", "certificates", []byte{tagSequence, 0}},
		{"one certificate for ever", "certificates", append([]byte{tagSequence, lengthIndefinite}, bytes.Repeat([]byte{4, 1, 0}, 1000)...)},
		{"announced certificate", "certificates", []byte{tagSequence, 0x84, 0x7f, 0xff, 0xff, 0xff}},
		{"nested revocation lists", "crls", []byte{tagSequence, lengthIndefinite}},
		{"revocation lists", "crls", []byte{tagSequence, 2, 5, 0}},
		{"digests", "digests", algorithmDER(oidSHA256, nil)},
		{"nested signers", "signers", []byte{tagSequence, lengthIndefinite}},
		{"empty signers", "signers", []byte{tagSequence, 0}},
		{"announced signer", "signers", []byte{tagSequence, 0x83, 0xff, 0xff, 0xff}},
	} {
		begun := time.Now()
		used := allocated(func() {
			r := NewSignedReader()
			_, _ = io.CopyN(r, &endless{head: signedUpTo(bomb.part), pattern: bomb.pattern}, size)
			if _, err := r.Close(); !errors.As(err, new(*FormatError)) {
				t.Errorf("%s: %v", bomb.name, err)
			}
		})
		if used > 4<<20 {
			t.Errorf("%s: %d octets of memory", bomb.name, used)
		}
		if took := time.Since(begun); took > 20*time.Second { // a second at most on an idle machine; a quadratic reader takes hours
			t.Errorf("%s: %v", bomb.name, took)
		}
	}
}

// TestNestedBERInside: elements of indefinite length within a signature cost no
// more than their length.
func TestNestedBERInside(t *testing.T) {
	id := testkit.NewCA(t).For(t, "anna@example.org")
	nest := func(levels int) []byte {
		inside := testkit.TLV(4, noise(50000))
		for range levels {
			inside = ber(tagSequence, inside)
		}
		return inside
	}
	for _, levels := range []int{1, 20, 100} {
		message := testkit.SignedData{Content: signedText, Certs: [][]byte{nest(levels), id.Cert.Raw}, Signs: []testkit.Signature{{ID: id,
			Attrs: [][]byte{testkit.Attribute(t, nest(levels), 99)}}}}.Encode(t)
		_, _, err := verifySigned(message, nil, 1000)
		if ok := levels < maxDepth; ok != (errors.Is(err, ErrSignature) || err == nil) {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

// TestOddCertificates: whatever stands among the certificates, the signature
// verifies, and what can be read is there.
func TestOddCertificates(t *testing.T) {
	ca := testkit.NewCA(t)
	id := signerLeaf(t, ca, "rsa2048")
	negative := testkit.Forged{Serial: []byte{0x80, 1}}.Sign(t, ca)
	if _, err := x509.ParseCertificate(negative); err == nil {
		t.Fatal("crypto/x509 reads what it should not: the test shows nothing")
	}
	deep := testkit.TLV(tagSequence)
	for range 100 {
		deep = testkit.TLV(tagSequence, deep)
	}
	certs := [][]byte{
		negative, {0x30, 0}, testkit.TLV(0xa2, []byte("attributes")), testkit.TLV(tagSequence, []byte{0x1f, 0xff, 0xff}), deep,
		testkit.TLV(tagSequence, make([]byte, certificate.MaxSize)), ber(tagSequence, testkit.TLV(2, []byte{1})),
		id.Cert.Raw[:len(id.Cert.Raw):len(id.Cert.Raw)], id.Cert.Raw, ca.Cert.Raw,
	}
	for _, wrap := range []func(byte, ...[]byte) []byte{nil, ber} {
		message := testkit.SignedData{Content: signedText, Certs: certs, Signs: []testkit.Signature{{ID: id}}, Wrap: wrap}.Encode(t)
		d, by, err := verifySigned(message, nil, 7)
		if err != nil || len(by) != 1 || len(d.Certificates) != 3 || d.Unreadable != 6 {
			t.Fatalf("%v: %+v", err, d)
		}
		if !bytes.Equal(d.Certificates[0].Raw, negative) {
			t.Error("an odd certificate came out changed")
		}
	}
}

// TestSignedConstantMemory signs 100 MB and verifies them, inside and beside.
func TestSignedConstantMemory(t *testing.T) {
	id := testkit.NewCA(t).For(t, "anna@example.org")
	const size = 100 << 20
	zeros := make([]byte, 1<<20)
	digests := NewDigests()
	for range size >> 20 {
		digests.Write(zeros)
	}
	detached := testkit.SignedData{Detached: true, Signs: []testkit.Signature{{ID: id, Digest: digests.sum(crypto.SHA256)}}}.Encode(t)
	used := allocated(func() {
		again := NewDigests()
		for range size >> 20 {
			again.Write(zeros)
		}
		r := NewSignedReader()
		r.Write(detached)
		d, err := r.Close()
		if err != nil || d.Detached(again) != nil {
			t.Fatal(err)
		}
		if _, err := d.Verify(d.Signers[0]); err != nil {
			t.Error(err)
		}
	})
	if used > 1<<20 {
		t.Errorf("detached: %d octets of memory", used)
	}
	attached := testkit.SignedData{Signs: []testkit.Signature{{ID: id, Digest: digests.sum(crypto.SHA256)}}, Content: []byte("here")}.Encode(t)
	marker := []byte{0xa0, 6, 4, 4, 'h', 'e', 'r', 'e'}
	_, tail, _ := bytes.Cut(attached, marker)
	// The elements around it have lengths for four octets; BER needs none.
	body := signedUpTo("content")
	used = allocated(func() {
		r := NewSignedReader()
		r.Write(body)
		for range size >> 20 {
			r.Write([]byte{tagOctetString, 0x83, 0x10, 0, 0})
			r.Write(zeros)
		}
		r.Write(make([]byte, 6)) // the ends of content, [0] and encapContentInfo
		r.Write(tail)
		r.Write(make([]byte, 6))
		d, err := r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Verify(d.Signers[0]); err != nil || d.Size != size {
			t.Errorf("%d octets: %v", d.Size, err)
		}
	})
	if used > 1<<20 {
		t.Errorf("attached: %d octets of memory", used)
	}
}
