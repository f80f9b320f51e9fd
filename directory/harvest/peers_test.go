package harvest

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// run calls a program that must succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// opensslMail has OpenSSL make a whole mail, with the line ends it likes.
func opensslMail(t *testing.T, command string, id *testkit.Identity, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	cert, key := id.WriteFiles(t, dir, "id")
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte("hello from OpenSSL\nFrom the beginning\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "openssl", append([]string{command, "-sign", "-text", "-in", in, "-out", out, "-signer", cert, "-inkey", key,
		"-from", "Anna <anna@example.org>", "-to", "b@bank.example", "-subject", "hello"}, args...)...)
	mail, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return mail
}

// TestRealSigners learns from mails that OpenSSL, GnuPG and NSS signed.
func TestRealSigners(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	w := newWorld(t)
	middle := w.ca.Intermediate(t, nil)
	leaf := testkit.Leaf{Addresses: []string{anna}, Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte("anna") }}
	id, chain := middle.Issue(t, leaf), filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(chain, middle.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"cms"}, {"smime"}, {"cms", "-nodetach"}, {"smime", "-nodetach"}, {"cms", "-keyid"}, {"cms", "-md", "sha384"}, {"smime", "-md", "sha512"},
		{"cms", "-keyopt", "rsa_padding_mode:pss"}, {"cms", "-nodetach", "-stream"},
	} {
		mail := opensslMail(t, args[0], id, append(args[1:], "-certfile", chain)...)
		l := w.learns(strings.Join(args, " "), mail, id.Cert)
		if len(l.Capabilities) == 0 || len(l.Chain) != 1 {
			t.Errorf("%v: %v, %d", args, l.Capabilities, len(l.Chain))
		}
	}
	direct := w.ca.Issue(t, leaf)
	w.refuses("SHA-1", opensslMail(t, "cms", id, "-md", "sha1"), reason.SignatureWeak)
	w.refuses("no certificates", opensslMail(t, "cms", id, "-nocerts"), reason.SignerMissing)
	w.refuses("no attributes", opensslMail(t, "cms", direct, "-noattr"), reason.SignatureTime)
	for name, signed := range map[string][]byte{
		"gpgsm":          testkit.GPGSMSign(t, entity, direct, w.ca),
		"gpgsm detached": testkit.GPGSMSign(t, entity, direct, w.ca, "--detach-sign"),
		"NSS":            testkit.NSSSign(t, entity, direct, w.ca),
		"NSS detached":   testkit.NSSSign(t, entity, direct, w.ca, "-T"),
	} {
		w.learns(name, asMail(signed, strings.HasSuffix(name, "detached")), direct.Cert)
	}
}

// asMail makes a mail of what signed entity.
func asMail(signed []byte, detached bool) []byte {
	text := base64.StdEncoding.EncodeToString(signed) + "\r\n"
	if !detached {
		return []byte(header + "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n" + text)
	}
	return []byte(header + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b\r\n" + string(entity) +
		"\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n" + text + "--b--\r\n")
}

// TestMutatedAgainstOpenSSL changes signed mails in hundreds of ways: whatever
// OpenSSL rejects teaches nothing.
func TestMutatedAgainstOpenSSL(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	w := newWorld(t)
	dir := t.TempDir()
	root, in := filepath.Join(dir, "root.pem"), filepath.Join(dir, "in")
	if err := os.WriteFile(root, w.ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	id := w.ca.For(t, anna)
	opaque := testkit.SignedData{Content: entity, Signs: by(id)}
	learned, refused := 0, 0
	for _, whole := range [][]byte{w.mail(by(id)), opaque.Mail(t, header)} {
		for n := range 200 {
			message := mutate(random, whole, n)
			l, ours := w.read(message)
			if ours == nil && (l.Address.String() != anna || !bytes.Equal(l.Certificate.Raw, id.Cert.Raw)) {
				t.Errorf("learned %v for %v out of\n%s", l.Certificate.Subject, l.Address, message)
			}
			if ours != nil {
				refused++
				continue
			}
			learned++
			if err := os.WriteFile(in, message, 0o600); err != nil {
				t.Fatal(err)
			}
			theirs := exec.Command("openssl", "cms", "-verify", "-in", in, "-CAfile", root, "-out", os.DevNull).Run()
			var exit *exec.ExitError
			if errors.As(theirs, &exit) && exit.ExitCode() == 4 {
				t.Errorf("OpenSSL rejects what was learned from:\n%s", message)
			}
		}
	}
	t.Logf("learned %d, refused %d", learned, refused)
	if learned < 20 || refused < 200 {
		t.Error("the changes are not of the right kind")
	}
}

// mutate changes characters, doubles, swaps or takes out lines.
func mutate(random *rand.Rand, message []byte, n int) []byte {
	m := bytes.Clone(message)
	at := random.IntN(len(m))
	lines := bytes.SplitAfter(m, []byte("\n"))
	i := random.IntN(len(lines))
	switch n % 5 {
	case 0:
		m[at] ^= 1 << random.IntN(8)
		return m
	case 1:
		m[at%1200] = byte(random.IntN(256)) // header and content
		return m
	case 2:
		lines[i] = nil
	case 3:
		lines[i] = append(bytes.Clone(lines[i]), lines[random.IntN(len(lines))]...)
	case 4:
		j := random.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
	}
	return bytes.Join(lines, nil)
}

// FuzzRead: whatever the message, nothing is learned but the one certificate of
// the one signer, for his address.
func FuzzRead(f *testing.F) {
	ca := testkit.NewCA(f)
	id := ca.Issue(f, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	eve := ca.Issue(f, testkit.Leaf{Addresses: []string{"eve@example.org"}, Key: "p256"})
	for _, d := range []testkit.SignedData{{Detached: true}, {}, {Certs: [][]byte{eve.Cert.Raw, id.Cert.Raw}}} {
		d.Content, d.Signs = entity, by(id)
		f.Add(d.Mail(f, header))
	}
	h, err := New(Options{Trust: trusting(ca)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		l, err := h.Read(t.Context(), bytes.NewReader(message))
		if err != nil {
			if no := (*Refusal)(nil); !errors.As(err, &no) || no.Reason == reason.None || l.Certificate != nil {
				t.Errorf("%v, %+v", err, l)
			}
			return
		}
		if l.Address.String() != anna || !bytes.Equal(l.Certificate.Raw, id.Cert.Raw) {
			t.Errorf("%v: %s", l.Address, l.Certificate.Subject)
		}
	})
}
