package smime

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

func TestOpen(t *testing.T) {
	anna := anna(t)
	raw := message(5000)
	want := wantEntity(t, raw)
	sealed := copyFor(t, seal(t, raw, SealOptions{}, Target{cms.AES256CBC, &memory{}})[0], anna.to)
	der := testkit.CMS(t, sealed)
	lf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }
	for name, m := range map[string][]byte{
		"as it is":          sealed,
		"LF":                lf(sealed),
		"binary":            withBody("application/pkcs7-mime; smime-type=enveloped-data", "binary", string(der)),
		"binary, LF":        append(lf(withBody("application/pkcs7-mime", "8bit", "")), der...),
		"binary, newline":   withBody("application/x-pkcs7-mime", "binary", string(der)+"\r\n"),
		"octets":            withBody("application/octet-stream; name=\"SMIME.P7M\"", "base64", string(inLines(nil, der))),
		"octets, file name": withBody("application/octet-stream\r\nContent-Disposition: attachment; filename=smime.p7m", "base64", string(inLines(nil, der))),
	} {
		for _, r := range []io.Reader{bytes.NewReader(m), iotest.OneByteReader(bytes.NewReader(m)), iotest.DataErrReader(bytes.NewReader(m))} {
			got, err := Open(r, OpenOptions{Certificate: anna.cert, Key: anna.id.Key})
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, %.200q", name, err, got)
			}
		}
	}
}

func TestOpenFails(t *testing.T) {
	ca := testkit.NewCA(t)
	anna := newReader(t, ca, testkit.Leaf{Addresses: []string{"anna@example.org"}})
	bert := newReader(t, ca, testkit.Leaf{Addresses: []string{"bert@example.org"}})
	sealed := copyFor(t, seal(t, message(5000), SealOptions{}, Target{cms.AES256GCM, &memory{}})[0], anna.to)
	lines := bytes.SplitAfter(sealed, []byte("\r\n"))
	damaged := bytes.Clone(sealed)
	// A character within the ciphertext; lines are counted from the end.
	i := len(sealed) - len(lines[len(lines)-2]) - lineText + 10
	damaged[i] = map[bool]byte{true: 'A', false: 'B'}[sealed[i] != 'A']
	opens := func(m []byte, opts OpenOptions) error {
		_, err := Open(bytes.NewReader(m), opts)
		if err == nil {
			t.Errorf("%.100q was opened", m)
		}
		return err
	}
	annas := OpenOptions{Certificate: anna.cert, Key: anna.id.Key}
	for _, c := range []struct {
		err  error
		want error
	}{
		{opens(sealed, OpenOptions{Certificate: bert.cert, Key: bert.id.Key}), cms.ErrNoRecipient},
		{opens(sealed, OpenOptions{Certificate: anna.cert, Key: bert.id.Key}), cms.ErrDecrypt},
		{opens(sealed, OpenOptions{Certificate: anna.cert, Key: anna.id.Key, MaxSize: 1000}), cms.ErrTooLarge},
		{opens(message(100), annas), ErrNotEnveloped},
		{opens(withBody("multipart/mixed; boundary=x", "", string(sealed)), annas), ErrNotEnveloped},
		{opens(withBody("application/octet-stream; name=statement.pdf", "base64", ""), annas), ErrNotEnveloped},
		{opens(nil, annas), ErrNotEnveloped},
		{opens(append(bytes.Clone(sealed), "footer of a list"...), annas), errBase64},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%v, want %v", c.err, c.want)
		}
	}
	if err := opens(damaged, annas); err == nil {
		t.Error("a damaged message was opened")
	}
	if err := opens(bytes.Join(lines[:len(lines)/2], nil), annas); !errors.As(err, new(*cms.FormatError)) {
		t.Errorf("half a message: %v", err)
	}
	if err := opens([]byte(" x"), annas); !errors.As(err, new(*MalformedError)) {
		t.Errorf("a malformed header: %v", err)
	}
	opens(sealed, OpenOptions{})
	broken := errors.New("disk error")
	m := io.MultiReader(strings.NewReader(string(sealed[:3000])), iotest.ErrReader(broken))
	if _, err := Open(m, annas); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}
