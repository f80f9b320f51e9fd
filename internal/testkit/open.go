package testkit

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The openers hand a sealed message to the mail readers' own libraries. Each
// takes a whole message or the CMS structure in DER or BER, and gives the
// entity; what the reader cannot open fails the test.

// OpenSSLOpen opens with `openssl cms`. A whole message is read by OpenSSL's
// own MIME parser.
func OpenSSLOpen(t testing.TB, sealed []byte, id *Identity) []byte {
	t.Helper()
	out, err := OpenSSLTry(t, sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// OpenSSLTry is OpenSSLOpen for tests in which opening may fail.
func OpenSSLTry(t testing.TB, sealed []byte, id *Identity) ([]byte, error) {
	t.Helper()
	Need(t, "openssl")
	dir := t.TempDir()
	cert, key := id.WriteFiles(t, dir, "reader")
	form := "SMIME"
	if isCMS(sealed) {
		form = "DER"
	}
	in, out := writeFile(t, dir, "sealed", sealed), filepath.Join(dir, "entity")
	err := runReader(exec.Command("openssl", "cms", "-decrypt", "-binary", "-inform", form,
		"-in", in, "-out", out, "-recip", cert, "-inkey", key))
	if err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// NSSOpen opens with NSS (cmsutil), the library of Thunderbird.
func NSSOpen(t testing.TB, sealed []byte, id *Identity) []byte {
	t.Helper()
	out, err := NSSTry(t, sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// NSSTry is NSSOpen for tests in which opening may fail.
func NSSTry(t testing.TB, sealed []byte, id *Identity) ([]byte, error) {
	t.Helper()
	Need(t, "certutil", "pk12util", "cmsutil", "openssl")
	dir := t.TempDir()
	db := "sql:" + dir
	in, out := writeFile(t, dir, "sealed", CMS(t, sealed)), filepath.Join(dir, "entity")
	for _, cmd := range []*exec.Cmd{
		exec.Command("certutil", "-N", "-d", db, "--empty-password"),
		exec.Command("pk12util", "-i", pkcs12(t, dir, id), "-d", db, "-K", "", "-W", pkcs12Password),
		exec.Command("cmsutil", "-D", "-d", db, "-i", in, "-o", out),
	} {
		if err := runReader(cmd); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(out)
}

// GPGSMOpen opens with gpgsm, the S/MIME half of GnuPG.
func GPGSMOpen(t testing.TB, sealed []byte, id *Identity) []byte {
	t.Helper()
	out, err := GPGSMTry(t, sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// GPGSMTry is GPGSMOpen for tests in which opening may fail.
func GPGSMTry(t testing.TB, sealed []byte, id *Identity) ([]byte, error) {
	t.Helper()
	Need(t, "gpgsm", "gpg-agent", "gpgconf", "openssl")
	home := privateDir(t, "gpg")
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := runReader(exec.Command("gpgconf", "--homedir", home, "--kill", "all")); err != nil {
			t.Error(err)
		}
	}()
	writeFile(t, home, "gpg-agent.conf", []byte("allow-loopback-pinentry\n"))
	gpgsm := func(args ...string) error {
		cmd := exec.Command("gpgsm", append([]string{"--homedir", home, "--batch", "--yes", "--disable-crl-checks",
			"--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)...)
		cmd.Stdin = strings.NewReader(pkcs12Password + "\n")
		return runReader(cmd)
	}
	in, out := writeFile(t, home, "sealed", CMS(t, sealed)), filepath.Join(home, "entity")
	// gpgsm 2.2 refuses about one PKCS#12 file in a hundred that OpenSSL reads;
	// another salt makes another file of the same key.
	var err error
	for range 5 {
		if err = gpgsm("--import", pkcs12(t, home, id)); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := gpgsm("--assume-binary", "--output", out, "--decrypt", in); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

const pkcs12Password = "testkit"

// pkcs12 writes key and certificate in the oldest form, which all readers know.
func pkcs12(t testing.TB, dir string, id *Identity) string {
	t.Helper()
	cert, key := id.WriteFiles(t, dir, "reader")
	out := filepath.Join(dir, "reader.p12")
	err := runReader(exec.Command("openssl", "pkcs12", "-export", "-in", cert, "-inkey", key, "-out", out,
		"-passout", "pass:"+pkcs12Password, "-name", "reader",
		"-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// CMS gives the CMS structure of a sealed message; CMS alone comes back as it
// is. The message must be one base64 part, as RFC 8551 section 3.3 shows it.
func CMS(t testing.TB, sealed []byte) []byte {
	t.Helper()
	if isCMS(sealed) {
		return sealed
	}
	header, body, ok := bytes.Cut(sealed, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no blank line with CRLF in the sealed message:\n%.500s", sealed)
	}
	if !bytes.Contains(bytes.ToLower(header), []byte("content-transfer-encoding: base64")) {
		t.Fatalf("the sealed message is not base64:\n%.500s", sealed)
	}
	text := strings.NewReplacer("\r", "", "\n", "").Replace(string(body))
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("the sealed message's base64: %v", err)
	}
	return der
}

// isCMS tells CMS from a message: it begins with a SEQUENCE, whose tag "0"
// begins no header field.
func isCMS(b []byte) bool { return len(b) > 1 && b[0] == 0x30 && b[1] >= 0x80 }

// A ReaderError is a reader's refusal, with what it printed.
type ReaderError struct {
	Program string
	Output  string
	Err     error
}

func (e *ReaderError) Error() string { return e.Program + ": " + e.Err.Error() + ": " + e.Output }

// Unwrap gives the *exec.ExitError.
func (e *ReaderError) Unwrap() error { return e.Err }

func runReader(cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return &ReaderError{Program: filepath.Base(cmd.Path), Output: output.String(), Err: err}
	}
	return nil
}

func writeFile(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
