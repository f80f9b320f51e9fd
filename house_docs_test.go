package sealpost_test

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// Every module that the code imports is there by a choice, and the choice is
// written down; what is not imported any more has no line any more.
func TestDependenciesAreExplained(t *testing.T) {
	page := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		page[m[1]] = true
	}
	imported := importedModules(t)
	for m, where := range imported {
		if !page[m] {
			t.Errorf("docs/dependencies.md does not say why %s, which %s imports", m, where)
		}
	}
	for m := range page {
		if imported[m] == "" {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", m)
		}
	}
}

// importedModules gives the modules of go.mod that the code imports, each with
// a file that does.
func importedModules(t *testing.T) map[string]string {
	t.Helper()
	required := regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	imported := map[string]string{}
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			for _, m := range required {
				if strings.HasPrefix(strings.Trim(imp.Path.Value, `"`)+"/", m[1]+"/") {
					imported[m[1]] = s.path
				}
			}
		}
	}
	if len(imported) == 0 {
		t.Fatal("the code imports no module of go.mod")
	}
	return imported
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	mdFenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, p := range files(t, ".md") {
		for _, m := range mdLink.FindAllStringSubmatch(mdFenced.ReplaceAllString(read(t, p), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			if target = path.Join(path.Dir(p), target); strings.HasPrefix(m[1], "#") {
				target = p
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", p, m[1])
			} else if anchor != "" && strings.HasSuffix(target, ".md") && !hasAnchor(read(t, target), anchor) {
				t.Errorf("%s links to %s: no such heading", p, m[1])
			}
		}
	}
}

// hasAnchor reports whether a page has a heading (or an HTML id) whose anchor
// is the one given, by the rule of the usual Markdown viewers.
func hasAnchor(page, anchor string) bool {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range mdHeading.FindAllStringSubmatch(mdFenced.ReplaceAllString(page, ""), -1) {
		if strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return strings.Contains(page, `id="`+anchor+`"`)
}
