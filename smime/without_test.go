package smime

import (
	"io"
	"strings"
	"testing"
)

func readHeader(t testing.TB, message string) (*Header, string) {
	t.Helper()
	m, err := ReadMessage(strings.NewReader(message), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, string(body)
}

func TestWithout(t *testing.T) {
	drop := func(name string) bool { return strings.EqualFold(name, "X-Secret") }
	for _, c := range []struct{ name, message, want string }{
		{"none", "From: a\r\n\r\nx", "From: a\r\n\r\n"},
		{"first", "X-Secret: 1\r\nFrom: a\r\n\r\nx", "From: a\r\n\r\n"},
		{"last", "From: a\r\nx-secret: 1\r\n\r\nx", "From: a\r\n\r\n"},
		{"folded", "From: a\r\nX-Secret: 1\r\n 2\r\n\t3\r\nTo: b\r\n\r\n", "From: a\r\nTo: b\r\n\r\n"},
		{"blank before the colon", "X-Secret \t: 1\r\nTo: b\r\n\r\n", "To: b\r\n\r\n"},
		{"several", "X-Secret: 1\r\nTo: b\r\nX-SECRET: 2\r\n\r\n", "To: b\r\n\r\n"},
		{"all", "X-Secret: 1\r\n\r\nx", "\r\n"},
		{"ends within the header", "To: b\r\nX-Secret: 1", "To: b\r\n"},
		{"a longer name", "X-Secret-Too: 1\r\n\r\n", "X-Secret-Too: 1\r\n\r\n"},
	} {
		h, _ := readHeader(t, c.message)
		got := h.Without(drop)
		if got.Raw() != c.want {
			t.Errorf("%s: %q", c.name, got.Raw())
		}
		if again, _ := readHeader(t, got.Raw()); again.Raw() != got.Raw() || !sameFields(again, got) {
			t.Errorf("%s: read again it is %q", c.name, again.Raw())
		}
	}
}

func sameFields(a, b *Header) bool {
	var x, y []Field
	for f := range a.Fields() {
		x = append(x, f)
	}
	for f := range b.Fields() {
		y = append(y, f)
	}
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// Whatever the header is: the fields are gone, the others are as they were, and
// the body begins where it began.
func FuzzWithout(f *testing.F) {
	f.Add("From: a\r\nX-Secret: 1\r\n 2\r\nTo: b\r\n\r\nx")
	f.Add("X-Secret: 1\r\nnot a field\r\n\r\n")
	f.Fuzz(func(t *testing.T, message string) {
		m, err := ReadMessage(strings.NewReader(message), Limits{})
		if err != nil {
			return
		}
		drop := func(name string) bool { return strings.EqualFold(name, "X-Secret") }
		got := m.Header.Without(drop)
		if got.Count("X-Secret") != 0 {
			t.Fatalf("still there: %q", got.Raw())
		}
		left := len(m.Header.Raw())
		var kept []string
		for field := range m.Header.Fields() {
			if drop(field.Name) {
				left -= len(field.Raw)
			} else {
				kept = append(kept, field.Raw)
			}
		}
		if len(got.Raw()) != left {
			t.Fatalf("%q became %q", m.Header.Raw(), got.Raw())
		}
		i := 0
		for field := range got.Fields() {
			if field.Raw != kept[i] {
				t.Fatalf("field %d: %q, was %q", i, field.Raw, kept[i])
			}
			i++
		}
	})
}
