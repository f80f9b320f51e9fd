package config

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

//go:generate go test -run ^TestReference$ -update .

const referencePage = "../docs/configuration.md"

// TestReference keeps docs/configuration.md what the doc comments say.
func TestReference(t *testing.T) {
	r := &reference{structs: parseStructs(t)}
	head, err := os.ReadFile("testdata/configuration-head.md")
	if err != nil {
		t.Fatal(err)
	}
	r.out.WriteString("<!-- Generated from the comments in config/*.go by `make docs`. Edit them, not this page. -->\n\n")
	r.out.Write(head)
	r.section(t, "Config", "")
	got := append(bytes.TrimRight(r.out.Bytes(), "\n"), '\n')
	if *update {
		if err := os.WriteFile(referencePage, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is not what the comments say: run `make docs`")
	}
}

// parseStructs reads the package's own source.
func parseStructs(t *testing.T) map[string]*ast.TypeSpec {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*ast.TypeSpec{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.TypeSpec)
				if _, ok := spec.Type.(*ast.StructType); ok {
					spec.Doc = g.Doc
					out[spec.Name.Name] = spec
				}
			}
		}
	}
	return out
}

// A reference is the page while it is written.
type reference struct {
	structs map[string]*ast.TypeSpec
	out     bytes.Buffer
}

// section writes the keys of a struct, and then the sections inside it.
func (r *reference) section(t *testing.T, name, key string) {
	if key == "" {
		r.out.WriteString("## The file\n\n")
	} else {
		fmt.Fprintf(&r.out, "## `%s`\n\n%s\n\n", key, about(r.structs[name].Doc.Text(), name))
	}
	var inner [][2]string
	for _, f := range r.structs[name].Type.(*ast.StructType).Fields.List {
		if f.Tag == nil {
			continue
		}
		text, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		tag := reflect.StructTag(text)
		yamlName := tag.Get("yaml")
		if yamlName == "" {
			continue
		}
		if strings.TrimSpace(f.Doc.Text()) == "" {
			t.Errorf("%s of %s has no comment", yamlName, name)
		}
		full := join(key, yamlName)
		kind, sub := r.kind(f.Type, tag)
		r.key(full, kind, sub, tag, f.Doc.Text())
		if sub != "" {
			if strings.HasPrefix(kind, "list") {
				full += "[]"
			}
			inner = append(inner, [2]string{sub, full})
		}
	}
	for _, s := range inner {
		r.section(t, s[0], s[1])
	}
}

// about drops the leading "Name is", which is for readers of the source.
func about(doc, name string) string {
	doc = strings.TrimSpace(doc)
	for _, verb := range []string{" is ", " are ", " bound "} {
		if rest, ok := strings.CutPrefix(doc, name+verb); ok {
			if verb == " bound " {
				rest = "bounds " + rest
			}
			return markHazard(strings.ToUpper(rest[:1]) + rest[1:])
		}
	}
	return markHazard(doc)
}

// key writes one key.
func (r *reference) key(full, kind, sub string, tag reflect.StructTag, doc string) {
	facts := []string{kind}
	if tag.Get("required") != "" {
		facts = append(facts, "required")
	}
	if def, ok := tag.Lookup("default"); ok {
		if strings.HasPrefix(kind, "list") {
			def = "[" + strings.ReplaceAll(def, ",", ", ") + "]"
		}
		facts = append(facts, "default `"+def+"`")
	}
	lo, hi := tag.Get("min"), tag.Get("max")
	switch {
	case lo != "" && hi != "":
		facts = append(facts, "from "+lo+" to "+hi)
	case lo != "" && sub == "":
		facts = append(facts, "at least "+lo)
	case lo != "":
		facts = append(facts, "not empty")
	}
	fmt.Fprintf(&r.out, "**`%s`** — %s.\\\n%s\n\n", full, strings.Join(facts, ", "), markHazard(strings.TrimSpace(doc)))
}

func markHazard(doc string) string {
	return strings.ReplaceAll(doc, "Hazard: ", "**Hazard:** ")
}

// kind says what a key holds, and which struct is inside.
func (r *reference) kind(e ast.Expr, tag reflect.StructTag) (kind, sub string) {
	switch x := e.(type) {
	case *ast.StarExpr:
		return r.kind(x.X, tag)
	case *ast.ArrayType:
		kind, sub = r.kind(x.Elt, tag)
		if sub != "" {
			return "list of sections", sub
		}
		if tag.Get("single") != "" {
			return kind + ", or a list of " + plural(kind), ""
		}
		return "list of " + plural(kind), ""
	case *ast.SelectorExpr:
		return map[string]string{"Duration": "duration", "Prefix": "network"}[x.Sel.Name], ""
	case *ast.Ident:
		if _, ok := r.structs[x.Name]; ok {
			return "section", x.Name
		}
		if words := tag.Get("enum"); words != "" {
			return "`" + strings.ReplaceAll(words, "|", "`, `") + "`", ""
		}
		if kind, ok := kindNames()[tag.Get("kind")]; ok {
			return kind, ""
		}
		return map[string]string{"string": "text", "bool": "`true`, `false`", "int": "number", "Size": "size", "Path": "path"}[x.Name], ""
	}
	return "", ""
}

func kindNames() map[string]string {
	return map[string]string{
		"address": "address", "server": "host and port", "domain": "host name", "glob": "pattern",
		"field": "field name", "word": "name", "resolver": "resolver",
	}
}

func plural(kind string) string {
	if strings.HasSuffix(kind, "s") {
		return kind + "es"
	}
	return kind + "s"
}

// TestTags finds a tag with a typing error in it, which Go would pass over.
func TestTags(t *testing.T) {
	known := []string{"yaml", "default", "enum", "later", "min", "max", "kind", "required", "word", "single"}
	kinds := slices.Collect(maps.Keys(kindNames()))
	var walk func(t2 reflect.Type)
	walk = func(t2 reflect.Type) {
		for t2.Kind() == reflect.Slice || t2.Kind() == reflect.Pointer {
			t2 = t2.Elem()
		}
		if t2.Kind() != reflect.Struct || t2.PkgPath() != reflect.TypeFor[Config]().PkgPath() {
			return
		}
		for i := range t2.NumField() {
			f := t2.Field(i)
			for pair := range strings.FieldsSeq(string(f.Tag)) {
				if name, _, ok := strings.Cut(pair, ":\""); ok && !slices.Contains(known, name) {
					t.Errorf("%s.%s has the unknown tag %s", t2.Name(), f.Name, name)
				}
			}
			if f.Name != "_" && f.Tag.Get("yaml") == "" {
				t.Errorf("%s.%s has no key", t2.Name(), f.Name)
			}
			if kind := f.Tag.Get("kind"); kind != "" && !slices.Contains(kinds, kind) {
				t.Errorf("%s.%s has the unknown kind %s", t2.Name(), f.Name, kind)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Config]())
}
