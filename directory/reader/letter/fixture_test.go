package letter_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"sealpost/directory/reader/letter"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/smime"
	"sealpost/smime/cms"
)

// pdf is an attachment that has every byte.
func pdf() []byte {
	b := []byte("%PDF-1.7\n")
	for i := range 1024 {
		b = append(b, byte(i))
	}
	return b
}

func lines64(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return b.String() + text + "\r\n"
}

// statement is a mail as a bank sends it.
func statement() []byte {
	return []byte(strings.ReplaceAll(`From: =?utf-8?q?Bank_M=C3=BCller?= <bank@example.com>
To: anna@example.org
Subject: =?iso-8859-1?q?Kontoauszug_f=FCr_November?=
Date: Mon, 23 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=mixed

--mixed
Content-Type: multipart/alternative; boundary=alternative

--alternative
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Ihr Kontoauszug, Gr=FC=DFe
--alternative
Content-Type: multipart/related; boundary=related

--related
Content-Type: text/html; charset=utf-8

<p>Ihr <b>Kontoauszug</b>, Grüße <img src="cid:logo@bank"></p>
--related
Content-Type: image/png; name=logo.png
Content-ID: <logo@bank>
Content-Disposition: inline
Content-Transfer-Encoding: base64

`+lines64([]byte("\x89PNG\r\n\x1a\nlogo"))+`
--related--
--alternative--
--mixed
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''Auszug%20f%C3%BCr%20Anna.pdf

`+lines64(pdf())+`
--mixed--
`, "\n", "\r\n"))
}

func parsed(t testing.TB, id *testkit.Identity) *certificate.Certificate {
	t.Helper()
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// sealed is a mail as our relay sends it.
func sealed(t testing.TB, mail []byte, id *testkit.Identity, c cms.Cipher, opts cms.KeyOptions) []byte {
	t.Helper()
	to, err := cms.NewRecipient(parsed(t, id), opts)
	if err != nil {
		t.Fatal(err)
	}
	m, err := smime.ReadMessage(bytes.NewReader(mail), smime.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := smime.SealStream(&out, m, smime.SealOptions{}, c, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// part is the CMS structure of a sealed mail.
func part(t testing.TB, sealed []byte) []byte {
	t.Helper()
	_, body, _ := bytes.Cut(sealed, []byte("\r\n\r\n"))
	der, err := base64.StdEncoding.DecodeString(string(bytes.ReplaceAll(body, []byte("\r\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func armored(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: der})
}

func keyOf(t testing.TB, id *testkit.Identity) letter.Key {
	t.Helper()
	return letter.Key{Certificate: parsed(t, id), Private: id.Key}
}

func open(data []byte, keys ...letter.Key) (*letter.Letter, error) {
	return letter.Open(letter.File{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}, letter.Options{Keys: keys})
}

// isStatement holds a letter against statement().
func isStatement(t *testing.T, l *letter.Letter, headed bool) {
	t.Helper()
	if headed && (l.From != "Bank Müller <bank@example.com>" || l.To != "anna@example.org" || l.Subject != "Kontoauszug für November" || l.Date == "") {
		t.Errorf("the head: %q", []string{l.From, l.To, l.Subject, l.Date})
	}
	if !headed && l.From+l.Subject != "" {
		t.Errorf("a head out of nothing: %q", []string{l.From, l.Subject})
	}
	if len(l.Bodies) != 1 || strings.TrimSpace(l.Bodies[0].Text) != "Ihr Kontoauszug, Grüße" || !strings.Contains(l.Bodies[0].HTML, "</b>, Grüße") {
		t.Errorf("the text: %q", l.Bodies)
	}
	if len(l.Parts) != 2 || l.Damaged {
		t.Fatalf("%d parts, damaged %v", len(l.Parts), l.Damaged)
	}
	logo, file := l.Parts[0], l.Parts[1]
	if !logo.Shown || logo.ID != "logo@bank" || logo.Type != "image/png" || logo.Name != "logo.png" {
		t.Errorf("the logo: %+v", logo)
	}
	if file.Name != "Auszug für Anna.pdf" || file.Shown || file.Damaged || !bytes.Equal(file.Data, pdf()) {
		t.Errorf("the attachment: %s, %d bytes", file.Name, len(file.Data))
	}
}
