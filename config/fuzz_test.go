package config

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzParse wants an answer for any bytes, findings that can be shown on one
// line, and an effective configuration that reads as the same one.
func FuzzParse(f *testing.F) {
	dir := workFolder(f)
	file := filepath.Join(dir, "sealpost.yaml")
	_, parts := readParts(f, "testdata/mistakes.txt")
	if len(parts) < 120 {
		f.Fatal("the seeds are gone")
	}
	for _, p := range parts {
		if strings.HasSuffix(p.name, ".yaml") {
			f.Add([]byte(withBase(p.text)))
		}
	}
	f.Add([]byte(full))
	f.Add([]byte(withBase("")))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, warnings, err := parse(file, data, around())
		var list ErrorList
		if errors.As(err, &list) {
			warnings = append(warnings, list...)
		} else if err != nil {
			t.Fatalf("an error of another type: %v", err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range warnings {
			if p.Line < 0 || p.Line > lines || p.Text == "" || strings.ContainsAny(p.String(), "\n\r\x00") {
				t.Fatalf("a finding that cannot be shown: %q", p)
			}
		}
		if err != nil {
			if first != nil || len(list) == 0 {
				t.Fatal("an error without a mistake, or beside a configuration")
			}
			return
		}
		effective := first.Effective()
		second, _, err := parse(file, effective, around())
		if err != nil {
			t.Fatalf("%v\n%s", err, effective)
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("the effective configuration reads as another one:\n%s\n%s", effective, second.Effective())
		}
	})
}
