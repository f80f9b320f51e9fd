package smime

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"sealpost/smime/cms"
)

// bytesStore is a ciphertext at rest.
type bytesStore []byte

func (b bytesStore) Write([]byte) (int, error)  { return 0, errors.New("read only") }
func (b bytesStore) Reader() (io.Reader, error) { return bytes.NewReader(b), nil }
func (b bytesStore) Size() int64                { return int64(len(b)) }

func sealedAtRest(t *testing.T, cipher cms.Cipher) (message, head []byte, ciphertext bytesStore) {
	t.Helper()
	envelope := seal(t, []byte("Subject: x\r\nContent-Type: text/plain\r\n\r\nbody\r\n"), SealOptions{},
		Target{cipher, &memory{}})[0]
	sealed, err := envelope.Copy(anna(t).to)
	if err != nil {
		t.Fatal(err)
	}
	if head, err = sealed.Head(); err != nil {
		t.Fatal(err)
	}
	r, err := envelope.Ciphertext()
	if err != nil {
		t.Fatal(err)
	}
	if ciphertext, err = io.ReadAll(r); err != nil || int64(len(ciphertext)) != envelope.CiphertextSize() {
		t.Fatal(len(ciphertext), envelope.CiphertextSize(), err)
	}
	return write(t, sealed), head, ciphertext
}

func TestReopenGivesTheSameCopy(t *testing.T) {
	for _, cipher := range []cms.Cipher{cms.AES256CBC, cms.AES128GCM} {
		message, head, ciphertext := sealedAtRest(t, cipher)
		again, err := Reopen(head, ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(write(t, again), message) || again.Cipher() != cipher.String() {
			t.Errorf("%s: another message", cipher)
		}
	}
}

// Reopen makes what may leave: nothing that is not a sealed message passes.
func TestReopenRefuses(t *testing.T) {
	_, head, ciphertext := sealedAtRest(t, cms.AES256CBC)
	clear := bytes.Replace(head, []byte("application/pkcs7-mime; smime-type=enveloped-data"), []byte("text/plain; padding=padding-padding-padding-paddi"), 1)
	if bytes.Equal(clear, head) {
		t.Fatal("the head does not hold the type as expected")
	}
	for name, c := range map[string]struct {
		head []byte
		body bytesStore
	}{
		"empty head":         {nil, ciphertext},
		"other version":      {append([]byte{9}, head[1:]...), ciphertext},
		"other cipher":       {append([]byte{head[0], byte(cms.AES128CBC)}, head[2:]...), ciphertext},
		"cut head":           {head[:len(head)-1], ciphertext},
		"longer head":        {append(bytes.Clone(head), 0), ciphertext},
		"cleartext header":   {clear, ciphertext},
		"shorter ciphertext": {head, ciphertext[1:]},
		"longer ciphertext":  {head, append(bytes.Clone(ciphertext), ciphertext...)},
	} {
		if _, err := Reopen(c.head, c.body); !errors.Is(err, ErrHead) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReopen(f *testing.F) {
	f.Add([]byte{1, 2, 16, 0, 0, 0}, []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		s, err := Reopen(head, bytesStore(body))
		if err != nil {
			return
		}
		again, err := s.Head()
		if err != nil || !bytes.Equal(again, head) {
			t.Errorf("head %x became %x (%v)", head, again, err)
		}
	})
}
