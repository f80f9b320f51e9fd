package smime

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// prove gives the verdict on a whole message, and makes sure that it does not
// depend on the pieces in which the body comes.
func prove(t testing.TB, raw []byte) (*Protected, error) {
	t.Helper()
	var first *Protected
	var firstErr error
	for i, piece := range []int{len(raw) + 1, 1, 7, 1000} {
		m, err := ReadMessage(bytes.NewReader(raw), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		p := NewProof(m.Header)
		n, err := io.CopyBuffer(writerOnly{p}, readerOnly{m.Body}, make([]byte, piece))
		if err != nil {
			t.Fatalf("writing to a Proof failed: %v", err)
		}
		protected, err := p.Close()
		if i == 0 {
			first, firstErr = protected, err
		}
		if (err == nil) != (firstErr == nil) {
			t.Fatalf("whole: %v; in pieces of %d: %v", firstErr, piece, err)
		}
		if protected.Valid() != (err == nil) || err == nil && protected.BodySize() != n {
			t.Fatalf("%+v with %v", protected, err)
		}
	}
	return first, firstErr
}

type readerOnly struct{ io.Reader }

const smimeHeader = "From: a@bank.example\r\nTo: anna@example.org\r\nMIME-Version: 1.0\r\n"

// withBody is a message with these Content-* fields.
func withBody(contentType, encoding, body string) []byte {
	raw := smimeHeader + "Content-Type: " + contentType + "\r\n"
	if encoding != "" {
		raw += "Content-Transfer-Encoding: " + encoding + "\r\n"
	}
	return []byte(raw + "\r\n" + body)
}

// sealedDER is the CMS of a message that was sealed.
func sealedDER(t testing.TB, c cms.Cipher) []byte {
	t.Helper()
	return testkit.CMS(t, copyFor(t, seal(t, message(5000), SealOptions{}, Target{c, &memory{}})[0], anna(t).to))
}

func TestClaims(t *testing.T) {
	for contentType, want := range map[string]Claim{
		"application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m":       EnvelopedSMIME,
		"application/x-pkcs7-mime;\r\n\tname=smime.p7m":                           EnvelopedSMIME,
		"APPLICATION/PKCS7-MIME; SMIME-TYPE=\"Enveloped-Data\"":                   EnvelopedSMIME,
		"application/pkcs7-mime; smime-type=AuthEnveloped-data":                   EnvelopedSMIME,
		"application/pkcs7-mime; smime-type=signed-data":                          None,
		"application/pkcs7-mime; smime-type=certs-only":                           None,
		"application/pkcs7-mime; smime-type=compressed-data":                      None,
		"application/pkcs7-mime; smime-type=enveloped-data; smime-type=x":         None,
		"application/pkcs7-signature":                                             None,
		"multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=x":    None,
		"multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b": PGPMIME,
		"Multipart/Encrypted; Protocol=application/PGP-encrypted; boundary=b":     None, // "/" must be quoted
		"multipart/Encrypted; PROTOCOL=\"Application/PGP-Encrypted\"; boundary=b": PGPMIME,
		"multipart/encrypted; protocol=\"application/pgp-encrypted\"":             None,
		"multipart/encrypted; protocol=\"application/x\"; boundary=b":             None,
		"text/plain": None,
		"":           None,
		"text":       None,
	} {
		m, _, err := split(t, string(withBody(contentType, "", "")), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := Claims(m.Header); got != want {
			t.Errorf("%s: %v, want %v", contentType, got, want)
		}
	}
}

func TestProofOfSMIME(t *testing.T) {
	const enveloped = "application/pkcs7-mime; smime-type=enveloped-data"
	der := sealedDER(t, cms.AES256CBC)
	gcm := sealedDER(t, cms.AES128GCM)
	text := base64.StdEncoding.EncodeToString(der)
	lines := string(inLines(nil, der))
	for name, raw := range map[string][]byte{
		"lines":            withBody(enveloped, "base64", lines),
		"one line":         withBody(enveloped, "BASE64", text),
		"blanks":           withBody(enveloped, "base64", "\r\n \t"+text[:9]+" \r\n\r\n"+text[9:]+"\r\n\r\n"),
		"no smime-type":    withBody("application/x-pkcs7-mime; name=smime.p7m", "base64", lines),
		"GCM":              withBody("application/pkcs7-mime; smime-type=authEnveloped-data", "base64", string(inLines(nil, gcm))),
		"binary":           withBody(enveloped, "binary", string(der)),
		"8bit and newline": withBody(enveloped, "8bit", string(der)+"\r\n"),
	} {
		if p, err := prove(t, raw); err != nil || p.Claim() != EnvelopedSMIME {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, raw := range map[string][]byte{
		"cleartext":            withBody(enveloped, "base64", "the statement\r\n"),
		"cleartext as base64":  withBody(enveloped, "base64", string(inLines(nil, message(5000)))),
		"nothing":              withBody(enveloped, "base64", ""),
		"cut":                  withBody(enveloped, "base64", lines[:len(lines)/2]),
		"cut within a quantum": withBody(enveloped, "base64", text[:len(text)-1]),
		"a footer":             withBody(enveloped, "base64", lines+"-- \r\nThis list is public.\r\n"),
		"a footer of letters":  withBody(enveloped, "base64", lines+"ThisListIsPublic\r\n"),
		"text before":          withBody(enveloped, "base64", "Your PIN: 1234\r\n\r\n"+lines),
		"padding within":       withBody(enveloped, "base64", "MII=\r\n"+lines),
		"twice":                withBody(enveloped, "base64", lines+lines),
		"bytes behind it":      withBody(enveloped, "base64", string(inLines(nil, append(bytes.Clone(der), "text"...)))),
		"an odd character":     withBody(enveloped, "base64", strings.Replace(lines, "\r\n", "-\r\n", 1)),
		"URL alphabet":         withBody(enveloped, "base64", strings.ReplaceAll(lines, "+", "-")+"_"),
		"quoted-printable":     withBody(enveloped, "quoted-printable", lines),
		"7bit":                 withBody(enveloped, "", string(der)),
		"two newlines":         withBody(enveloped, "binary", string(der)+"\r\n\r\n"),
		"base64 called binary": withBody(enveloped, "binary", lines),
		"another type":         withBody("text/plain", "base64", lines),
		"signed-data":          withBody("application/pkcs7-mime; smime-type=signed-data", "base64", lines),
	} {
		if _, err := prove(t, raw); err == nil {
			t.Errorf("%s: taken for encrypted", name)
		}
	}
}

// TestProofOfOpenSSL: what OpenSSL makes is seen for what it is.
func TestProofOfOpenSSL(t *testing.T) {
	ca := testkit.NewCA(t)
	id := ca.For(t, "anna@example.org")
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"-encrypt", "-aes256"}, true},
		{[]string{"-encrypt", "-aes256", "-stream"}, true},
		{[]string{"-encrypt", "-aes-128-gcm"}, true},
		{[]string{"-sign", "-nodetach"}, false},
		{[]string{"-sign"}, false},
	} {
		m := opensslMessage(t, id, message(5000), c.args...)
		if _, err := prove(t, m); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.args, err)
		}
		if c.args[0] == "-encrypt" {
			reader := readerOf(t, id)
			if got := reader.open(t, m); !bytes.Contains(got, []byte("statement line")) {
				t.Errorf("%v: opened to %.100q", c.args, got)
			}
		}
	}
}

func TestProofOfPGPMIME(t *testing.T) {
	paths, err := filepath.Glob("testdata/protected/*.eml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no messages: %v", err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := prove(t, raw); err != nil || p.Claim() != PGPMIME {
			t.Errorf("%s: %v", path, err)
		}
	}
	small, err := os.ReadFile("testdata/protected/pgp-small.eml")
	if err != nil {
		t.Fatal(err)
	}
	const part = "--xJ7kq\r\nContent-Type: text/plain\r\n\r\nin the clear\r\n"
	const end, begin = "-----END PGP MESSAGE-----\r\n", "-----BEGIN PGP MESSAGE-----\r\n"
	for name, c := range map[string]struct {
		old, new string
		ok       bool
	}{
		"blanks all around":    {"--xJ7kq--\r\n", " \r\n--xJ7kq-- \r\n\t\r\n", true},
		"no final newline":     {"--xJ7kq--\r\n", "--xJ7kq--", true},
		"armor header":         {begin, begin + "Version: GnuPG v2\r\nComment: none\r\n", true},
		"lower-case version":   {"Version: 1", "version:1 ", true},
		"preamble":             {"\r\n\r\n--xJ7kq\r\n", "\r\n\r\nin the clear\r\n--xJ7kq\r\n", false},
		"epilogue":             {"--xJ7kq--\r\n", "--xJ7kq--\r\nin the clear\r\n", false},
		"third part":           {"--xJ7kq--\r\n", part + "--xJ7kq--\r\n", false},
		"another part first":   {"\r\n\r\n--xJ7kq\r\n", "\r\n\r\n" + part + "--xJ7kq\r\n", false},
		"no end":               {"--xJ7kq--\r\n", "", false},
		"text behind version":  {"Version: 1\r\n", "Version: 1\r\nin the clear\r\n", false},
		"another version":      {"Version: 1", "Version: 2", false},
		"no version":           {"Version: 1\r\n", "", false},
		"version twice":        {"Version: 1\r\n", "Version: 1\r\nVersion: 1\r\n", false},
		"field of no content":  {"Content-Description: OpenPGP", "Subject: OpenPGP", false},
		"first part a text":    {"application/pgp-encrypted\r\n", "text/plain\r\n", false},
		"second part a text":   {"application/octet-stream", "text/plain", false},
		"part with encoding":   {"Content-Description: OpenPGP", "Content-Transfer-Encoding: quoted-printable\r\nX", false},
		"text before armor":    {begin, "in the clear\r\n" + begin, false},
		"text behind armor":    {end, end + "in the clear\r\n", false},
		"text in armor":        {end, "in the clear\r\n" + end, false},
		"armor not begun":      {begin, "", false},
		"armor not ended":      {end, "", false},
		"two armors":           {end, end + begin + "\r\nAAAA\r\n" + end, false},
		"a key":                {"BEGIN PGP MESSAGE", "BEGIN PGP PUBLIC KEY BLOCK", false},
		"unknown armor header": {begin, begin + "Statement: 100 EUR\r\n", false},
		"no blank line":        {begin + "\r\n", begin, false},
		"bare line feed":       {"Version: 1\r\n", "Version: 1\n", false},
		"long line":            {begin, begin + "Comment: " + strings.Repeat("x", 1000) + "\r\n", false},
		"changed data":         {"A", "B", false},
	} {
		// The last place is within the body, except for the changed data.
		at := strings.LastIndex(string(small), c.old)
		if at < 0 {
			t.Fatalf("%s: %q is not in the message", name, c.old)
		}
		changed := string(small[:at]) + c.new + string(small[at+len(c.old):])
		if _, err := prove(t, []byte(changed)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNothingRidesAlong: text put in anywhere makes a message not encrypted,
// except in what describes a part of it.
func TestNothingRidesAlong(t *testing.T) {
	const text = " in: the clear! "
	pgp, err := os.ReadFile("testdata/protected/pgp-symmetric.eml")
	if err != nil {
		t.Fatal(err)
	}
	anna := anna(t)
	smime := copyFor(t, seal(t, message(100), SealOptions{}, Target{cms.AES256CBC, &memory{}})[0], anna.to)
	for _, raw := range [][]byte{pgp, smime} {
		begin := bytes.Index(raw, []byte("\r\n\r\n")) + 4
		for i := begin; i <= len(raw); i++ {
			line := raw[bytes.LastIndexByte(raw[:i], '\n')+1:]
			if bytes.HasPrefix(line, []byte("Content-")) || i < len(raw) && raw[i] == '\r' && describes(raw[:i]) {
				continue
			}
			for _, put := range []string{text, "\r\n" + text + "\r\n"} {
				m := append(append(bytes.Clone(raw[:i]), put...), raw[i:]...)
				if _, err := prove(t, m); err == nil {
					t.Errorf("passed: %s", m[begin:])
				}
			}
		}
	}
}

// describes tells whether what is added to raw continues a field of a part.
func describes(raw []byte) bool {
	lines := strings.Split(string(raw), "\r\n")
	return len(lines) > 1 && lines[len(lines)-1] == "" && strings.HasPrefix(lines[len(lines)-2], "Content-")
}

// FuzzProof: the verdict does not depend on the pieces, and what passes has
// the form of ciphertext, found by other means.
func FuzzProof(f *testing.F) {
	const enveloped = "application/pkcs7-mime"
	for _, c := range []cms.Cipher{cms.AES128CBC, cms.AES256GCM} {
		der := sealedDER(f, c)
		f.Add(withBody(enveloped, "base64", string(inLines(nil, der))), uint64(1))
		f.Add(withBody(enveloped, "binary", string(der)), uint64(2))
	}
	for _, name := range []string{"pgp-small", "pgp-symmetric"} {
		raw, err := os.ReadFile("testdata/protected/" + name + ".eml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint64(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		m, err := ReadMessage(bytes.NewReader(raw), Limits{})
		if err != nil {
			return
		}
		body, err := io.ReadAll(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		whole, pieces := NewProof(m.Header), NewProof(m.Header)
		whole.Write(body)
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := body; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 100))
			pieces.Write(rest[:n])
			rest = rest[n:]
		}
		protected, err := whole.Close()
		if _, other := pieces.Close(); (err == nil) != (other == nil) {
			t.Fatalf("whole: %v; in pieces: %v", err, other)
		}
		if err == nil {
			checkProtected(t, protected, m.Header, body)
		}
	})
}

// checkProtected looks at a body that passed, without any code of Proof.
func checkProtected(t *testing.T, p *Protected, h *Header, body []byte) {
	t.Helper()
	if p.Claim() != Claims(h) || p.BodySize() != int64(len(body)) {
		t.Fatalf("%+v", p)
	}
	switch {
	case p.Claim() == PGPMIME:
		if bytes.Count(body, []byte("-----BEGIN PGP MESSAGE-----")) != 1 {
			t.Fatalf("passed: %q", body)
		}
	case strings.EqualFold(h.Get("Content-Transfer-Encoding"), "base64"):
		der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(body), nil)))
		if err != nil || len(der) == 0 || der[0] != 0x30 {
			t.Fatalf("passed: %q: %v", body, err)
		}
	case body[0] != 0x30:
		t.Fatalf("passed: %q", body)
	}
}
