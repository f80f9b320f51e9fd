package config

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

// goTypes finds words that only a Go programmer knows.
var goTypes = regexp.MustCompile(`\b(netip|reflect|yaml\.|config\.|time\.Duration|int64|\[\]string|unmarshal|map\[)`)

// TestBytesThatAreNoText covers what editors do not show.
func TestBytesThatAreNoText(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"NUL":            {"hostname: a\x00b\n", 1},
		"control":        {"log:\n  level: \x1binfo\n", 2},
		"delete":         {"a\x7f", 1},
		"Latin-1":        {"a: b\n# gr\xfc\xdfe\n", 2},
		"UTF-16":         {"\xff\xfeh\x00o\x00", 1},
		"tab":            {"log:\n\tlevel: info\n", 2},
		"blank then tab": {"log:\n  \tlevel: info\n", 2},
		"too large":      {strings.Repeat("# comment\n", MaxSize/10+1), 0},
		"deep":           {strings.Repeat("[", 20000), 1},
		"deep sections":  {"listen: " + strings.Repeat("{a: ", 20000), 1},
		"deep blocks":    {"listen:\n" + strings.Repeat("- ", 20000) + "a", 2},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Parse("sealpost.yaml", []byte(c.text))
			var list ErrorList
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("got %v", err)
			}
			if list[0].Line != c.line {
				t.Errorf("line %d, want %d: %v", list[0].Line, c.line, list[0])
			}
		})
	}
}

// TestAliasBomb wants a short answer in a short time: aliases are refused
// where they stand, and never expanded.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("listen: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for i, c := range "bcdefghijklm" {
		prev := string("abcdefghijklm"[i])
		b.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 9) + "*" + prev + "]\n")
	}
	_, _, err := Parse("sealpost.yaml", []byte(b.String()))
	if err == nil || len(err.Error()) > 10000 {
		t.Errorf("got %d bytes of errors", len(err.Error()))
	}
}

// TestFriendlyForms must be taken: they are what editors and people write.
func TestFriendlyForms(t *testing.T) {
	dir := workFolder(t)
	text := withBase("")
	for name, data := range map[string]string{
		"byte order mark": "\ufeff" + text,
		"CRLF":            strings.ReplaceAll(text, "\n", "\r\n"),
		"begins with ---": "---\n" + text,
		"ends with ...":   text + "...\n",
		"tabs elsewhere":  text + "# \tcomment\nlog:\t{level: info}\t# \n",
		"quoted":          text + "limits: {\"recipients\": 5, 'message_size': '10MiB', rate_window: \"90s\"}\n",
	} {
		if _, _, err := parse(dir+"/sealpost.yaml", []byte(data), around()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
