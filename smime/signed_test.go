package smime

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// opensslMessage has OpenSSL make a message of an entity, and gives it a mail
// header. The identity signs, or is encrypted to.
func opensslMessage(t testing.TB, id *testkit.Identity, entity []byte, args ...string) []byte {
	t.Helper()
	testkit.Need(t, "openssl")
	dir := t.TempDir()
	cert, key := id.WriteFiles(t, dir, "id")
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, entity, 0o600); err != nil {
		t.Fatal(err)
	}
	if args[0] == "-sign" {
		args = append(args, "-signer", cert, "-inkey", key)
	} else {
		args = append(args, cert)
	}
	args = append([]string{"cms", "-in", in}, args...)
	var stderr bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl: %v: %s", err, stderr.Bytes())
	}
	lines := bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
	return append([]byte(smimeFrom), bytes.ReplaceAll(lines, []byte("\n"), []byte("\r\n"))...)
}

const smimeFrom = "From: a@bank.example\r\nTo: anna@example.org\r\nSubject: signed\r\n"

func readerOf(t testing.TB, id *testkit.Identity) reader {
	t.Helper()
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return reader{id: id, cert: cert}
}

// TestSignatureSurvives: a mail that its sender signed still verifies when its
// recipient has opened it.
func TestSignatureSurvives(t *testing.T) {
	ca := testkit.NewCA(t)
	signer := ca.For(t, "a@bank.example")
	anna := newReader(t, ca, testkit.Leaf{Addresses: []string{"anna@example.org"}})
	entity := []byte("Content-Type: text/plain; charset=utf-8\r\n\r\n  Guthaben: 100 \xe2\x82\xac \t\r\n.\r\nFrom here on\r\n")
	for name, args := range map[string][]string{
		"multipart/signed": {"-sign"},
		"opaque":           {"-sign", "-nodetach"},
	} {
		signed := opensslMessage(t, signer, entity, args...)
		verify(t, ca, signed, entity) // the test itself is sound
		sealed := copyFor(t, seal(t, signed, SealOptions{}, Target{cms.AES256CBC, &memory{}})[0], anna.to)
		for opener, inside := range map[string][]byte{
			"sealpost": anna.open(t, sealed),
			"openssl":  testkit.OpenSSLOpen(t, sealed, anna.id),
		} {
			if !t.Run(name+" opened by "+opener, func(t *testing.T) { verify(t, ca, inside, entity) }) {
				t.Logf("%s", inside)
			}
		}
	}
}

func verify(t *testing.T, ca *testkit.CA, signed, entity []byte) {
	t.Helper()
	dir := t.TempDir()
	root, in, out := filepath.Join(dir, "root"), filepath.Join(dir, "in"), filepath.Join(dir, "out")
	for path, data := range map[string][]byte{root: ca.PEM, in: signed} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said, err := exec.Command("openssl", "cms", "-verify", "-in", in, "-CAfile", root, "-out", out).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v: %s", err, said)
	}
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(got, entity) {
		t.Fatalf("%v: signed is %q, want %q", err, got, entity)
	}
}
