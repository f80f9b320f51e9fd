package testkit

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// sealWithOpenSSL makes what the openers are tried on.
func sealWithOpenSSL(t *testing.T, entity []byte, id *Identity, form string) []byte {
	t.Helper()
	Need(t, "openssl")
	dir := t.TempDir()
	cert, _ := id.WriteFiles(t, dir, "to")
	out := filepath.Join(dir, "sealed")
	err := runReader(exec.Command("openssl", "cms", "-encrypt", "-aes-256-cbc", "-binary", "-crlfeol", "-outform", form,
		"-in", writeFile(t, dir, "entity", entity), "-out", out, cert))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

var openers = map[string]struct {
	open func(testing.TB, []byte, *Identity) []byte
	try  func(testing.TB, []byte, *Identity) ([]byte, error)
}{
	"openssl": {OpenSSLOpen, OpenSSLTry},
	"gpgsm":   {GPGSMOpen, GPGSMTry},
	"nss":     {NSSOpen, NSSTry},
}

func TestOpenersOpen(t *testing.T) {
	id := NewCA(t).For(t, "anna@example.org")
	entity := []byte("Content-Type: text/plain\r\n\r\n" + oddMessage)
	for name, reader := range openers {
		for _, form := range []string{"SMIME", "DER"} {
			sealed := sealWithOpenSSL(t, entity, id, form)
			if got := reader.open(t, sealed, id); !bytes.Equal(got, entity) {
				t.Errorf("%s, %s: %q", name, form, got)
			}
		}
	}
}

// A PKCS #12 file is all that its reader was given.
func TestOpenersTakeKeyFiles(t *testing.T) {
	id := NewCA(t).For(t, "anna@example.org")
	entity := []byte("Content-Type: text/plain\r\n\r\n" + oddMessage)
	sealed := sealWithOpenSSL(t, entity, id, "SMIME")
	Need(t, "openssl")
	file, err := os.ReadFile(pkcs12(t, t.TempDir(), id))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(testing.TB, []byte, []byte, string) []byte{"openssl": OpenSSLOpenWithFile, "nss": NSSOpenWithFile} {
		if got := open(t, sealed, file, pkcs12Password); !bytes.Equal(got, entity) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOpenersRefuseAnotherKey(t *testing.T) {
	ca := NewCA(t)
	sealed := sealWithOpenSSL(t, []byte("secret"), ca.For(t, "anna@example.org"), "DER")
	other := ca.For(t, "bert@example.org")
	for name, reader := range openers {
		out, err := reader.try(t, sealed, other)
		if !errors.As(err, new(*ReaderError)) {
			t.Errorf("%s opened with another's key: %q, %v", name, out, err)
		}
	}
}
