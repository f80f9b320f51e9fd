package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExamples reads what people copy: the files in testdata/config, and the
// configurations on the reference page.
func TestExamples(t *testing.T) {
	examples := map[string]string{}
	files, err := filepath.Glob("../testdata/config/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("the examples are gone: %v %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		examples[filepath.Base(f)] = string(data)
	}
	page, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	if !ok {
		t.Fatal("the reference page has no example")
	}
	examples["configuration.md"], _, _ = strings.Cut(rest, "```")

	dir := workFolder(t)
	for name, from := range map[string]string{"users.htpasswd": "users", "keys.token": "pass"} {
		if err := os.Link(filepath.Join(dir, from), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range examples {
		_, warnings, err := parse(filepath.Join(dir, name), []byte(text), around())
		if err != nil {
			t.Error(err)
		}
		for _, w := range warnings {
			// The filter's rule for incoming mail is meant to be seen.
			if name != "content-filter.yaml" || w.Key != "policy[0].encrypt" {
				t.Error(w)
			}
		}
	}
}
