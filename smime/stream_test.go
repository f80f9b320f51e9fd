package smime

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

func sealStream(t testing.TB, raw []byte, opts SealOptions, c cms.Cipher, to ...cms.Recipient) []byte {
	t.Helper()
	m, err := ReadMessage(Canonical(bytes.NewReader(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := SealStream(&out, m, opts, c, to...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSealStream(t *testing.T) {
	anna := anna(t)
	header := len(message(0))
	for _, size := range []int{0, 100, maxDefinite, maxDefinite + 1, 3 << 20} {
		raw := message(size)
		if len(raw) != header+size {
			t.Fatal("message() is wrong")
		}
		for _, c := range []cms.Cipher{cms.AES128CBC, cms.AES256GCM} {
			trace := "X-Trace: " + c.String() + "\r\n"
			sealed := sealStream(t, raw, SealOptions{Trace: []byte(trace)}, c, anna.to)
			checkForm(t, sealed)
			if !bytes.HasPrefix(sealed, []byte(trace)) {
				t.Errorf("%d bytes, %v: begins with %.80q", size, c, sealed)
			}
			want := wantEntity(t, raw)
			if !bytes.Equal(anna.open(t, sealed), want) || !bytes.Equal(testkit.OpenSSLOpen(t, sealed, anna.id), want) {
				t.Errorf("%d bytes, %v: something else is inside", size, c)
			}
			if der := testkit.CMS(t, sealed); (der[1] == 0x80) != (size > maxDefinite) {
				t.Errorf("%d bytes, %v: length begins with %#x", size, c, der[1])
			}
		}
	}
}

// TestSealStreamOfFile: LF in a file is CRLF inside.
func TestSealStreamOfFile(t *testing.T) {
	anna := anna(t)
	raw := []byte("From: a\nContent-Type: text/plain;\n x=y\n\none\ntwo\n")
	got := anna.open(t, sealStream(t, raw, SealOptions{}, cms.AES256CBC, anna.to))
	if want := "MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n x=y\r\n\r\none\r\ntwo\r\n"; string(got) != want {
		t.Errorf("inside is %q, want %q", got, want)
	}
}

func TestSealStreamFails(t *testing.T) {
	anna := anna(t)
	for _, size := range []int{100, 3 << 20} {
		read := func() *Message {
			m, err := ReadMessage(bytes.NewReader(message(size)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		for _, left := range []int{0, 150, size / 2} {
			if err := SealStream(&limitedWriter{left}, read(), SealOptions{}, cms.AES256GCM, anna.to); !errors.Is(err, errFull) {
				t.Errorf("%d bytes to a writer that takes %d: %v", size, left, err)
			}
		}
		var out bytes.Buffer
		if err := SealStream(&out, read(), SealOptions{}, cms.AES256CBC); err == nil || out.Len() > 0 {
			t.Errorf("for nobody: %v, %d bytes", err, out.Len())
		}
		if err := SealStream(&out, read(), SealOptions{Trace: []byte("x")}, cms.AES256CBC, anna.to); err == nil {
			t.Error("with a broken trace field")
		}
	}
}

// endless gives so many bytes of text.
func endless(size int64) io.Reader {
	return io.LimitReader(repeated(strings.Repeat("a line of text in the large message\r\n", 100)), size)
}

type repeated string

func (r repeated) Read(p []byte) (int, error) { return copy(p, r), nil }

// TestConstantMemory: a large message costs no more memory than a small one.
func TestConstantMemory(t *testing.T) {
	anna := anna(t)
	const size, most = 64 << 20, 16 << 20 // a pool under the race detector forgets on purpose
	for name, run := range map[string]func() error{
		"SealStream": func() error {
			return SealStream(discard{}, &Message{&Header{}, endless(size)}, SealOptions{}, cms.AES256CBC, anna.to)
		},
		"Canonical": func() error {
			_, err := copyAll(discard{}, Canonical(endless(size)))
			return err
		},
		"Proof": func() error {
			m, err := ReadMessage(bytes.NewReader(withBody("application/pkcs7-mime", "base64", "")), Limits{})
			if err != nil {
				return err
			}
			p := NewProof(m.Header)
			if err := SealStream(&skipHeader{w: p}, &Message{&Header{}, endless(size)}, SealOptions{}, cms.AES256GCM, anna.to); err != nil {
				return err
			}
			_, err = p.Close()
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > most {
			t.Errorf("%s of %d bytes allocated %d", name, size, used)
		}
	}
}

// A skipHeader hands on what stands behind the first blank line, which must be
// in the first write.
type skipHeader struct {
	w    io.Writer
	done bool
}

func (s *skipHeader) Write(p []byte) (int, error) {
	body := p
	if !s.done {
		_, body, s.done = bytes.Cut(p, []byte("\r\n\r\n"))
	}
	_, err := s.w.Write(body)
	return len(p), err
}

// TestReaders: GnuPG and NSS take the whole message too.
func TestReaders(t *testing.T) {
	anna := anna(t)
	raw := message(3000)
	sealed := copyFor(t, seal(t, raw, SealOptions{}, Target{cms.AES256CBC, &memory{}})[0], anna.to)
	for name, got := range map[string][]byte{
		"gpgsm": testkit.GPGSMOpen(t, sealed, anna.id),
		"nss":   testkit.NSSOpen(t, sealed, anna.id),
	} {
		if !bytes.Equal(got, wantEntity(t, raw)) {
			t.Errorf("%s: %.300q", name, got)
		}
	}
}
