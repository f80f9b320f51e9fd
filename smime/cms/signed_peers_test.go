package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// opensslSigns has `openssl cms -sign` sign a content; CMS in DER comes out.
func opensslSigns(t testing.TB, content []byte, id *testkit.Identity, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	cert, key := id.WriteFiles(t, dir, "id")
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "openssl", append([]string{"cms", "-sign", "-binary", "-in", in, "-out", out, "-outform", "DER", "-signer", cert, "-inkey", key}, args...)...)
	signed, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestOpenSSLSigns verifies what OpenSSL signs, in all the ways it knows.
func TestOpenSSLSigns(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	caFile := write(t, "ca.pem", ca.PEM)
	large := noise(300_001)
	for _, key := range []string{"rsa2048", "p256", "p384", "p521"} {
		id := signerLeaf(t, ca, key)
		for _, args := range [][]string{
			{"-nodetach"}, {"-nodetach", "-stream"}, {}, {"-keyid", "-nodetach"}, {"-md", "sha384"}, {"-md", "sha512", "-nodetach"},
			{"-noattr", "-nodetach"}, {"-certfile", caFile}, {"-nodetach", "-keyopt", "rsa_padding_mode:pss"},
			{"-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20", "-md", "sha384"}, {"-nosmimecap"},
		} {
			if key != "rsa2048" && strings.Contains(strings.Join(args, " "), "pss") {
				continue
			}
			message := opensslSigns(t, large, id, args...)
			var beside io.Reader
			if !strings.Contains(strings.Join(args, " "), "-nodetach") {
				beside = bytes.NewReader(large)
			}
			d, by, err := verifySigned(message, beside, 1000)
			if err != nil || len(by) != 1 || !bytes.Equal(by[0].Raw, id.Cert.Raw) {
				t.Fatalf("%s %v: %v", key, args, err)
			}
			s := d.Signers[0]
			if len(args) > 0 && (args[0] == "-noattr" || args[0] == "-nosmimecap") {
				continue
			}
			if s.SigningTime.IsZero() || len(s.Capabilities) < 3 || s.Capabilities[0].String() != "2.16.840.1.101.3.4.1.42" {
				t.Errorf("%s %v: %v, %v", key, args, s.SigningTime, s.Capabilities)
			}
		}
	}
	weak := opensslSigns(t, large, signerLeaf(t, ca, "rsa2048"), "-md", "sha1", "-nodetach")
	if _, _, err := verifySigned(weak, nil, 1000); !errors.Is(err, ErrWeakDigest) {
		t.Errorf("SHA-1: %v", err)
	}
}

// TestOpenSSLVerifiesOurs: what the tests sign is what others understand.
func TestOpenSSLVerifiesOurs(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	for _, key := range []string{"rsa2048", "p384"} {
		id := signerLeaf(t, ca, key)
		for _, s := range []testkit.Signature{{ID: id}, {ID: id, KeyID: true}, {ID: id, PSS: key == "rsa2048"}} {
			for _, wrap := range []func(byte, ...[]byte) []byte{nil, ber} {
				message := testkit.SignedData{Content: signedText, Signs: []testkit.Signature{s}, Wrap: wrap}.Encode(t)
				if err := opensslVerifies(t, write(t, "in", message)); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// opensslVerifies asks OpenSSL about the signature, not about the certificate.
func opensslVerifies(t testing.TB, path string) error {
	_, err := try("openssl", "cms", "-verify", "-noverify", "-binary", "-inform", "DER", "-in", path, "-out", os.DevNull)
	return err
}

// TestMutatedAgainstOpenSSL changes signed messages in hundreds of ways. What
// OpenSSL does not verify must not be verified here, and nothing but with the
// signer's key. (What it cannot parse may be, and what it finds odd in a
// certificate: here that is for those to say who judge certificates.)
func TestMutatedAgainstOpenSSL(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	random := rand.New(rand.NewPCG(1, 2))
	content := []byte("Content-Type: text/plain\r\n\r\nsigned\r\n")
	path := filepath.Join(t.TempDir(), "in")
	var accepted, refused, stricter int
	for _, sign := range []testkit.Signature{
		{ID: signerLeaf(t, ca, "rsa2048")}, {ID: signerLeaf(t, ca, "rsa2048"), PSS: true, KeyID: true}, {ID: signerLeaf(t, ca, "p256")},
	} {
		whole := testkit.SignedData{Content: content, Signs: []testkit.Signature{sign}}.Encode(t)
		for n := range 120 {
			message := mutate(random, whole, n)
			_, by, err := verifySigned(message, nil, len(message))
			ours := err == nil && len(by) > 0
			if err := os.WriteFile(path, message, 0o600); err != nil {
				t.Fatal(err)
			}
			theirs := opensslVerifies(t, path)
			var exit *exec.ExitError
			whole := bytes.Contains(message, sign.ID.Cert.Raw)
			switch cryptographic := errors.As(theirs, &exit) && exit.ExitCode() == 4; {
			case ours && (cryptographic && whole || !bytes.Contains(by[0].RawPublicKey, keyBits(t, sign.ID.Cert))):
				t.Errorf("accepted, and OpenSSL does not: %v\n%x", theirs, message)
			case ours:
				accepted++
			case theirs == nil:
				stricter++
			default:
				refused++
			}
		}
	}
	t.Logf("accepted %d, refused by both %d, by us alone %d", accepted, refused, stricter)
	if accepted == 0 || refused < 180 {
		t.Errorf("accepted %d, refused %d: the changes are not of the right kind", accepted, refused)
	}
}

// keyBits is the key alone: what stands beside it in a SubjectPublicKeyInfo may
// have been changed without making it another key.
func keyBits(t testing.TB, c *x509.Certificate) []byte {
	t.Helper()
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		t.Fatal(err)
	}
	return info.Key.Bytes
}

// mutate changes one octet or bit, or takes out or doubles a piece.
func mutate(random *rand.Rand, message []byte, n int) []byte {
	m := bytes.Clone(message)
	at := random.IntN(len(m))
	switch n % 5 {
	case 0:
		m[at] ^= 1 << random.IntN(8)
	case 1:
		m[at] = byte(random.IntN(256))
	case 2:
		m[len(m)-1-at%400] ^= 1 << random.IntN(8) // the signature and what stands before it
	case 3:
		m[at%200] ^= 1 << random.IntN(8) // the algorithms and the content
	case 4:
		to := min(len(m), at+1+random.IntN(20))
		m = append(m[:at:at], m[to:]...)
	}
	return m
}

// TestOthersSign verifies what GnuPG and NSS sign.
func TestOthersSign(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	id := signerLeaf(t, ca, "rsa2048")
	for name, message := range map[string][]byte{
		"gpgsm":          testkit.GPGSMSign(t, signedText, id, ca),
		"gpgsm detached": testkit.GPGSMSign(t, signedText, id, ca, "--detach-sign"),
		"NSS":            testkit.NSSSign(t, signedText, id, ca),
		"NSS detached":   testkit.NSSSign(t, signedText, id, ca, "-T"),
	} {
		var beside io.Reader
		if strings.HasSuffix(name, "detached") {
			beside = bytes.NewReader(signedText)
		}
		d, by, err := verifySigned(message, beside, 100)
		if err != nil || len(by) != 1 || !bytes.Equal(by[0].Raw, id.Cert.Raw) {
			t.Errorf("%s: %v, %v", name, err, fmt.Sprint(len(by)))
			continue
		}
		if d.Signers[0].SigningTime.IsZero() {
			t.Errorf("%s: no time", name)
		}
	}
}
