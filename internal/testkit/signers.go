package testkit

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// GPGSMSign has GnuPG sign a content and gives CMS in DER. The arguments stand
// instead of --sign.
func GPGSMSign(t testing.TB, content []byte, id *Identity, ca *CA, args ...string) []byte {
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
	writeFile(t, home, "gpg-agent.conf", []byte("allow-loopback-pinentry\nallow-mark-trusted\n"))
	gpgsm := func(args ...string) error {
		cmd := exec.Command("gpgsm", append([]string{"--homedir", home, "--batch", "--yes", "--disable-crl-checks",
			"--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)...)
		cmd.Stdin = strings.NewReader(pkcs12Password + "\n")
		return runReader(cmd)
	}
	writeFile(t, home, "trustlist.txt", []byte(fingerprintSHA1(ca.Cert)+" S relax\n"))
	if err := gpgsm("--import", writeFile(t, home, "ca.pem", ca.PEM)); err != nil {
		t.Fatal(err)
	}
	// See GPGSMTry about the repetition.
	var err error
	for range 5 {
		if err = gpgsm("--import", pkcs12(t, home, id)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(args) == 0 {
		args = []string{"--sign"}
	}
	in, out := writeFile(t, home, "in", content), filepath.Join(home, "out")
	args = append([]string{"--local-user", id.Cert.EmailAddresses[0], "--output", out}, append(args, in)...)
	if err := gpgsm(args...); err != nil {
		t.Fatal(err)
	}
	return readFile(t, out)
}

// NSSSign has NSS, the library of Thunderbird, sign a content and gives CMS in DER.
func NSSSign(t testing.TB, content []byte, id *Identity, ca *CA, args ...string) []byte {
	t.Helper()
	Need(t, "certutil", "pk12util", "cmsutil", "openssl")
	dir := t.TempDir()
	db := "sql:" + dir
	in, out := writeFile(t, dir, "in", content), filepath.Join(dir, "out")
	for _, cmd := range []*exec.Cmd{
		exec.Command("certutil", "-N", "-d", db, "--empty-password"),
		exec.Command("certutil", "-A", "-d", db, "-n", "ca", "-t", "CT,C,C", "-a", "-i", writeFile(t, dir, "ca.pem", ca.PEM)),
		exec.Command("pk12util", "-i", pkcs12(t, dir, id), "-d", db, "-K", "", "-W", pkcs12Password),
		exec.Command("cmsutil", append([]string{"-S", "-d", db, "-N", "reader", "-G", "-H", "SHA256", "-i", in, "-o", out}, args...)...),
	} {
		if err := runReader(cmd); err != nil {
			t.Fatal(err)
		}
	}
	return readFile(t, out)
}

// fingerprintSHA1 is how GnuPG names a certificate.
func fingerprintSHA1(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
