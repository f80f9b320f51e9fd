package cms

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
)

// endless repeats a pattern for ever behind a head.
type endless struct {
	head, pattern []byte
	at            int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.head) > 0 {
		n := copy(p, e.head)
		e.head = e.head[n:]
		return n, nil
	}
	for i := range p {
		p[i] = e.pattern[e.at]
		e.at = (e.at + 1) % len(e.pattern)
	}
	return len(p), nil
}

// upTo is a message in BER that stops where the named part would begin.
func upTo(l layout, name string) []byte {
	b := append([]byte{tagSequence, lengthIndefinite}, l.contentType...)
	b = append(b, tagExplicit0, lengthIndefinite, tagSequence, lengthIndefinite)
	if name == "version" {
		return b
	}
	b = append(b, l.version...)
	if name == fieldRecipients {
		return append(b, tagSet, lengthIndefinite)
	}
	b = append(b, l.recipients...)
	b = append(b, tagSequence, lengthIndefinite)
	b = append(b, l.innerType...)
	b = append(b, l.algorithm...)
	return append(b, tagExplicit0, lengthIndefinite)
}

// TestEndless reads what never ends. Open and Validator must end, and say the
// right thing; that the test ends at all shows that the time is linear.
func TestEndless(t *testing.T) {
	s := newSealed(t, "p256", AES256CBC, noise(100))
	full := []byte{tagOctetString, 0x82, 4, 0}
	full = append(full, noise(1024)...)
	for _, bomb := range []struct {
		name    string
		head    []byte
		pattern []byte
		want    string // "too large", or a field
	}{
		{"content", upTo(s.layout, "encryptedContent"), full, "too large"},
		{"empty segments", upTo(s.layout, "encryptedContent"), []byte{tagOctetString, 0}, "too large"},
		{"empty indefinite segments", upTo(s.layout, "encryptedContent"), []byte{0x24, 0x80, 0, 0}, "too large"},
		{"nested segments", upTo(s.layout, "encryptedContent"), []byte{0x24, 0x80}, "encryptedContent"},
		{"recipients", upTo(s.layout, fieldRecipients), s.recipients[4:], fieldRecipients},
		{"empty recipients", upTo(s.layout, fieldRecipients), []byte{0x30, 0}, fieldRecipients},
		{"nested recipients", upTo(s.layout, fieldRecipients), []byte{0x30, 0x80}, fieldRecipients},
		{"empty strings in recipients", append(upTo(s.layout, fieldRecipients), 0x24, 0x80), []byte{4, 0}, "too large"},
		{"long version", append(upTo(s.layout, "version"), 2, 0x84, 0x7f, 0xff, 0xff, 0xff), []byte{1}, "version"},
		{"absurd length", upTo(s.layout, "encryptedContent"), []byte{4, 0x88, 0xff}, "encryptedContent"},
		{"length of 126 octets", upTo(s.layout, "encryptedContent"), []byte{4, 0xfe, 1}, "encryptedContent"},
		{"long tag", nil, []byte{0x3f}, "ContentInfo"},
		{"zeros", nil, []byte{0}, "ContentInfo"},
		{"nested sequences", nil, []byte{0x30, 0x80}, "contentType"},
	} {
		_, err := Open(&endless{head: bytes.Clone(bomb.head), pattern: bomb.pattern}, OpenOptions{Certificate: s.cert, Key: s.id.Key, MaxSize: 1 << 20})
		if got := fieldOf(err); got != bomb.want && !(bomb.want == "too large" && errors.Is(err, ErrTooLarge)) {
			t.Errorf("%s: Open: %v", bomb.name, err)
		}
		v := NewValidator()
		_, _ = io.CopyN(v, &endless{head: bytes.Clone(bomb.head), pattern: bomb.pattern}, 8<<20)
		if _, err := v.Close(); !errors.As(err, new(*FormatError)) {
			t.Errorf("%s: Validator: %v", bomb.name, err)
		}
	}
}

// TestDeclaredLength announces a petabyte and sends little: nothing is reserved.
func TestDeclaredLength(t *testing.T) {
	s := newSealed(t, "p256", AES256CBC, noise(100))
	s.content = []byte{tagContent, 0x87, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3}
	message := upTo(s.layout, "encryptedContent")
	message = append(message[:len(message)-2], s.content...)
	used := allocated(func() {
		if _, err := s.open(message); fieldOf(err) != "encryptedContent" {
			t.Errorf("Open: %v", err)
		}
	})
	if used > 1<<20 {
		t.Errorf("%d octets of memory", used)
	}
}

// allocated is how many octets f allocates, whether or not they are freed.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestConstantMemory encrypts 100 MB and looks at them again as they pass by.
func TestConstantMemory(t *testing.T) {
	const size = 100 << 20
	_, cert := issue(t, "p256")
	to := recipient(t, cert, KeyOptions{})
	for _, c := range []Cipher{AES256CBC, AES256GCM} {
		v := NewValidator()
		used := allocated(func() {
			w, err := EncryptStream(v, c, to)
			if err != nil {
				t.Fatal(err)
			}
			zeros := make([]byte, 100_000)
			for left := int64(size); left > 0; left -= int64(len(zeros)) {
				if _, err := w.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
		info, err := v.Close()
		if err != nil || info.Size < size {
			t.Errorf("%v: %+v, %v", c, info, err)
		}
		if used > 1<<20 {
			t.Errorf("%v: %d octets of memory", c, used)
		}
	}
}
