package letter_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sealpost/directory/reader/letter"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

func TestOpensWhatTheRelaySealed(t *testing.T) {
	ca := testkit.NewCA(t)
	for _, c := range []struct {
		name, key string
		cipher    cms.Cipher
		opts      cms.KeyOptions
	}{
		{"RSA, CBC", "rsa2048", cms.AES256CBC, cms.KeyOptions{}},
		{"RSA, GCM", "rsa2048", cms.AES256GCM, cms.KeyOptions{}},
		{"RSA OAEP", "rsa2048", cms.AES128CBC, cms.KeyOptions{OAEP: true}},
		{"P-256", "p256", cms.AES256CBC, cms.KeyOptions{}},
		{"P-256, SHA-256, GCM", "p256", cms.AES128GCM, cms.KeyOptions{KDF: cms.KDFSHA256}},
		{"X25519", "x25519", cms.AES256GCM, cms.KeyOptions{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			anna, other := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: c.key}), ca.For(t, "other@example.org")
			l, err := open(sealed(t, statement(), anna, c.cipher, c.opts), keyOf(t, other), keyOf(t, anna))
			if err != nil {
				t.Fatal(err)
			}
			isStatement(t, l, true)
		})
	}
}

func TestOpensWhatOpenSSLSealed(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	for _, key := range []string{"rsa2048", "p256"} {
		anna := ca.Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: key})
		dir := t.TempDir()
		cert, _ := anna.WriteFiles(t, dir, "anna")
		plain := filepath.Join(dir, "plain")
		if err := os.WriteFile(plain, statement(), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"-aes256"}, {"-aes-128-gcm"}, {"-aes256", "-outform", "DER"}, {"-aes256", "-outform", "PEM"}, {"-aes-256-cbc", "-stream"},
			{"-des3"},
		} {
			if key != "rsa2048" && args[0] == "-des3" {
				continue // Triple DES is opened where old programs use it
			}
			// -binary: without it, OpenSSL would make other line ends of it.
			cmd := exec.Command("openssl", append(append([]string{"cms", "-encrypt", "-binary", "-in", plain}, args...), cert)...)
			data, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v", args, err)
			}
			l, err := open(data, keyOf(t, anna))
			if err != nil {
				t.Errorf("%s %v: %v", key, args, err)
				continue
			}
			isStatement(t, l, true) // the head is inside, too
		}
	}
}

// In whatever form the mail reaches the page.
func TestOpensEveryForm(t *testing.T) {
	anna := testkit.NewCA(t).For(t, "anna@example.org")
	whole := sealed(t, statement(), anna, cms.AES256CBC, cms.KeyOptions{})
	der := part(t, whole)
	p7m := "Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64(der)
	mail := "From: list@example.org\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\n"
	for name, c := range map[string]struct {
		data   []byte
		headed bool
	}{
		"as it is sent":      {whole, true},
		"lines end in LF":    {bytes.ReplaceAll(whole, []byte("\r\n"), []byte("\n")), true},
		"out of a mailbox":   {append([]byte("From bank@example.com Mon Nov 23 10:00:00 2026\n"), whole...), true},
		"the part, DER":      {der, false},
		"the part, PEM":      {armored(der), false},
		"the part, base64":   {[]byte(lines64(der)), false},
		"the part's entity":  {[]byte(p7m), false},
		"sealed twice":       {sealed(t, whole, anna, cms.AES128GCM, cms.KeyOptions{}), true},
		"sent as octets":     {bytes.Replace(whole, []byte("application/pkcs7-mime; smime-type=enveloped-data"), []byte("application/octet-stream"), 1), true},
		"with a list footer": {[]byte(mail + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + p7m + "\r\n--b\r\nContent-Type: text/plain\r\n\r\nfooter\r\n--b--\r\n"), false},
		"forwarded":          {append(append([]byte(mail+"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlook\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"), whole...), "\r\n--b--\r\n"...), false},
	} {
		l, err := open(c.data, keyOf(t, anna))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "with a list footer" || name == "forwarded" {
			if l.From != "list@example.org" {
				t.Errorf("%s: from %q", name, l.From)
			}
			l.From, l.Subject = "", ""
		}
		t.Run(name, func(t *testing.T) { isStatement(t, l, c.headed) })
	}
}

// signed is a smime.p7m that is not encrypted.
func signed(t *testing.T, id *testkit.Identity) []byte {
	t.Helper()
	testkit.Need(t, "openssl")
	cert, key := id.WriteFiles(t, t.TempDir(), "signer")
	cmd := exec.Command("openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-signer", cert, "-inkey", key)
	cmd.Stdin = bytes.NewReader(statement())
	data, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Signed first and then sealed, as Outlook does: the signature around the content.
func TestOpensWhatIsSignedInside(t *testing.T) {
	anna := testkit.NewCA(t).For(t, "anna@example.org")
	for _, kind := range []string{"smime-type=signed-data; ", ""} {
		inner := []byte("From: bank@example.com\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n" +
			"Content-Type: application/pkcs7-mime; " + kind + "name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines64(signed(t, anna)))
		l, err := open(sealed(t, inner, anna, cms.AES256CBC, cms.KeyOptions{}), keyOf(t, anna))
		if err != nil || !l.Signed {
			t.Fatalf("%q: %v %+v", kind, err, l)
		}
		isStatement(t, l, true)
	}
	l := letter.Read([]byte("Content-Type: application/pkcs7-mime; smime-type=signed-data; name=x.p7m\r\n\r\nnothing of the kind\r\n"), letter.Options{})
	if l.Signed || len(l.Parts) != 1 || l.Parts[0].Name != "x.p7m" {
		t.Errorf("what is no signature: %+v", l)
	}
}

func TestWhatDoesNotOpenSaysWhy(t *testing.T) {
	ca := testkit.NewCA(t)
	anna, other := ca.For(t, "anna@example.org"), ca.For(t, "other@example.org")
	whole := sealed(t, statement(), anna, cms.AES256GCM, cms.KeyOptions{})
	der := part(t, whole)
	changed := bytes.Clone(der)
	changed[len(changed)-20] ^= 1
	impostor := letter.Key{Certificate: parsed(t, anna), Private: other.Key}
	for name, c := range map[string]struct {
		data []byte
		want error
		code string
	}{
		"nothing":              {nil, letter.ErrNotMail, "not-mail"},
		"a picture":            {[]byte("\x89PNG\r\n\x1a\n\x00\x00"), letter.ErrNotMail, "not-mail"},
		"a note":               {[]byte("Note: buy milk\r\n\r\nand bread\r\n"), letter.ErrNotMail, "not-mail"},
		"her certificate":      {anna.Cert.Raw, letter.ErrNotMail, "not-mail"},
		"her certificate, PEM": {anna.CertPEM, letter.ErrNotMail, "not-mail"},
		"an Outlook item":      {[]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on"), letter.ErrOutlook, "outlook"},
		"a plain mail":         {statement(), letter.ErrPlain, "plain"},
		"the end is missing":   {whole[:len(whole)-200], letter.ErrDamaged, "damaged"},
		"DER, cut":             {der[:len(der)/2], letter.ErrDamaged, "damaged"},
		"a bit is changed":     {changed, letter.ErrDamaged, "damaged"},
		"base64 is none":       {bytes.Replace(whole, []byte("\r\n\r\nM"), []byte("\r\n\r\n*"), 1), letter.ErrDamaged, "damaged"},
		"signed only":          {signed(t, anna), letter.ErrPlain, "plain"},
		"for somebody else":    {sealed(t, statement(), other, cms.AES256CBC, cms.KeyOptions{}), letter.ErrNotForKey, "not-for-key"},
		"somebody else's, DER": {part(t, sealed(t, statement(), other, cms.AES256CBC, cms.KeyOptions{})), letter.ErrNotForKey, "not-for-key"},
	} {
		l, err := open(c.data, keyOf(t, anna))
		if l != nil || !errors.Is(err, c.want) || letter.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(whole, impostor); !errors.Is(err, letter.ErrDamaged) {
		t.Errorf("with the key of another: %v", err)
	}
	if _, err := open(whole); !errors.Is(err, letter.ErrNotForKey) {
		t.Errorf("without a key: %v", err)
	}
}

func TestLimits(t *testing.T) {
	anna := testkit.NewCA(t).For(t, "anna@example.org")
	whole := sealed(t, statement(), anna, cms.AES256CBC, cms.KeyOptions{})
	f := letter.File{ReaderAt: bytes.NewReader(whole), Size: int64(len(whole))}
	if _, err := letter.Open(f, letter.Options{Keys: []letter.Key{keyOf(t, anna)}, MaxSize: 1000}); !errors.Is(err, letter.ErrTooLarge) {
		t.Errorf("content beyond MaxSize: %v", err)
	}
	f.Size = letter.MaxFile + 1
	if _, err := letter.Open(f, letter.Options{Keys: []letter.Key{keyOf(t, anna)}}); !errors.Is(err, letter.ErrTooLarge) {
		t.Errorf("a file beyond MaxFile: %v", err)
	}
}

type broken struct{}

var errDisk = errors.New("disk")

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestFileThatCannotBeRead(t *testing.T) {
	if _, err := letter.Open(letter.File{ReaderAt: broken{}, Size: 1000}, letter.Options{}); !errors.Is(err, errDisk) || letter.Code(err) != "unknown" {
		t.Errorf("%v", err)
	}
	if letter.Code(nil) != "" {
		t.Error("no error has a name")
	}
}

// Whatever is dropped on the page: there is a letter, or a reason that the page
// has words for.
func FuzzOpen(f *testing.F) {
	anna := testkit.NewCA(f).Issue(f, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	whole := sealed(f, statement(), anna, cms.AES128GCM, cms.KeyOptions{})
	key := keyOf(f, anna)
	for _, seed := range [][]byte{whole, part(f, whole), armored(part(f, whole)), []byte(lines64(part(f, whole))), statement(), nil, {0x30, 0x80},
		[]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pkcs7-mime\r\n\r\nx\r\n--b--\r\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := open(data, key)
		if (l == nil) == (err == nil) {
			t.Fatalf("%v and %v", l, err)
		}
		if err != nil && letter.Code(err) == "unknown" {
			t.Errorf("an error without a name: %v", err)
		}
	})
}
