package cms

import (
	"bytes"
	"encoding/pem"
	"errors"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// What lookup calls usable can be sealed to, and the holder opens it with
// OpenSSL; what it refuses for its key cannot be sealed to. testkit's collection
// says which is which, and lookup's tests that it is so.
func TestSpecimens(t *testing.T) {
	testkit.Need(t, "openssl")
	_, all := testkit.Specimens(t)
	opened := 0
	for _, s := range all {
		t.Run(s.Theme+"/"+s.Name+s.Allow, func(t *testing.T) {
			cert, err := certificate.Parse(s.Certs[0])
			if err != nil {
				t.Fatal(err)
			}
			to, err := NewRecipient(cert, KeyOptions{})
			var unfit *KeyError
			switch usable := s.PKI == reason.None || s.Source == reason.None; {
			case s.PKI == reason.CertificateKeyKind:
				if !errors.As(err, &unfit) {
					t.Errorf("it is no key to seal to, but: %v", err)
				}
			case err != nil && usable:
				t.Error(err)
			case usable:
				opened++
				openSpecimen(t, s, to)
			}
		})
	}
	if opened < 60 {
		t.Errorf("only %d specimens were opened", opened)
	}
}

func openSpecimen(t *testing.T, s testkit.Specimen, to Recipient) {
	t.Helper()
	plaintext := []byte("Content-Type: text/plain\r\n\r\nYour statement\r\n")
	message := seal(t, AES256CBC, plaintext, to)
	if s.Unread != "" {
		return // for X25519 there is TestX25519AgainstPrimitives
	}
	id := &testkit.Identity{CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certs[0]}), KeyPEM: s.Key}
	certFile, keyFile := id.WriteFiles(t, t.TempDir(), "reader")
	got, err := try("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", write(t, "p7m", message), "-recip", certFile, "-inkey", keyFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, plaintext) {
		t.Errorf("opened to %q", got)
	}
}
