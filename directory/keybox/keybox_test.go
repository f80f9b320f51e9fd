package keybox_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"

	"sealpost/directory/keybox"
	"sealpost/internal/testkit"
)

func pkcs8(t testing.TB, id *testkit.Identity) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func opener(t testing.TB) (*keybox.Opener, []byte) {
	t.Helper()
	o, err := keybox.NewOpener()
	if err != nil {
		t.Fatal(err)
	}
	public, err := keybox.ParsePublic(o.Public())
	if err != nil {
		t.Fatal(err)
	}
	return o, public
}

func TestKeyComesOutAsItWentIn(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, kind := range []string{"rsa2048", "p256"} {
		id := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind})
		o, public := opener(t)
		box, err := keybox.Seal(public, pkcs8(t, id), id.Cert.Raw, ca.Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(box, id.Cert.Raw[:64]) || len(box) > keybox.MaxSize {
			t.Errorf("%s: the box has %d bytes, or shows what is in it", kind, len(box))
		}
		key, cert, err := o.Open(box)
		if err != nil {
			t.Fatal(err)
		}
		same := false
		switch k := key.(type) {
		case *rsa.PrivateKey:
			same = k.Equal(id.Key)
		case *ecdsa.PrivateKey:
			same = k.Equal(id.Key)
		}
		if !same || !bytes.Equal(cert.Raw, id.Cert.Raw) {
			t.Errorf("%s: another key or certificate came out", kind)
		}
	}
}

func TestOnlyItsHolderOpensIt(t *testing.T) {
	id := testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	mine, public := opener(t)
	box, err := keybox.Seal(public, pkcs8(t, id), id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := opener(t)
	if _, _, err := other.Open(box); !errors.Is(err, keybox.ErrBox) {
		t.Errorf("another page opens it: %v", err)
	}
	for i := range box {
		damaged := bytes.Clone(box)
		damaged[i] ^= 1
		if _, _, err := mine.Open(damaged); !errors.Is(err, keybox.ErrBox) {
			t.Fatalf("octet %d is changed: %v", i, err)
		}
	}
	for _, short := range [][]byte{nil, box[:10], box[:len(box)-1]} {
		if _, _, err := mine.Open(short); !errors.Is(err, keybox.ErrBox) {
			t.Errorf("%d octets of it: %v", len(short), err)
		}
	}
}

func TestPublicKeysThatAreNone(t *testing.T) {
	for _, field := range []string{"", "AAAA", "not base64!", string(bytes.Repeat([]byte("A"), 44))} {
		if _, err := keybox.ParsePublic(field); !errors.Is(err, keybox.ErrPublic) {
			t.Errorf("%q: %v", field, err)
		}
	}
	for _, public := range [][]byte{nil, make([]byte, 31), make([]byte, 32), make([]byte, 33)} {
		if _, err := keybox.Seal(public, []byte("key"), []byte("certificate")); !errors.Is(err, keybox.ErrPublic) {
			t.Errorf("sealed to %d octets of nothing: %v", len(public), err)
		}
	}
}
