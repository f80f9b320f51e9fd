package smime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// message makes a plain message whose body has so many bytes.
func message(size int) []byte {
	line := "statement line with an amount of 100.00 EUR and a little more to fill it\r\n"
	return []byte("From: a@bank.example\r\nTo: anna@example.org\r\nSubject: statement\r\n\r\n" +
		strings.Repeat(line, size/len(line)+1)[:size])
}

// TestCopies: every copy is a message of its own that its recipient opens and
// nobody else is named in, whether its text is shared or not.
func TestCopies(t *testing.T) {
	ca := testkit.NewCA(t)
	var readers []reader
	for i := range 9 {
		// Names of different lengths shift the ciphertext in the base64.
		leaf := testkit.Leaf{Addresses: []string{fmt.Sprintf("reader%d@example.org", i)}, Key: []string{"p256", "rsa2048", "x25519"}[i/3]}
		readers = append(readers, newReader(t, ca, leaf))
	}
	for _, size := range []int{0, 1, 100, 5000, 80 << 10, 150 << 10, 300 << 10} {
		raw := message(size)
		want := wantEntity(t, raw)
		for _, e := range seal(t, raw, SealOptions{}, Target{cms.AES256CBC, &memory{}}, Target{cms.AES256GCM, &memory{}}) {
			for _, r := range readers {
				sealed := copyFor(t, e, r.to)
				checkForm(t, sealed)
				if !bytes.Equal(r.open(t, sealed), want) {
					t.Fatalf("%d bytes: something else is inside", size)
				}
			}
			if e.kept > maxTexts {
				t.Errorf("%d bytes of text are kept", e.kept)
			}
			other := copyFor(t, e, readers[0].to, readers[1].to)
			_, err := Open(bytes.NewReader(other), OpenOptions{Certificate: readers[2].cert, Key: readers[2].id.Key})
			if !errors.Is(err, cms.ErrNoRecipient) {
				t.Errorf("a stranger's attempt: %v", err)
			}
		}
	}
}

func TestSealedASCII(t *testing.T) {
	anna := anna(t)
	for raw, want := range map[string]bool{"To: b\r\n\r\n\xfc": true, "To: \xfc\r\n\r\nu": false} {
		s, err := seal(t, []byte(raw), SealOptions{}, Target{cms.AES256CBC, &memory{}})[0].Copy(anna.to)
		if err != nil {
			t.Fatal(err)
		}
		if s.ASCII() != want || s.Cipher() != "aes-256-cbc" {
			t.Errorf("%q: %v, %s", raw, s.ASCII(), s.Cipher())
		}
	}
}

// TestCopiesConcurrently: copies are made and written by several parcels at
// once, again and again, also after the key is gone.
func TestCopiesConcurrently(t *testing.T) {
	anna := anna(t)
	e := seal(t, message(20000), SealOptions{}, Target{cms.AES128GCM, &memory{}})[0]
	var group sync.WaitGroup
	results := make([][]byte, 8)
	for i := range results {
		group.Go(func() {
			s, err := e.Copy(anna.to)
			if err != nil {
				t.Error(err)
				return
			}
			var first, second bytes.Buffer
			_, err = s.WriteTo(&first)
			_, again := s.WriteTo(&second)
			if err != nil || again != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Errorf("written twice: %v, %v", err, again)
			}
			results[i] = first.Bytes()
		})
	}
	group.Wait()
	last, err := e.Copy(anna.to)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	results = append(results, write(t, last))
	for _, sealed := range results {
		anna.open(t, sealed)
	}
	if _, err := e.Copy(anna.to); err == nil {
		t.Error("a copy was made without the key")
	}
}

func TestZeroSealed(t *testing.T) {
	for _, s := range []*Sealed{nil, {}} {
		var out bytes.Buffer
		if n, err := s.WriteTo(&out); err == nil || n != 0 || out.Len() != 0 || s.Size() != 0 || s.Cipher() != "" || s.ASCII() {
			t.Errorf("a zero Sealed wrote %d bytes: %v", n, err)
		}
	}
}

func TestCopyFails(t *testing.T) {
	anna := anna(t)
	e := seal(t, message(1000), SealOptions{}, Target{cms.AES256CBC, &memory{}})[0]
	if _, err := e.Copy(); err == nil {
		t.Error("a copy for nobody")
	}
	if _, err := e.Copy(cms.Recipient{}); err == nil {
		t.Error("a copy for no recipient at all")
	}
	s, err := e.Copy(anna.to)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 100, int(s.Size()) - 1} {
		if n, err := s.WriteTo(&limitedWriter{size}); !errors.Is(err, errFull) || n != int64(size) {
			t.Errorf("a writer that takes %d bytes: %d, %v", size, n, err)
		}
	}
}

// A faultyStore gives something else than was put into it.
type faultyStore struct {
	memory
	give func(all []byte) (io.Reader, error)
}

func (s *faultyStore) Reader() (io.Reader, error) { return s.give(s.Bytes()) }

func TestStoreFails(t *testing.T) {
	anna := anna(t)
	broken := errors.New("broken store")
	for name, give := range map[string]func([]byte) (io.Reader, error){
		"nothing":   func([]byte) (io.Reader, error) { return nil, broken },
		"too short": func(all []byte) (io.Reader, error) { return bytes.NewReader(all[1:]), nil },
	} {
		e := seal(t, message(1000), SealOptions{}, Target{cms.AES256CBC, &faultyStore{give: give}})[0]
		for range 2 { // alone, and with text to share
			s, err := e.Copy(anna.to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.WriteTo(io.Discard); err == nil {
				t.Errorf("a store that gives %s was not noticed", name)
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	anna := anna(b)
	for _, size := range []int{5 << 10, 50 << 10, 1 << 20} {
		raw := message(size)
		for _, cipher := range []cms.Cipher{cms.AES256CBC, cms.AES256GCM} {
			for _, copies := range []int{1, 20} {
				b.Run(fmt.Sprintf("%dK/%v/%d", size>>10, cipher, copies), func(b *testing.B) {
					b.ReportAllocs()
					var store memory
					for b.Loop() {
						store.Reset()
						benchmarkSeal(b, raw, Target{cipher, &store}, anna.to, copies)
					}
				})
			}
		}
	}
}

func benchmarkSeal(b *testing.B, raw []byte, target Target, to cms.Recipient, copies int) {
	m, err := ReadMessage(bytes.NewReader(raw), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	envelopes, err := Seal(m, SealOptions{}, target)
	if err != nil {
		b.Fatal(err)
	}
	for range copies {
		s, err := envelopes[0].Copy(to)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.WriteTo(discard{}); err != nil {
			b.Fatal(err)
		}
	}
	envelopes[0].Close()
}
