package smime

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

var update = flag.Bool("update", false, "write the golden files anew")

var ciphers = []cms.Cipher{cms.AES128CBC, cms.AES256CBC, cms.AES128GCM, cms.AES256GCM}

// A reader is somebody who gets sealed mail.
type reader struct {
	id   *testkit.Identity
	cert *certificate.Certificate
	to   cms.Recipient
}

func newReader(t testing.TB, ca *testkit.CA, leaf testkit.Leaf) reader {
	t.Helper()
	r := reader{id: ca.Issue(t, leaf)}
	var err error
	if r.cert, err = certificate.Parse(r.id.Cert.Raw); err != nil {
		t.Fatal(err)
	}
	if r.to, err = cms.NewRecipient(r.cert, cms.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func anna(t testing.TB) reader {
	return newReader(t, testkit.NewCA(t), testkit.Leaf{Addresses: []string{"anna@example.org"}})
}

func (r reader) open(t testing.TB, sealed []byte) []byte {
	t.Helper()
	entity, err := Open(bytes.NewReader(sealed), OpenOptions{Certificate: r.cert, Key: r.id.Key})
	if err != nil {
		t.Fatal(err)
	}
	return entity
}

func seal(t testing.TB, raw []byte, opts SealOptions, targets ...Target) []*Envelope {
	t.Helper()
	m, err := ReadMessage(bytes.NewReader(raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	envelopes, err := Seal(m, opts, targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, e := range envelopes {
			e.Close()
		}
	})
	return envelopes
}

// write gives the bytes of a sealed message and makes sure of its Size.
func write(t testing.TB, s *Sealed) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := s.WriteTo(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(out.Len()) || n != s.Size() {
		t.Fatalf("wrote %d bytes, says %d, Size %d", out.Len(), n, s.Size())
	}
	return out.Bytes()
}

func copyFor(t testing.TB, e *Envelope, to ...cms.Recipient) []byte {
	t.Helper()
	s, err := e.Copy(to...)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, s)
}

// wantEntity says independently of the code what is to be inside: the
// Content-* fields and the body.
func wantEntity(t testing.TB, raw []byte) []byte {
	t.Helper()
	m, body, err := split(t, string(raw), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fields, hasType := "", false
	for f := range m.Header.Fields() {
		name := strings.ToLower(f.Name)
		if strings.HasPrefix(name, "content-") && name != "content-length" {
			fields += f.Raw
			hasType = hasType || name == "content-type"
		}
	}
	if !hasType {
		fields = "Content-Type: text/plain\r\n" + fields
	}
	return []byte("MIME-Version: 1.0\r\n" + fields + "\r\n" + body)
}

// TestCorpus: whatever comes in comes out again, byte for byte, with OpenSSL
// and with us.
func TestCorpus(t *testing.T) {
	testkit.Need(t, "openssl")
	anna := anna(t)
	for i, m := range corpus(t) {
		t.Run(m.name, func(t *testing.T) {
			want := wantEntity(t, m.raw)
			targets := make([]Target, len(ciphers))
			for i, c := range ciphers {
				targets[i] = Target{c, &memory{}}
			}
			for j, e := range seal(t, m.raw, SealOptions{}, targets...) {
				sealed := copyFor(t, e, anna.to)
				checkForm(t, sealed)
				if got := anna.open(t, sealed); !bytes.Equal(got, want) {
					t.Fatalf("%v: inside is %.300q, want %.300q", ciphers[j], got, want)
				}
				if (i+j)%len(ciphers) != 0 {
					continue // a process costs; every message goes through one of them
				}
				if got := testkit.OpenSSLOpen(t, sealed, anna.id); !bytes.Equal(got, want) {
					t.Fatalf("%v: OpenSSL opens %.300q, want %.300q", ciphers[j], got, want)
				}
			}
		})
	}
}

// checkForm checks what every sealed message must look like.
func checkForm(t testing.TB, sealed []byte) {
	t.Helper()
	m, body, err := split(t, string(sealed), Limits{Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition"} {
		if n := m.Header.Count(name); n != 1 {
			t.Errorf("%d fields %s", n, name)
		}
	}
	lines := strings.SplitAfter(body, "\r\n")
	for i, line := range lines[:len(lines)-1] {
		if len(line) != lineText && i != len(lines)-2 || len(line) > lineText || strings.Trim(line[:len(line)-2], alphabet) != "" {
			t.Fatalf("line %d is %q", i, line)
		}
	}
	if lines[len(lines)-1] != "" {
		t.Errorf("the message ends in %q", lines[len(lines)-1])
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// TestOuterHeader compares the header outside with testdata/outer.
func TestOuterHeader(t *testing.T) {
	trace := []byte("Received: from client.example\r\n\tby relay.bank.example (Sealpost) with ESMTPS id X;\r\n\tMon, 05 Jan 2026 10:00:00 +0100\r\n")
	anna := anna(t)
	for _, c := range []struct {
		name   string
		cipher cms.Cipher
		opts   SealOptions
	}{
		{"no-mime", cms.AES256CBC, SealOptions{}},
		{"no-mime", cms.AES256GCM, SealOptions{Trace: trace}},
		{"no-header", cms.AES256CBC, SealOptions{}},
		{"header-cut", cms.AES256CBC, SealOptions{Trace: trace}},
		{"folded-duplicate", cms.AES128GCM, SealOptions{Trace: trace}},
		{"dropped-fields", cms.AES128CBC, SealOptions{Trace: trace}},
		{"dropped-fields", cms.AES128GCM, SealOptions{Drop: []string{"authentication-results", "content-type"}}},
		{"dropped-fields", cms.AES256GCM, SealOptions{Drop: []string{}}},
		{"statement", cms.AES256CBC, SealOptions{Trace: trace}},
		{"utf8-header", cms.AES256CBC, SealOptions{}},
		{"forwarded", cms.AES256CBC, SealOptions{}},
		{"groups", cms.AES256CBC, SealOptions{}},
	} {
		raw, err := os.ReadFile(filepath.Join("testdata", "messages", c.name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		sealed := copyFor(t, seal(t, raw, c.opts, Target{c.cipher, &memory{}})[0], anna.to)
		end := bytes.Index(sealed, []byte("\r\n\r\n")) + 4
		golden(t, filepath.Join("testdata", "outer", c.name+"."+c.cipher.String()), sealed[:end])
	}
}

func golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// TestNothingShows: what is for the recipient alone stands nowhere outside,
// nor does what is for nobody.
func TestNothingShows(t *testing.T) {
	canary := testkit.NewCanary(t)
	c := string(canary)
	raw := "From: a@bank.example\r\nTo: anna@example.org\r\n" +
		"Bcc: " + c + "@example.org,\r\n " + c + "@example.net\r\nBCC\t: " + c + "@example.org\r\nresent-bcc: " + c + "@example.org\r\n" +
		"Return-Path: <" + c + "@bank.example>\r\n" +
		"Content-Type: text/plain; name=\"" + c + ".txt\"\r\n" +
		"Content-Description: " + c + "\r\nCONTENT-Disposition : attachment;\r\n filename=\"" + c + "\"\r\n" +
		"Content-" + c + ": x\r\nContent-Length: 12\r\n" +
		"\r\n" + c + "\r\n" + strings.Repeat(c, 10000)
	anna := anna(t)
	var stored [2]memory
	envelopes := seal(t, []byte(raw), SealOptions{}, Target{cms.AES256CBC, &stored[0]}, Target{cms.AES256GCM, &stored[1]})
	for i, e := range envelopes {
		canary.Absent(t, "the sealed message", copyFor(t, e, anna.to))
		canary.Absent(t, "the store", stored[i].Bytes())
	}
	if canary.FoundIn(anna.open(t, copyFor(t, envelopes[0], anna.to))) == "" {
		t.Error("the canary is not inside either")
	}
}

func TestSealFails(t *testing.T) {
	broken := errors.New("connection lost")
	read := func() *Message {
		m, err := ReadMessage(strings.NewReader("A: 1\r\n\r\ntext"), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	lost := read()
	lost.Body = iotest.ErrReader(broken)
	if _, err := Seal(lost, SealOptions{}, Target{cms.AES256CBC, &memory{}}); !errors.Is(err, broken) {
		t.Errorf("a body that breaks off: %v", err)
	}
	for _, size := range []int{0, 10} {
		store := &fullStore{w: limitedWriter{size}}
		if _, err := Seal(read(), SealOptions{}, Target{cms.AES256CBC, &memory{}}, Target{cms.AES256GCM, store}); !errors.Is(err, errFull) {
			t.Errorf("a full store: %v", err)
		}
	}
	if _, err := Seal(read(), SealOptions{}); err == nil {
		t.Error("sealed for no target")
	}
	if _, err := Seal(read(), SealOptions{}, Target{0, &memory{}}); err == nil {
		t.Error("sealed with no cipher")
	}
	for _, trace := range []string{"Received", "Received: x", "Received: x\r\n\r\n", "A: b\r\nno field\r\n", " x\r\n", "A: b\n"} {
		if _, err := Seal(read(), SealOptions{Trace: []byte(trace)}, Target{cms.AES256CBC, &memory{}}); err == nil {
			t.Errorf("trace %q was put on top", trace)
		}
	}
}

// A fullStore takes a few bytes and no more.
type fullStore struct {
	memory
	w limitedWriter
}

func (s *fullStore) Write(p []byte) (int, error) { return s.w.Write(p) }
