package cms

import (
	"bytes"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// kinds are the keys that can be encrypted to.
var kinds = []string{"rsa2048", "rsa3072", "p256", "p384", "p521", "x25519"}

var ciphers = []Cipher{AES128CBC, AES256CBC, AES128GCM, AES256GCM}

// issue makes a certificate of a kind of key.
func issue(t testing.TB, kind string) (*testkit.Identity, *certificate.Certificate) {
	t.Helper()
	id := testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind,
		Change: func(template *x509.Certificate) { template.SubjectKeyId = noise(20) }})
	return id, parse(t, id)
}

func parse(t testing.TB, id *testkit.Identity) *certificate.Certificate {
	t.Helper()
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func recipient(t testing.TB, cert *certificate.Certificate, opts KeyOptions) Recipient {
	t.Helper()
	r, err := NewRecipient(cert, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seal makes a message with definite lengths.
func seal(t testing.TB, c Cipher, plaintext []byte, to ...Recipient) []byte {
	t.Helper()
	content, err := NewContent(c)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Destroy()
	var ciphertext bytes.Buffer
	w := content.Encrypt(&ciphertext)
	if _, err := w.Write(plaintext); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if int64(ciphertext.Len()) != content.Size() {
		t.Fatalf("Size says %d, written were %d", content.Size(), ciphertext.Len())
	}
	prefix, err := content.Prefix(to...)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(prefix, ciphertext.Bytes(), content.Suffix())
}

// sealStream makes a message with indefinite lengths.
func sealStream(t testing.TB, c Cipher, plaintext []byte, to ...Recipient) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := EncryptStream(&out, c, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(plaintext)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// noise is random but the same in every run.
func noise(n int) []byte {
	p := make([]byte, n)
	var seed [32]byte
	rand.NewChaCha8(seed).Read(p)
	return p
}

func open(t testing.TB, message []byte, id *testkit.Identity, cert *certificate.Certificate) []byte {
	t.Helper()
	plaintext, err := Open(bytes.NewReader(message), OpenOptions{Certificate: cert, Key: id.Key})
	if err != nil {
		t.Fatal(err)
	}
	return plaintext
}
