package reason

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared reads the tokens out of the package's source: name to value.
func declared(t *testing.T) map[string]Token {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Token{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			lit, ok := spec.Values[i].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not a plain text", name)
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[name.Name] = Token(text)
		}
		return true
	})
	return out
}

func TestAllIsAll(t *testing.T) {
	all := All()
	for name, tok := range declared(t) {
		if found := slices.Contains(all, tok); found != (tok != None) {
			t.Errorf("%s in All: %v", name, found)
		}
	}
	if n := len(declared(t)) - 1; len(all) != n {
		t.Errorf("All has %d tokens, the source has %d", len(all), n)
	}
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for i, tok := range all {
		if !word.MatchString(string(tok)) {
			t.Errorf("%q is not words joined by dashes", tok)
		}
		if slices.Contains(all[:i], tok) {
			t.Errorf("%q stands twice", tok)
		}
	}
}

// TestEveryReasonIsDocumented reads docs/reasons.md: one section a token, in
// the order of All, and in each what it means, what the sender sees and what
// the operator does.
func TestEveryReasonIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var titles []Token
	sections := strings.Split("\n"+string(page), "\n## ")[1:]
	for _, s := range sections {
		title, body, _ := strings.Cut(s, "\n")
		titles = append(titles, Token(title))
		for _, part := range []string{"**Means:** ", "**The sender sees:** ", "**What to do:** "} {
			if strings.Count(body, part) != 1 {
				t.Errorf("%s: want %q once", title, part)
			}
		}
	}
	if all := All(); !slices.Equal(titles, all) {
		for _, tok := range all {
			if !slices.Contains(titles, tok) {
				t.Errorf("%s has no section", tok)
			}
		}
		for _, tok := range titles {
			if !slices.Contains(all, tok) {
				t.Errorf("the section %s is for no token", tok)
			}
		}
		t.Errorf("the sections are not All, in its order: %v", titles)
	}
}
