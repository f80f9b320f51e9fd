package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	plaintext := []byte("Content-Type: text/plain\r\n\r\nSEALPOST-CANARY\r\n")
	for _, kind := range kinds {
		id, cert := issue(t, kind)
		for _, opts := range []KeyOptions{{}, {OAEP: true, KDF: KDFSHA256}, {KDF: KDFSHA384}, {KDF: KDFSHA512}} {
			to := recipient(t, cert, opts)
			for _, c := range ciphers {
				for name, message := range map[string][]byte{"DER": seal(t, c, plaintext, to), "BER": sealStream(t, c, plaintext, to)} {
					if got := open(t, message, id, cert); !bytes.Equal(got, plaintext) {
						t.Errorf("%s %+v %v %s: opened to %q", kind, opts, c, name, got)
					}
					if bytes.Contains(message, []byte("CANARY")) {
						t.Errorf("%s %v %s: plaintext in the message", kind, c, name)
					}
				}
			}
		}
	}
}

// sizes are around every boundary: block, chunk, two chunks, and a length octet.
func sizes() []int {
	var all []int
	for _, around := range []int{0, 16, 32, 112, 128, 256, 65520, chunkSize, chunkSize + 16, 2 * chunkSize, 3*chunkSize + 4096} {
		for d := -17; d <= 17; d++ {
			if n := around + d; n >= 0 && !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// TestGCMIsStandardGCM compares the chunked GCM with the library's, octet by octet.
func TestGCMIsStandardGCM(t *testing.T) {
	plaintext := noise(4 * chunkSize)
	for _, c := range []Cipher{AES128GCM, AES256GCM} {
		for _, size := range sizes() {
			content, ciphertext := encryptIn(t, c, plaintext[:size], 8191)
			block, err := aes.NewCipher(content.key)
			if err != nil {
				t.Fatal(err)
			}
			aead, err := cipher.NewGCM(block)
			if err != nil {
				t.Fatal(err)
			}
			want := aead.Seal(nil, content.iv, plaintext[:size], nil)
			if !bytes.Equal(append(ciphertext, content.Suffix()[2:]...), want) {
				t.Fatalf("%v differs from the library's at %d octets", c, size)
			}
		}
	}
}

// TestCBCIsStandardCBC does the same for CBC and its padding.
func TestCBCIsStandardCBC(t *testing.T) {
	plaintext := noise(4 * chunkSize)
	for _, size := range sizes() {
		content, ciphertext := encryptIn(t, AES256CBC, plaintext[:size], 1000)
		block, err := aes.NewCipher(content.key)
		if err != nil {
			t.Fatal(err)
		}
		pad := 16 - size%16
		want := append(bytes.Clone(plaintext[:size]), bytes.Repeat([]byte{byte(pad)}, pad)...)
		cipher.NewCBCEncrypter(block, content.iv).CryptBlocks(want, want)
		if !bytes.Equal(ciphertext, want) {
			t.Fatalf("differs from the library's at %d octets", size)
		}
	}
}

// encryptIn encrypts in writes of the given size.
func encryptIn(t testing.TB, c Cipher, plaintext []byte, write int) (*Content, []byte) {
	t.Helper()
	content, err := NewContent(c)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := content.Encrypt(&out)
	for piece := range slices.Chunk(plaintext, write) {
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return content, out.Bytes()
}

func TestManyPrefixesOneContent(t *testing.T) {
	plaintext := noise(100_000)
	content, ciphertext := encryptIn(t, AES256GCM, plaintext, 4096)
	var wg sync.WaitGroup
	for _, kind := range []string{"rsa2048", "p256", "x25519"} {
		id, cert := issue(t, kind)
		to := recipient(t, cert, KeyOptions{})
		for range 4 {
			wg.Go(func() {
				prefix, err := content.Prefix(to)
				if err != nil {
					t.Error(err)
					return
				}
				message := slices.Concat(prefix, ciphertext, content.Suffix())
				got, err := Open(bytes.NewReader(message), OpenOptions{Certificate: cert, Key: id.Key})
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%s: %v", kind, err)
				}
			})
		}
	}
	wg.Wait()
	content.Destroy()
	if _, err := content.Prefix(); !errors.Is(err, ErrState) {
		t.Errorf("Prefix after Destroy: %v", err)
	}
}

// TestRecipientsTogether opens one message with each of its recipients' keys.
func TestRecipientsTogether(t *testing.T) {
	plaintext := []byte("to all of you")
	for _, c := range []Cipher{AES256CBC, AES128GCM} {
		var to []Recipient
		check := make([]func(message []byte), 0, len(kinds))
		for _, kind := range kinds {
			id, cert := issue(t, kind)
			to = append(to, recipient(t, cert, KeyOptions{}))
			check = append(check, func(message []byte) {
				if got := open(t, message, id, cert); !bytes.Equal(got, plaintext) {
					t.Errorf("%s %v: %q", kind, c, got)
				}
			})
		}
		message := seal(t, c, plaintext, to...)
		for _, f := range check {
			f(message)
		}
	}
}

func TestOrderOfUse(t *testing.T) {
	_, cert := issue(t, "p256")
	to := recipient(t, cert, KeyOptions{})
	content, err := NewContent(AES128GCM)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := content.Prefix(to); !errors.Is(err, ErrState) {
		t.Errorf("Prefix before Encrypt: %v", err)
	}
	w := content.Encrypt(io.Discard)
	if _, err := content.Prefix(to); !errors.Is(err, ErrState) {
		t.Errorf("Prefix before Close: %v", err)
	}
	again := content.Encrypt(io.Discard)
	if _, err := again.Write([]byte("x")); !errors.Is(err, ErrState) {
		t.Errorf("second Encrypt: %v", err)
	}
	if err := again.Close(); !errors.Is(err, ErrState) {
		t.Errorf("closing a second Encrypt: %v", err)
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("Close twice: %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, ErrState) {
		t.Errorf("Write after Close: %v", err)
	}
	if _, err := content.Prefix(); err == nil {
		t.Error("a prefix without recipients")
	}
	if _, err := content.Prefix(Recipient{}); err == nil {
		t.Error("a prefix for an empty recipient")
	}
}

// brokenWriter fails after so many octets.
type brokenWriter struct{ left int }

var errBroken = errors.New("broken")

func (b *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return b.left, errBroken
	}
	b.left -= len(p)
	return len(p), nil
}

func TestFailingDestination(t *testing.T) {
	_, cert := issue(t, "p256")
	to := recipient(t, cert, KeyOptions{})
	plaintext := noise(3 * chunkSize)
	for _, c := range ciphers {
		for left := 0; left < 3*chunkSize; left += 30_000 {
			t.Run(fmt.Sprint(c, left), func(t *testing.T) {
				content, err := NewContent(c)
				if err != nil {
					t.Fatal(err)
				}
				w := content.Encrypt(&brokenWriter{left})
				_, err = w.Write(plaintext)
				if err = errors.Join(err, w.Close()); !errors.Is(err, errBroken) {
					t.Errorf("error is %v", err)
				}
				if _, err := content.Prefix(to); !errors.Is(err, ErrState) {
					t.Errorf("Prefix of a content that failed: %v", err)
				}
				s, err := EncryptStream(&brokenWriter{left}, c, to)
				if err == nil {
					_, err = s.Write(plaintext)
					err = errors.Join(err, s.Close())
				}
				if !errors.Is(err, errBroken) {
					t.Errorf("stream: error is %v", err)
				}
			})
		}
	}
}
