package cms

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// fuzzIdentity is a key, the same in every worker of the fuzzer, and a certificate for it.
func fuzzIdentity(t testing.TB) (*certificate.Certificate, *ecdh.PrivateKey) {
	t.Helper()
	key, err := ecdh.P256().NewPrivateKey(noise(32))
	if err != nil {
		t.Fatal(err)
	}
	return &certificate.Certificate{
		RawIssuer: tlv(tagSequence), RawSerial: []byte{2, 1, 1}, SubjectKeyID: []byte("key"),
		KeyKind: certificate.KeyEC, PublicKey: key.PublicKey(),
	}, key
}

// FuzzOpen reads anything: Open ends without a panic, with a known error or a
// plaintext no larger than the message; and the Validator says the same whether
// it gets the message at once or octet by octet.
func FuzzOpen(f *testing.F) {
	cert, key := fuzzIdentity(f)
	to := recipient(f, cert, KeyOptions{})
	for _, c := range ciphers {
		f.Add(seal(f, c, noise(100), to))
		f.Add(sealStream(f, c, noise(100), to))
	}
	s := newSealed(f, "rsa2048", AES256CBC, noise(100))
	for _, d := range damages {
		l := s.layout
		d.change(&l)
		f.Add(l.encode(tlv))
		f.Add(l.encode(ber))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := Open(bytes.NewReader(message), OpenOptions{Certificate: cert, Key: key, MaxSize: 1 << 20})
		if len(got) > len(message) || err != nil && got != nil {
			t.Errorf("%d octets out of %d: %v", len(got), len(message), err)
		}
		if err != nil && !errors.As(err, new(*FormatError)) && !errors.Is(err, ErrDecrypt) && !errors.Is(err, ErrNoRecipient) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("error of no known kind: %v", err)
		}
		sameVerdict(t, message)
	})
}

func sameVerdict(t *testing.T, message []byte) {
	t.Helper()
	info, err := validate(message, len(message))
	for _, piece := range []int{1, 3, 1000} {
		i, e := validate(message, piece)
		if i != info || fieldOf(e) != fieldOf(err) {
			t.Errorf("pieces of %d: %v, %v; at once: %v, %v", piece, i, e, info, err)
		}
	}
}

// FuzzSeal seals anything, in any way: it opens to the same octets, the
// Validator accepts it in pieces of any size, and with GCM no change of an
// octet goes unnoticed.
func FuzzSeal(f *testing.F) {
	cert, key := fuzzIdentity(f)
	for i, size := range []int{0, 1, 15, 16, 100, 129, 1000, chunkSize + 1} {
		f.Add(noise(size), uint8(i), i%2 == 0, 100+i, 17*i)
	}
	f.Fuzz(func(t *testing.T, plaintext []byte, n uint8, stream bool, piece, flip int) {
		c := ciphers[int(n)%len(ciphers)]
		to := recipient(t, cert, KeyOptions{KDF: KDF(n % 4)})
		message := seal(t, c, plaintext, to)
		if stream {
			message = sealStream(t, c, plaintext, to)
		}
		opts := OpenOptions{Certificate: cert, Key: key}
		got, err := Open(bytes.NewReader(message), opts)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("%v of %d octets: %v", c, len(plaintext), err)
		}
		if _, err := validate(message, piece); err != nil && len(plaintext) > 0 {
			t.Errorf("Validator: %v", err)
		}
		if c.AEAD() {
			message[uint(flip)%uint(len(message))] ^= 1 << (n >> 5)
			if got, err := Open(bytes.NewReader(message), opts); err == nil && !bytes.Equal(got, plaintext) {
				t.Errorf("%v: a changed message opens to something else", c)
			}
		}
	})
}

// FuzzSignedData reads anything: the reader ends without a panic, says the same
// in pieces of any size, gives certificates out of the message itself, and
// believes nothing but what the one key signed.
func FuzzSignedData(f *testing.F) {
	ca := testkit.NewCA(f)
	id := ca.Issue(f, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	for _, data := range []testkit.SignedData{{}, {Detached: true}, {Wrap: ber}, {NoCerts: true}, {Certs: [][]byte{{0x30, 0}, id.Cert.Raw}}} {
		for _, s := range []testkit.Signature{{}, {Bare: true}, {NoTime: true}} {
			s.ID = id
			data.Content, data.Signs = []byte("signed"), []testkit.Signature{s}
			f.Add(data.Encode(f))
		}
	}
	for _, part := range []string{"digests", "content", "certificates", "crls", "signers"} {
		f.Add(signedUpTo(part))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		d, by, err := verifySigned(message, nil, max(len(message), 1))
		for _, piece := range []int{1, 5} {
			d2, by2, err2 := verifySigned(message, nil, piece)
			if fieldOf(err) != fieldOf(err2) || (d == nil) != (d2 == nil) || len(by) != len(by2) {
				t.Fatalf("pieces of %d: %v; at once: %v", piece, err2, err)
			}
		}
		if d == nil {
			if !errors.As(err, new(*FormatError)) {
				t.Fatalf("error of no known kind: %v", err)
			}
			return
		}
		if d.Size > int64(len(message)) || len(d.Certificates) > maxCertificates || len(d.Signers) > maxSigners {
			t.Errorf("%+v", d)
		}
		for _, c := range d.Certificates {
			if !bytes.Contains(message, c.Raw) {
				t.Error("a certificate that is not in the message")
			}
		}
	})
}
