package smime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sample is one message of the corpus: odd, but of a kind that real programs
// send.
type sample struct {
	name string
	raw  []byte
}

// corpus gives the messages of testdata/messages, and those that are too long
// to keep there.
func corpus(t testing.TB) []sample {
	t.Helper()
	paths, err := filepath.Glob("testdata/messages/*.eml")
	if err != nil || len(paths) < 20 {
		t.Fatalf("corpus has %d messages: %v", len(paths), err)
	}
	var all []sample
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample{strings.TrimSuffix(filepath.Base(path), ".eml"), raw})
	}
	const header = "From: a@bank.example\r\nTo: anna@example.org\r\n"
	long := strings.Repeat("a line without end ", 100<<10/19)
	return append(all,
		sample{"long-line", []byte(header + "\r\n" + long + "\r\n" + long)},
		sample{"long-field", []byte(header + "X-Long: " + long + "\r\nContent-Description: " + long + "\r\n\r\ntext\r\n")},
		sample{"many-fields", []byte(header + strings.Repeat("X-Field: value\r\n", 990) + "\r\ntext\r\n")},
		sample{"large", []byte(header + "\r\n" + strings.Repeat("seventy-six characters and CRLF, as attachments have them, make up a line.\r\n", 20000))},
	)
}
