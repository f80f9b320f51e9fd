package sealpost_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A test waits for what happens, with a deadline; it never sleeps and hopes.
// In a file that uses synctest, time is synthetic and may be slept away. And a
// test looks at what an error is, not at how it is worded.
func TestTestsNeitherSleepNorCompareErrorTexts(t *testing.T) {
	texts := regexp.MustCompile(`\.Error\(\) *[!=]= *"|[!=]= *err\.Error\(\)`)
	for _, s := range sources(t) {
		if !s.isTest() {
			continue
		}
		synthetic := strings.Contains(read(t, s.path), "synctest.Test(")
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && sel.Sel.Name == "Sleep" && !synthetic {
				t.Errorf("%s:%d sleeps", s.path, s.line(sel.Pos()))
			}
			return true
		})
		for i, line := range strings.Split(read(t, s.path), "\n") {
			if texts.MatchString(line) {
				t.Errorf("%s:%d compares the text of an error", s.path, i+1)
			}
		}
	}
}

// A fuzz target without seeds starts from nothing, and a vector folder that
// has become empty makes its test pass on nothing.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !s.isTest() || !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			corpus, _ := filepath.Glob(path.Join(s.dir(), "testdata", "fuzz", f.Name.Name, "*"))
			body := read(t, s.path)[s.set.Position(f.Pos()).Offset:s.set.Position(f.End()).Offset]
			if len(corpus) == 0 && !strings.Contains(body, ".Add(") && !strings.Contains(strings.ToLower(body), "seed") {
				t.Errorf("%s:%d: %s has no seeds", s.path, s.line(f.Pos()), f.Name.Name)
			}
		}
	}
}

func TestVectorFoldersAreNotEmpty(t *testing.T) {
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || !strings.Contains("/"+filepath.ToSlash(p)+"/", "/testdata/") {
			return err
		}
		entries, err := os.ReadDir(p)
		if len(entries) == 0 {
			t.Errorf("%s is empty", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	mark := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	for _, p := range append(files(t, ".go", ".md", ".service", "Makefile", "Dockerfile"), ".ci/run", ".ci/setup") {
		for i, line := range strings.Split(read(t, p), "\n") {
			if mark.MatchString(line) {
				t.Errorf("%s:%d: %s", p, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func read(t *testing.T, p string) string {
	t.Helper()
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
