package provision

import (
	"strings"
	"testing"
)

// What is read as a hash is written as it was.
func FuzzHash(f *testing.F) {
	good := HashSecret("customer 4711")
	for _, seed := range []string{good, "", "$argon2id$", strings.Replace(good, "m=", "m=+", 1), strings.Replace(good, "t=2", "t=02", 1), good + "=", good[:60]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := parseHash(s); ok && h.String() != s {
			t.Errorf("%q is read as %q", s, h)
		}
	})
}

// A pattern without wildcards matches itself alone; one with a * more matches no
// less.
func FuzzGlob(f *testing.F) {
	f.Add("*@example.org", "anna@example.org")
	f.Add("a?c*", "abc")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		matches := glob(pattern, s)
		if !strings.ContainsAny(pattern, "*?") && matches != (pattern == s) {
			t.Errorf("%q matches %q: %v", pattern, s, matches)
		}
		if matches && (!glob(pattern+"*", s) || !glob("*"+pattern, s)) {
			t.Errorf("%q matches %q, and with a * more it does not", pattern, s)
		}
	})
}
