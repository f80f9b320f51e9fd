package cms

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// run calls a program and gives what it writes; the test fails when it does.
func run(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	out, err := try(program, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// plaintexts are what readers get to open: a mail with 8-bit octets, nothing, and
// more than one chunk.
func plaintexts() map[string][]byte {
	return map[string][]byte{
		"mail":  []byte("Content-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe, SEALPOST-CANARY\r\n"),
		"empty": {},
		"large": noise(200_001),
	}
}

// TestOpenSSLOpens has OpenSSL open everything that is written. OpenSSL knows no
// X25519 in CMS, up to 3.5 at least: see TestX25519AgainstPrimitives.
func TestOpenSSLOpens(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521"} {
		id, cert := issue(t, kind)
		certFile, keyFile := id.WriteFiles(t, t.TempDir(), "anna")
		opens := func(name string, message, plaintext []byte) {
			t.Run(name, func(t *testing.T) {
				got := run(t, "openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", write(t, "p7m", message), "-recip", certFile, "-inkey", keyFile)
				if !bytes.Equal(got, plaintext) {
					t.Errorf("opened to %d other octets", len(got))
				}
			})
		}
		options := []KeyOptions{{}, {KDF: KDFSHA256}, {KDF: KDFSHA384}, {KDF: KDFSHA512}}
		if kind == "rsa2048" {
			options = []KeyOptions{{}, {OAEP: true}}
		}
		for i, opts := range options {
			to := recipient(t, cert, opts)
			for _, c := range ciphers {
				for size, plaintext := range plaintexts() {
					if i > 0 && (size != "mail" || c == AES128CBC || c == AES256GCM) {
						continue // how the key is protected and what is encrypted are independent
					}
					name := fmt.Sprintf("%s/%v/oaep=%v,kdf=%v/%s/", kind, c, opts.OAEP, opts.KDF, size)
					opens(name+"DER", seal(t, c, plaintext, to), plaintext)
					opens(name+"BER", sealStream(t, c, plaintext, to), plaintext)
				}
			}
		}
	}
}

// TestOpensOpenSSL opens everything that OpenSSL writes for the keys it knows.
func TestOpensOpenSSL(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "openssl")
	keyOptions := map[string][][]string{
		"rsa2048": {
			nil,
			{"-keyopt", "rsa_padding_mode:oaep"},
			{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"},
			{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512", "-keyopt", "rsa_mgf1_md:sha256"},
			{"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_label:00ff10"},
		},
		"p256": {nil, {"-keyopt", "ecdh_kdf_md:sha256"}, {"-aes192-wrap"}, {"-keyopt", "ecdh_cofactor_mode:1"}},
		"p384": {nil, {"-keyopt", "ecdh_kdf_md:sha384"}, {"-keyopt", "ecdh_kdf_md:sha224"}},
		"p521": {nil, {"-keyopt", "ecdh_kdf_md:sha512"}},
	}
	for kind, options := range keyOptions {
		id, cert := issue(t, kind)
		certFile, _ := id.WriteFiles(t, t.TempDir(), "anna")
		for i, opts := range options {
			for size, plaintext := range plaintexts() {
				in := write(t, "in", plaintext)
				for _, cipher := range []string{"-aes128", "-aes192", "-aes256", "-des3", "-aes-128-gcm", "-aes-192-gcm", "-aes-256-gcm"} {
					if cipher == "-des3" && kind != "rsa2048" {
						continue // Triple-DES key wrap is not read
					}
					if i > 0 && (size != "mail" || cipher != "-aes128" && cipher != "-aes-256-gcm") {
						continue // how the key is protected and what is encrypted are independent
					}
					for _, form := range [][]string{nil, {"-stream"}, {"-keyid"}} {
						if size == "empty" && form != nil {
							continue // OpenSSL cannot stream nothing with GCM
						}
						name := strings.Join(append([]string{kind, cipher, size}, append(opts, form...)...), " ")
						t.Run(name, func(t *testing.T) {
							args := append([]string{"cms", "-encrypt", "-binary", "-outform", "DER", "-in", in, cipher}, form...)
							args = append(args, "-recip", certFile)
							message := run(t, "openssl", append(args, opts...)...)
							if got := open(t, message, id, cert); !bytes.Equal(got, plaintext) {
								t.Errorf("opened to %d other octets", len(got))
							}
							if _, err := validate(message, len(message)); err != nil && len(plaintext) > 0 {
								t.Errorf("not accepted as encrypted: %v", err)
							}
						})
					}
				}
			}
		}
	}
}
