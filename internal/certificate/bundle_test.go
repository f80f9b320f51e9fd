package certificate_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// ber is one element of indefinite length.
func ber(tag byte, content ...[]byte) []byte {
	return append(append([]byte{tag, 0x80}, bytes.Join(content, nil)...), 0, 0)
}

// certsOnly is a SignedData without signatures, its outer elements made by wrap.
func certsOnly(t testing.TB, wrap func(tag byte, content ...[]byte) []byte, certs ...[]byte) []byte {
	return wrap(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 7, 2), wrap(0xa0, wrap(0x30,
		testkit.TLV(2, []byte{1}), wrap(0x31), wrap(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 7, 1)),
		wrap(0xa0, certs...), wrap(0x31))))
}

func block(kind string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
}

func TestParseAll(t *testing.T) {
	ca := testkit.NewCA(t)
	anna, bob := ca.For(t, "anna@example.org"), ca.For(t, "bob@example.org")
	a, b := anna.Cert.Raw, bob.Cert.Raw
	text := []byte("Bag Attributes\n    friendlyName: Anna -----BEGIN nothing\n")
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	attribute := testkit.TLV(0xa2, []byte("an attribute certificate"))

	for _, test := range []struct {
		name string
		data []byte
		want [][]byte
		err  error
	}{
		{"DER", a, [][]byte{a}, nil},
		{"PEM", anna.CertPEM, [][]byte{a}, nil},
		{"PEM, two with text around", join(text, anna.CertPEM, text, bob.CertPEM, text), [][]byte{a, b}, nil},
		{"PEM with CRLF and a byte order mark", join([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(anna.CertPEM, []byte("\n"), []byte("\r\n"))), [][]byte{a}, nil},
		{"OpenSSL's trusted certificate", block("TRUSTED CERTIFICATE", join(a, testkit.TLV(0x30))), [][]byte{a}, nil},
		{"PKCS #7, DER", certsOnly(t, testkit.TLV, a, attribute, b), [][]byte{a, b}, nil},
		{"PKCS #7, BER", certsOnly(t, ber, a, b), [][]byte{a, b}, nil},
		{"PKCS #7, PEM", block("PKCS7", certsOnly(t, ber, a)), [][]byte{a}, nil},
		{"other blocks", join(block("X509 CRL", []byte{1}), anna.CertPEM), [][]byte{a}, nil},

		{"private key beside it", join(anna.KeyPEM, anna.CertPEM), [][]byte{a}, certificate.ErrPrivateKey},
		{"private key alone", anna.KeyPEM, nil, certificate.ErrPrivateKey},
		{"second one cut short", join(anna.CertPEM, bob.CertPEM[:len(bob.CertPEM)/2]), [][]byte{a}, certificate.ErrTruncated},
		{"first one cut short", join(anna.CertPEM[:len(anna.CertPEM)/2], []byte("\n"), bob.CertPEM), [][]byte{b}, certificate.ErrTruncated},
		{"damaged base64", bytes.Replace(anna.CertPEM, []byte("MII"), []byte("M*I"), 1), nil, certificate.ErrTruncated},
		{"damaged certificate inside", join(block("CERTIFICATE", a[:50]), bob.CertPEM), [][]byte{b}, certificate.ErrMalformed},
		{"DER cut short", a[:len(a)-1], nil, certificate.ErrMalformed},
		{"PKCS #7 cut short", certsOnly(t, ber, a, b)[:200], nil, certificate.ErrMalformed},
		{"PKCS #7 without certificates", certsOnly(t, testkit.TLV), nil, certificate.ErrNone},
		{"nothing", nil, nil, certificate.ErrNone},
		{"HTML", []byte("<!doctype html><title>Sign in</title>"), nil, certificate.ErrNone},
		{"too many", bytes.Repeat(anna.CertPEM, certificate.MaxCount+1), nil, certificate.ErrTooMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := certificate.ParseAll(test.data)
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if test.err == certificate.ErrTooMany {
				if len(got) != certificate.MaxCount {
					t.Errorf("%d certificates", len(got))
				}
				return
			}
			if len(got) != len(test.want) {
				t.Fatalf("%d certificates, want %d", len(got), len(test.want))
			}
			for i := range got {
				if !bytes.Equal(got[i].Raw, test.want[i]) {
					t.Errorf("certificate %d is another one", i)
				}
			}
		})
	}
}

func TestParseAllReadsOpenSSL(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	dir := t.TempDir()
	cert, _ := ca.For(t, "anna@example.org").WriteFiles(t, dir, "anna")
	for _, form := range []string{"DER", "PEM"} {
		out := filepath.Join(dir, form)
		cmd := exec.Command("openssl", "crl2pkcs7", "-nocrl", "-certfile", cert, "-outform", form, "-out", out)
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, msg)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := certificate.ParseAll(data); err != nil || len(got) != 1 {
			t.Errorf("%s: %d certificates, %v", form, len(got), err)
		}
	}
}

// Deep and hostile nesting must not cost more than its length.
func TestParseAllNesting(t *testing.T) {
	deep := append(testkit.OID(t, 1, 2, 840, 113549, 1, 7, 2), bytes.Repeat([]byte{0xa0, 0x80}, 1<<19)...)
	for name, data := range map[string][]byte{
		"indefinite elements":       append([]byte{0x30, 0x80}, deep...),
		"PEM begun again and again": bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), 1<<15),
	} {
		if got, err := certificate.ParseAll(data); err == nil || len(got) > 0 {
			t.Errorf("%s: %d certificates, %v", name, len(got), err)
		}
	}
}
