package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// OpenSSLOpenWithFile opens a sealed message as somebody does who was given a
// PKCS #12 file: OpenSSL takes key and certificate out of it, and opens with
// them.
func OpenSSLOpenWithFile(t testing.TB, sealed, file []byte, passphrase string) []byte {
	t.Helper()
	Need(t, "openssl")
	dir := t.TempDir()
	p12, word := writeFile(t, dir, "key.p12", file), writeFile(t, dir, "passphrase", []byte(passphrase))
	in, out := writeFile(t, dir, "sealed", CMS(t, sealed)), filepath.Join(dir, "entity")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for _, cmd := range []*exec.Cmd{
		exec.Command("openssl", "pkcs12", "-in", p12, "-passin", "file:"+word, "-clcerts", "-nokeys", "-out", cert),
		exec.Command("openssl", "pkcs12", "-in", p12, "-passin", "file:"+word, "-nocerts", "-noenc", "-out", key),
		exec.Command("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", in, "-out", out, "-recip", cert, "-inkey", key),
	} {
		if err := runReader(cmd); err != nil {
			t.Fatal(err)
		}
	}
	return readBack(t, out)
}

// NSSOpenWithFile is the same with NSS, the library of Thunderbird, which takes
// the file into its own store of keys.
func NSSOpenWithFile(t testing.TB, sealed, file []byte, passphrase string) []byte {
	t.Helper()
	Need(t, "certutil", "pk12util", "cmsutil")
	dir := t.TempDir()
	db := "sql:" + dir
	p12, word := writeFile(t, dir, "key.p12", file), writeFile(t, dir, "passphrase", []byte(passphrase))
	in, out := writeFile(t, dir, "sealed", CMS(t, sealed)), filepath.Join(dir, "entity")
	for _, cmd := range []*exec.Cmd{
		exec.Command("certutil", "-N", "-d", db, "--empty-password"),
		exec.Command("pk12util", "-i", p12, "-d", db, "-K", "", "-w", word),
		exec.Command("cmsutil", "-D", "-d", db, "-i", in, "-o", out),
	} {
		if err := runReader(cmd); err != nil {
			t.Fatal(err)
		}
	}
	return readBack(t, out)
}

func readBack(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
