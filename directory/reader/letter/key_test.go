package letter_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/reader/letter"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

const passphrase = "Brücke über 水"

func same(a, b any) bool {
	switch k := a.(type) {
	case *rsa.PrivateKey:
		return k.Equal(b)
	case *ecdsa.PrivateKey:
		return k.Equal(b)
	}
	return false
}

// nssExported takes a key file through NSS, as Thunderbird and Firefox do.
func nssExported(t *testing.T, file []byte) []byte {
	t.Helper()
	testkit.Need(t, "certutil", "pk12util")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.p12"), filepath.Join(dir, "out.p12")
	if err := os.WriteFile(in, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"certutil", "-N", "-d", "sql:" + dir, "--empty-password"}, {"pk12util", "-i", in, "-d", "sql:" + dir, "-W", passphrase},
		{"pk12util", "-o", out, "-d", "sql:" + dir, "-n", "anna", "-W", passphrase},
	} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args[0], err, text)
		}
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Key files as we write them, as OpenSSL does, and as old programs did.
func TestKeyFiles(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	for _, kind := range []string{"rsa2048", "p256"} {
		anna := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: kind})
		dir := t.TempDir()
		cert, key := anna.WriteFiles(t, dir, "anna")
		chain := filepath.Join(dir, "chain.pem")
		if err := os.WriteFile(chain, ca.PEM, 0o600); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		for name, e := range map[string]*pkcs12.Encoder{"modern": pkcs12.Modern2023, "newest": pkcs12.Modern2026, "legacy DES": pkcs12.LegacyDES, "legacy RC2": pkcs12.LegacyRC2} {
			data, err := e.Encode(anna.Key, anna.Cert, []*x509.Certificate{ca.Cert}, passphrase)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = data
		}
		for name, args := range map[string][]string{"OpenSSL": nil, "OpenSSL legacy": {"-legacy"}} {
			cmd := exec.Command("openssl", append([]string{"pkcs12", "-export", "-name", "anna", "-in", cert, "-inkey", key, "-certfile", chain, "-passout", "env:P"}, args...)...)
			cmd.Env = append(os.Environ(), "P="+passphrase, "LC_ALL=C.UTF-8")
			data, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			files[name] = data
		}
		if _, err := letter.ReadPKCS12(nssExported(t, files["OpenSSL"]), passphrase); !errors.Is(err, letter.ErrBER) || letter.Code(err) != "key-ber" {
			t.Errorf("a file of NSS: %v", err)
		}
		for name, data := range files {
			k, err := letter.ReadPKCS12(data, passphrase)
			if err != nil || !same(k.Private, anna.Key) || string(k.Certificate.Raw) != string(anna.Cert.Raw) {
				t.Errorf("%s, %s: %v", kind, name, err)
				continue
			}
			l, err := open(sealed(t, statement(), anna, cms.AES256CBC, cms.KeyOptions{}), k)
			if err != nil {
				t.Fatal(err)
			}
			isStatement(t, l, true)
			for _, wrong := range []string{"", "Brücke", passphrase + " "} {
				if _, err := letter.ReadPKCS12(data, wrong); !errors.Is(err, letter.ErrPassphrase) || letter.Code(err) != "passphrase" {
					t.Errorf("%s, %s with %q: %v", kind, name, wrong, err)
				}
			}
		}
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	ca := testkit.NewCA(t)
	anna, other := ca.For(t, "anna@example.org"), ca.For(t, "other@example.org")
	trust, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.Cert}, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := pkcs12.Modern.Encode(anna.Key, other.Cert, nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	signing := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "ed25519"})
	ed, err := pkcs12.Modern.Encode(signing.Key, signing.Cert, nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing": {nil, letter.ErrKeyFile}, "a certificate": {anna.Cert.Raw, letter.ErrKeyFile}, "PEM": {anna.KeyPEM, letter.ErrKeyFile},
		"certificates only": {trust, letter.ErrKeyFile}, "half a file": {mixed[:len(mixed)/2], letter.ErrKeyFile},
		"another's certificate": {mixed, letter.ErrNoKey}, "a key that only signs": {ed, letter.ErrOldKey},
	} {
		if _, err := letter.ReadPKCS12(c.data, passphrase); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
