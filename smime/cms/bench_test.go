package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"testing"
)

func BenchmarkEncrypt(b *testing.B) {
	for _, c := range ciphers {
		for _, size := range []int{5 << 10, 50 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%v/%d", c, size), func(b *testing.B) {
				plaintext := noise(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					content, err := NewContent(c)
					if err != nil {
						b.Fatal(err)
					}
					w := content.Encrypt(io.Discard)
					if _, err := w.Write(plaintext); err != nil {
						b.Fatal(err)
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRaw is the library alone: what Encrypt is measured against.
func BenchmarkRaw(b *testing.B) {
	block, err := aes.NewCipher(noise(32))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20, 1<<20+gcmTagSize)
	b.Run("cbc", func(b *testing.B) {
		b.SetBytes(1 << 20)
		mode := cipher.NewCBCEncrypter(block, noise(16))
		for b.Loop() {
			mode.CryptBlocks(buf, buf)
		}
	})
	b.Run("gcm", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for b.Loop() {
			aead.Seal(buf[:0], noise(12), buf, nil)
		}
	})
}

func BenchmarkPrefix(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			_, cert := issue(b, kind)
			to := recipient(b, cert, KeyOptions{})
			content, _ := encryptIn(b, AES256CBC, noise(1000), 1000)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := content.Prefix(to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidator(b *testing.B) {
	_, cert := issue(b, "p256")
	message := sealStream(b, AES256CBC, noise(1<<20), recipient(b, cert, KeyOptions{}))
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := validate(message, 32<<10); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range []Cipher{AES256CBC, AES256GCM} {
		b.Run(c.String(), func(b *testing.B) {
			id, cert := issue(b, "p256")
			message := seal(b, c, noise(1<<20), recipient(b, cert, KeyOptions{}))
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(bytes.NewReader(message), OpenOptions{Certificate: cert, Key: id.Key}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
