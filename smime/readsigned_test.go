package smime

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// verifiedBy reads a message and verifies its signatures.
func verifiedBy(r io.Reader, opts SignedOptions) ([]string, error) {
	m, err := ReadSigned(r, opts)
	if err != nil {
		return nil, err
	}
	var by []string
	for _, s := range m.Signers {
		c, err := m.Verify(s)
		if err != nil {
			return nil, err
		}
		by = append(by, c.Addresses...)
	}
	return by, nil
}

// TestReadSignedOpenSSL reads what `openssl cms` and `openssl smime` make, with
// both kinds of line ends and in pieces.
func TestReadSignedOpenSSL(t *testing.T) {
	id := testkit.NewCA(t).For(t, "a@bank.example")
	entity := []byte("Content-Type: text/plain; charset=utf-8\r\n\r\n  Guthaben: 100 \xe2\x82\xac \t\r\n.\r\n--\r\n\r\n")
	for _, args := range [][]string{{"-sign"}, {"-sign", "-nodetach"}, {"-sign", "-stream"}, {"-sign", "-nodetach", "-stream"}, {"-sign", "-keyid"}, {"-sign", "-md", "sha512"}} {
		if args = append(args, "-binary"); args[1] == "-keyid" {
			id = testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"a@bank.example"}, Change: func(c *x509.Certificate) { c.SubjectKeyId = []byte("key") }})
		}
		message := opensslMessage(t, id, entity, args...)
		for name, r := range map[string]io.Reader{
			"CRLF":   bytes.NewReader(message),
			"LF":     bytes.NewReader(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))),
			"pieces": iotest.OneByteReader(bytes.NewReader(message)),
		} {
			if by, err := verifiedBy(r, SignedOptions{}); err != nil || len(by) != 1 || by[0] != "a@bank.example" {
				t.Errorf("%v, %s: %v, %v", args, name, by, err)
			}
		}
	}
	out, err := exec.Command("openssl", "version").Output()
	t.Logf("%s %v", out, err)
}

// TestReadSigned goes over messages, and what becomes of them.
func TestReadSigned(t *testing.T) {
	id := testkit.NewCA(t).For(t, "a@bank.example")
	entity := []byte("Content-Type: text/plain\r\n\r\ntext\r\n")
	detached := testkit.SignedData{Content: entity, Detached: true, Signs: []testkit.Signature{{ID: id}}}
	opaque := testkit.SignedData{Content: entity, Signs: []testkit.Signature{{ID: id}}}
	mail, opaqueMail := string(detached.Mail(t, smimeFrom)), string(opaque.Mail(t, smimeFrom))
	change := func(s, old, new string) string {
		t.Helper()
		if !strings.Contains(s, old) {
			t.Fatalf("%q is not there to be changed", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	malformed, format := new(*MalformedError), new(*cms.FormatError)
	certsOnly := testkit.SignedData{Detached: true, Certs: [][]byte{id.Cert.Raw}}.Encode(t)
	rfc822 := "Content-Type: message/rfc822\r\n\r\nFrom: b@bank.example\r\nContent-Type: text/plain; hp=clear\r\n\r\nx\r\n"
	inside := testkit.SignedData{Content: []byte(rfc822), Detached: true, Signs: []testkit.Signature{{ID: id}}}
	for _, test := range []struct {
		name, message string
		is            error // nil: good
		as            any
	}{
		{"detached", mail, nil, nil},
		{"opaque", opaqueMail, nil, nil},
		{"old names", change(change(mail, "application/pkcs7-signature\"", "application/x-pkcs7-signature\""), "Type: application/pkcs7-s", "Type: application/x-pkcs7-s"), nil, nil},
		{"opaque, old name, no smime-type", change(change(opaqueMail, "application/pkcs7", "application/x-pkcs7"), "smime-type=signed-data; ", ""), nil, nil},
		{"opaque, binary", change(opaqueMail[:strings.Index(opaqueMail, "\r\n\r\n")+4], "base64", "binary") + string(opaque.Encode(t)), nil, nil},
		{"a From inside", string(inside.Mail(t, smimeFrom)), nil, nil},
		{"certs-only", change(opaqueMail[:strings.Index(opaqueMail, "\r\n\r\n")+4], "signed-data", "certs-only") + base64.StdEncoding.EncodeToString(certsOnly), nil, nil},

		{"not signed", "From: a@bank.example\r\n\r\ntext\r\n", ErrNotSigned, nil},
		{"enveloped", change(opaqueMail, "signed-data", "enveloped-data"), ErrNotSigned, nil},
		{"PGP", change(mail, "pkcs7", "pgp"), ErrNotSigned, nil},
		{"no protocol", change(mail, "protocol=\"application/pkcs7-signature\"; ", ""), ErrNotSigned, nil},
		{"a list's footer", "From: a@bank.example\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + mail + "\r\n--x\r\n\r\nfooter\r\n--x--\r\n", ErrNotSigned, nil},
		{"two Content-Types", change(mail, "MIME-Version", "Content-Type: text/plain\r\nMIME-Version"), nil, malformed},
		{"two boundaries", change(mail, " boundary=", " boundary=x; boundary="), nil, malformed},
		{"boundary in pieces", change(mail, " boundary=\"----between\"", " boundary*0=\"----\"; boundary*1=between"), nil, malformed},
		{"no boundary", change(mail, " boundary=\"----between\"", " charset=utf-8"), nil, malformed},
		{"encoded multipart", change(mail, "MIME-Version", "Content-Transfer-Encoding: base64\r\nMIME-Version"), nil, malformed},
		{"signature of another type", change(mail, "Content-Type: application/pkcs7-signature", "Content-Type: text/plain"), nil, malformed},
		{"signature in another encoding", change(mail, "Encoding: base64", "Encoding: quoted-printable"), nil, malformed},
		{"damaged base64", change(mail, "base64\r\n\r\nMI", "base64\r\n\r\nM*"), nil, malformed},
		{"opaque, damaged base64", change(opaqueMail, "\r\n\r\nMI", "\r\n\r\nM*"), nil, malformed},
		{"opaque, cut", opaqueMail[:strings.Index(opaqueMail, "\r\n\r\n")+4+10*66], nil, format},
		{"detached with a content inside", change(mail, mail[strings.Index(mail, "base64\r\n\r\n")+10:], base64.StdEncoding.EncodeToString(opaque.Encode(t))+"\r\n------between--\r\n"), nil, format},
		{"opaque without content", change(opaqueMail, opaqueMail[strings.Index(opaqueMail, "\r\n\r\n"):], "\r\n\r\n"+base64.StdEncoding.EncodeToString(detached.Encode(t))), cms.ErrDigest, nil},

		{"content changed", change(mail, "text\r\n\r\n", "Text\r\n\r\n"), cms.ErrDigest, nil},
		{"blank added", change(mail, "text\r\n\r\n", "text \r\n\r\n"), cms.ErrDigest, nil},
		{"line added", change(mail, "text\r\n\r\n", "text\r\n\r\n\r\n"), cms.ErrDigest, nil},
		{"part header changed", change(mail, "between\r\nContent-Type: text/plain", "between\r\nContent-Type: text/html"), cms.ErrDigest, nil},
	} {
		_, err := verifiedBy(strings.NewReader(test.message), SignedOptions{})
		switch {
		case test.as != nil:
			if !errors.As(err, test.as) {
				t.Errorf("%s: %v", test.name, err)
			}
		case !errors.Is(err, test.is):
			t.Errorf("%s: %v, want %v", test.name, err, test.is)
		}
		if test.is == nil && test.as == nil {
			// Whoever it seems to be from inside: the outer header counts.
			m, err := ReadSigned(strings.NewReader(test.message), SignedOptions{})
			if err != nil {
				continue
			}
			if a, err := From(m.Header); err != nil || a.String() != "a@bank.example" {
				t.Errorf("%s: %v, %v", test.name, a, err)
			}
		}
	}
	if _, err := ReadSigned(strings.NewReader(mail), SignedOptions{MaxSize: 1000}); !errors.Is(err, ErrSignedTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := verifiedBy(strings.NewReader(mail), SignedOptions{MaxSize: int64(len(mail))}); err != nil {
		t.Errorf("just not too large: %v", err)
	}
	if _, err := ReadSigned(iotest.TimeoutReader(iotest.HalfReader(strings.NewReader(mail))), SignedOptions{}); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("an error of the reader became %v", err)
	}
}

// TestReadSignedMemory reads 100 MB in a few.
func TestReadSignedMemory(t *testing.T) {
	id := testkit.NewCA(t).For(t, "a@bank.example")
	mail := string(testkit.SignedData{Content: []byte("x"), Detached: true, Signs: []testkit.Signature{{ID: id}}}.Mail(t, smimeFrom))
	head, tail, _ := strings.Cut(mail, "\r\nx\r\n")
	line := strings.Repeat("y", 1022) + "\r\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := verifiedBy(io.MultiReader(strings.NewReader(head+"\r\n"), io.LimitReader(repeated(line), 100<<20), strings.NewReader("z\r\n"+tail)), SignedOptions{})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, cms.ErrDigest) {
		t.Error(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d octets of memory", used)
	}
}

func TestClaimsSigned(t *testing.T) {
	for value, want := range map[string]bool{
		"multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b":         true,
		"multipart/signed; protocol=\"application/x-pkcs7-signature\"; boundary=b":       true,
		"multipart/signed; protocol=\"application/pgp-signature\"; boundary=b":           false,
		"application/pkcs7-mime; smime-type=signed-data":                                 true,
		"application/x-pkcs7-mime; smime-type=Signed-Data":                               true,
		"application/pkcs7-mime; smime-type=enveloped-data":                              false,
		"application/pkcs7-mime":                                                         false,
		"text/plain":                                                                     false,
		"multipart/signed; protocol":                                                     false,
		"multipart/mixed; protocol=\"application/pkcs7-signature\"; boundary=\"signed\"": false,
	} {
		m, err := ReadMessage(strings.NewReader("Content-Type: "+value+"\r\n\r\n"), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := ClaimsSigned(m.Header); got != want {
			t.Errorf("%s: %v", value, got)
		}
	}
}
