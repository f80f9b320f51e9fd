// Package sealpost_test keeps the house rules of CONTRIBUTING.md.
package sealpost_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The bounds of a file and of a function, in lines. They are the outer fence:
// most files have 150 lines and most functions twenty.
const (
	maxFile     = 500
	maxFunc     = 80
	maxTestFunc = 120 // tables are data
)

// floors says on which floor each room lives. A room imports only from floors
// below, and from its own subfolders.
var floors = map[string]int{
	"internal": 0,
	"smime":    1, "lookup": 1,
	"relay": 2, "directory": 2,
	"config": 3,
	"cmd":    4,
}

// A source is one parsed Go file.
type source struct {
	path string // slash-separated, from the module root
	file *ast.File
	set  *token.FileSet
}

func (s source) dir() string          { return path.Dir(s.path) }
func (s source) isTest() bool         { return strings.HasSuffix(s.path, "_test.go") }
func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range files(t, ".go") {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{p, f, set})
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files: the rules are not being kept on anything", len(all))
	}
	return all
}

// files lists the module's files whose name has one of the endings.
func files(t *testing.T, endings ...string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || p == "bin") {
			return filepath.SkipDir
		}
		ends := func(e string) bool { return strings.HasSuffix(p, e) }
		if !d.IsDir() && slices.ContainsFunc(endings, ends) {
			all = append(all, filepath.ToSlash(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoomsImportOnlyDownwards(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			to, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), "sealpost/")
			if !ours {
				continue
			}
			if why := forbidden(s.dir(), to); why != "" {
				t.Errorf("%s:%d imports %s: %s", s.path, s.line(imp.Pos()), to, why)
			}
			if to == "internal/testkit" && !s.isTest() {
				t.Errorf("%s:%d imports %s: only tests may", s.path, s.line(imp.Pos()), to)
			}
		}
	}
}

// forbidden says why the package in folder from may not import the one in
// folder to; "" when it may.
func forbidden(from, to string) string {
	room := func(dir string) string { first, _, _ := strings.Cut(dir, "/"); return first }
	high, known := floors[room(from)]
	low, knownTo := floors[room(to)]
	switch {
	case from == ".": // the tests of the whole
		return ""
	case !known || !knownTo:
		return "one of them is on no floor; add it to floors in house_test.go"
	case low > high:
		return "it lives on a floor above"
	case low == high && room(from) != room(to):
		return "rooms on one floor do not know each other"
	case strings.HasPrefix(from, to+"/"):
		return "a subfolder does not import the room it belongs to"
	}
	return ""
}

func TestForbiddenImports(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"relay", "smime", false}, {"relay", "relay/intake", false}, {"smime", "internal/address", false},
		{"cmd/sealpost", "config", false}, {"relay/upstream", "relay/reply", false},
		{"smime", "lookup", true}, {"relay", "config", true}, {"relay/intake", "relay", true},
		{"internal/address", "smime", true}, {"relay", "directory", true}, {"relay", "somewhere", true},
	} {
		if why := forbidden(c.from, c.to); (why != "") != c.bad {
			t.Errorf("%s imports %s: %q", c.from, c.to, why)
		}
	}
}

func TestFilesAndFunctionsAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.line(s.file.End()); n > maxFile {
			t.Errorf("%s has %d lines, more than %d: it holds two ideas", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit := maxFunc
			if s.isTest() {
				limit = maxTestFunc
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > limit {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, s.line(f.Pos()), f.Name.Name, n, limit)
			}
			if f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s:%d: func init: wiring belongs into main", s.path, s.line(f.Pos()))
			}
		}
	}
}

func TestPackagesAreNamedAndDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, s := range sources(t) {
		switch base := path.Base(s.dir()); base {
		case "util", "utils", "common", "helper", "helpers", "manager", "misc":
			t.Errorf("%s: %q says nothing about what is inside", s.path, base)
		}
		described[s.dir()] = described[s.dir()] || s.file.Doc != nil && !s.isTest() || s.dir() == "."
	}
	for dir, ok := range described {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s:%d: %s is exported and has no doc comment", s.path, s.line(d.Pos()), name)
			}
		}
	}
}

// undocumented gives the exported functions, types and methods of exported
// types in d that have no comment. Methods that implement what the standard
// library names speak for themselves.
func undocumented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		obvious := []string{"Error", "String", "Close", "Read", "Write", "Unwrap", "Reset", "Len", "Less", "Swap"}
		if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d) && !slices.Contains(obvious, d.Name.Name)) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && ts.Doc == nil && d.Doc == nil {
				names = append(names, ts.Name.Name)
			}
		}
	}
	return names
}

func exportedReceiver(f *ast.FuncDecl) bool {
	x := f.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.Ident:
			return v.IsExported()
		default:
			return true
		}
	}
}
