package cms

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mozilla.org/pkcs7"

	"sealpost/internal/testkit"
)

// A reader is somebody else's implementation.
type reader struct {
	name string
	open func(t testing.TB, message []byte, id *testkit.Identity) ([]byte, error)
	must func(combination) bool // what it has to read; the rest is only reported
	skip func(combination) bool // what it must not even be asked
}

// A combination is one way to seal.
type combination struct {
	kind   string
	opts   KeyOptions
	cipher Cipher
	stream bool
}

func (c combination) String() string {
	key := map[bool]string{false: c.kind, true: c.kind + " OAEP"}[c.opts.OAEP]
	if c.kind[0] == 'p' {
		key += " " + c.opts.KDF.String() + "kdf"
	}
	return fmt.Sprintf("%s, %v, %s", key, c.cipher, map[bool]string{false: "DER", true: "BER"}[c.stream])
}

func (c combination) basic() bool { return c.kind == "rsa2048" && !c.opts.OAEP && !c.cipher.AEAD() }

// variant tells combinations that differ from another only in what decides
// nothing for a reader that lacks the algorithm.
func (c combination) variant() bool {
	return c.stream || c.cipher == AES128CBC || c.cipher == AES128GCM || c.opts.KDF != KDFSHA1
}

// readers are OpenSSL 3.0, NSS 3.87, GnuPG 2.2 on Debian 12, and a Go module. Of
// those only OpenSSL reads anything but RSA PKCS#1 v1.5 with CBC. gpgsm 2.2 is not
// asked about keys other than RSA: it crashes when one is imported.
var readers = []reader{
	{"OpenSSL", testkit.OpenSSLTry, func(c combination) bool { return c.kind != "x25519" }, nil},
	{"NSS", testkit.NSSTry, combination.basic, nil},
	{"gpgsm", testkit.GPGSMTry, combination.basic, func(c combination) bool { return c.kind != "rsa2048" }},
	{"pkcs7", pkcs7Open, func(c combination) bool { return c.basic() && !c.stream }, func(c combination) bool { return !c.basic() }},
}

func pkcs7Open(_ testing.TB, message []byte, id *testkit.Identity) ([]byte, error) {
	p7, err := pkcs7.Parse(message)
	if err != nil {
		return nil, err
	}
	return p7.Decrypt(id.Cert, crypto.PrivateKey(id.Key))
}

func combinations() []combination {
	var all []combination
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521", "x25519"} {
		options := []KeyOptions{{}, {KDF: KDFSHA256}}
		switch kind {
		case "rsa2048":
			options = []KeyOptions{{}, {OAEP: true}}
		case "x25519":
			options = options[:1]
		}
		for _, opts := range options {
			for _, c := range ciphers {
				all = append(all, combination{kind, opts, c, false}, combination{kind, opts, c, true})
			}
		}
	}
	return all
}

// TestReaders seals in every way and hands the result to every reader. The log
// is a table of who reads what.
func TestReaders(t *testing.T) {
	t.Parallel()
	plaintext := []byte("Content-Type: text/plain\r\n\r\nSEALPOST-CANARY\r\n")
	identities := map[string]*testkit.Identity{}
	for _, c := range combinations() {
		if identities[c.kind] == nil {
			identities[c.kind], _ = issue(t, c.kind)
		}
	}
	var table strings.Builder
	for _, c := range combinations() {
		id := identities[c.kind]
		message := c.seal(t, plaintext, id)
		fmt.Fprintf(&table, "| %s ", c)
		for _, r := range readers {
			if r.skip != nil && r.skip(c) || !r.must(c) && c.variant() {
				table.WriteString("| - ")
				continue
			}
			got, err := r.open(t, message, id)
			reads := err == nil && bytes.Equal(got, plaintext)
			if !reads && r.must(c) {
				t.Errorf("%s does not read %v: %v", r.name, c, err)
			}
			if !reads && c.kind != "x25519" {
				if _, err := r.open(t, c.sealWithOpenSSL(t, plaintext, id), id); err == nil {
					t.Errorf("%s reads %v from OpenSSL, but not ours", r.name, c)
				}
			}
			fmt.Fprintf(&table, "| %s ", map[bool]string{true: "yes", false: "no"}[reads])
		}
		table.WriteString("|\n")
	}
	t.Logf("\n| sealed as | OpenSSL | NSS | gpgsm | pkcs7 |\n|---|---|---|---|---|\n%s", table.String())
}

func (c combination) seal(t testing.TB, plaintext []byte, id *testkit.Identity) []byte {
	t.Helper()
	to := recipient(t, parse(t, id), c.opts)
	if c.stream {
		return sealStream(t, c.cipher, plaintext, to)
	}
	return seal(t, c.cipher, plaintext, to)
}

// sealWithOpenSSL does the same with OpenSSL: a reader that refuses this too
// lacks the algorithm.
func (c combination) sealWithOpenSSL(t testing.TB, plaintext []byte, id *testkit.Identity) []byte {
	t.Helper()
	dir := t.TempDir()
	certFile, _ := id.WriteFiles(t, dir, "to")
	args := []string{"cms", "-encrypt", "-binary", "-outform", "DER", "-in", write(t, "in", plaintext), "-" + c.cipher.String(), "-recip", certFile}
	switch {
	case c.opts.OAEP:
		args = append(args, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
	case c.kind[0] == 'p':
		args = append(args, "-keyopt", "ecdh_kdf_md:"+c.opts.KDF.String())
	}
	return run(t, "openssl", args...)
}

// TestX25519AgainstPrimitives opens a message with OpenSSL's primitives, step by
// step after RFC 8418, because no reader at hand knows X25519 in CMS.
func TestX25519AgainstPrimitives(t *testing.T) {
	testkit.Need(t, "openssl")
	plaintext := []byte("SEALPOST-CANARY for nobody else")
	id, cert := issue(t, "x25519")
	m, err := readMessage(bytes.NewReader(seal(t, AES256CBC, plaintext, recipient(t, cert, KeyOptions{}))), 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, keyFile := id.WriteFiles(t, dir, "anna")
	peer := filepath.Join(dir, "peer")
	spki := append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00}, m.recipients[0].ephemeral.point...)
	if err := os.WriteFile(peer, spki, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := run(t, "openssl", "pkeyutl", "-derive", "-inkey", keyFile, "-peerkey", peer, "-peerform", "DER")
	// ECC-CMS-SharedInfo: id-aes256-wrap without parameters, and 256 bits.
	const info = "3015" + "300b060960864801650304012d" + "a20604040000" + "0100"
	kek := run(t, "openssl", "kdf", "-binary", "-keylen", "32", "-kdfopt", "digest:SHA256",
		"-kdfopt", "hexkey:"+hex.EncodeToString(secret), "-kdfopt", "hexinfo:"+info, "HKDF")
	wrapped := write(t, "wrapped", m.recipients[0].keys[0].encrypted)
	cek := run(t, "openssl", "enc", "-d", "-id-aes256-wrap", "-K", hex.EncodeToString(kek), "-iv", "a6a6a6a6a6a6a6a6", "-in", wrapped)
	ciphertext := write(t, "ciphertext", m.ciphertext)
	got := run(t, "openssl", "enc", "-d", "-aes-256-cbc", "-K", hex.EncodeToString(cek), "-iv", hex.EncodeToString(m.cipher.iv), "-in", ciphertext)
	if !bytes.Equal(got, plaintext) {
		t.Errorf("opened to %q", got)
	}
}

// TestOpensTheirNSS opens what NSS writes.
func TestOpensTheirNSS(t *testing.T) {
	testkit.Need(t, "certutil", "cmsutil")
	plaintext := []byte("Content-Type: text/plain\r\n\r\nfrom NSS\r\n")
	id, cert := issue(t, "rsa2048")
	dir := t.TempDir()
	certFile, _ := id.WriteFiles(t, dir, "anna")
	in := write(t, "in", plaintext)
	run(t, "certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	run(t, "certutil", "-A", "-d", "sql:"+dir, "-n", "anna", "-t", "TP,TP,TP", "-a", "-i", certFile)
	message, err := try("cmsutil", "-E", "-d", "sql:"+dir, "-r", "anna@example.org", "-i", in)
	if err != nil {
		t.Fatal(err)
	}
	if got := open(t, message, id, cert); !bytes.Equal(got, plaintext) {
		t.Errorf("opened to %q", got)
	}
}

// TestRefusedForAnother makes sure that the readers' agreement means something.
func TestRefusedForAnother(t *testing.T) {
	id, cert := issue(t, "rsa2048")
	_, other := issue(t, "rsa2048")
	message := seal(t, AES256CBC, []byte("for another"), recipient(t, other, KeyOptions{}))
	if _, err := testkit.OpenSSLTry(t, message, id); err == nil {
		t.Error("OpenSSL opens what is for another")
	}
	_, err := Open(bytes.NewReader(message), OpenOptions{Certificate: cert, Key: id.Key})
	if !errors.Is(err, ErrNoRecipient) {
		t.Errorf("Open: %v", err)
	}
}
