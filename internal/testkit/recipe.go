package testkit

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A Recipe is a configuration that docs/postfix.md shows. Tests run what the
// page says, so the two cannot drift apart.
type Recipe struct {
	Main     string // main.cf
	Master   string // master.cf
	Sealpost string // sealpost.yaml
}

// A block of the page that belongs to a recipe names its file and the recipe
// behind the language: ```ini master.cf filter
var recipeBlock = regexp.MustCompile("(?ms)^```[a-z]+ (main\\.cf|master\\.cf|sealpost\\.yaml) ([a-z]+)\n(.*?)^```$")

// PostfixRecipe reads a recipe out of docs/postfix.md: "smarthost" or
// "filter". Several blocks for one file are put together in their order.
func PostfixRecipe(t testing.TB, name string) Recipe {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(ModuleRoot(t), "docs", "postfix.md"))
	if err != nil {
		t.Fatal(err)
	}
	var r Recipe
	for _, m := range recipeBlock.FindAllStringSubmatch(string(page), -1) {
		if m[2] != name {
			continue
		}
		switch m[1] {
		case "main.cf":
			r.Main += m[3]
		case "master.cf":
			r.Master += m[3]
		case "sealpost.yaml":
			r.Sealpost += m[3]
		}
	}
	if r.Main == "" || r.Master == "" || r.Sealpost == "" {
		t.Fatalf("docs/postfix.md has no whole recipe %q", name)
	}
	return r
}

// With exchanges addresses, and whatever else a test must change: pairs of
// what stands on the page and what takes its place. An address of the page is
// found in Postfix's form [127.0.0.1]:10025 too. What the page does not have
// fails the test.
func (r Recipe) With(t testing.TB, pairs ...string) Recipe {
	t.Helper()
	var all []string
	for i := 0; i+1 < len(pairs); i += 2 {
		before, after := pairs[i], pairs[i+1]
		if !strings.Contains(r.Main+r.Master+r.Sealpost, before) && !strings.Contains(r.Main, bracketed(before)) {
			t.Fatalf("the recipe does not hold %q", before)
		}
		all = append(all, before, after, bracketed(before), bracketed(after))
	}
	replace := strings.NewReplacer(all...).Replace
	return Recipe{Main: replace(r.Main), Master: replace(r.Master), Sealpost: replace(r.Sealpost)}
}

// bracketed writes 127.0.0.1:25 as [127.0.0.1]:25; what is no such address
// stays as it is.
func bracketed(addr string) string {
	if port, ok := strings.CutPrefix(addr, "127.0.0.1:"); ok {
		return "[127.0.0.1]:" + port
	}
	return addr
}

// ModuleRoot is the folder of go.mod.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}
