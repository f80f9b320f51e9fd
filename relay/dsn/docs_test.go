package dsn

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/bounces.md"

var example = regexp.MustCompile("(?ms)^(```text failure\n)(.*?)(^```$)")

// The notification that docs/bounces.md shows is one that Compose writes.
func TestShownNotificationIsReal(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	shown := example.FindSubmatch(text)
	if shown == nil {
		t.Fatalf("%s shows no notification", page)
	}
	want := strings.ReplaceAll(string(compose(t, statement(t))), "\r\n", "\n")
	if string(shown[2]) == want {
		return
	}
	if !*update {
		t.Fatalf("%s shows another notification than Compose writes; -update mends it", page)
	}
	text = example.ReplaceAllFunc(text, func([]byte) []byte { return []byte(string(shown[1]) + want + string(shown[3])) })
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The fields that docs/bounces.md and the package comment name as returned are
// those that are.
func TestReturnedFieldsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile("(?s)\n```text returned\n(.*?)\n```\n").FindSubmatch(text)
	if list == nil {
		t.Fatalf("%s has no list of returned fields", page)
	}
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`(?m)^//\t(.*)$`).FindAllSubmatch(source, -1)
	var named []string
	for _, m := range comment {
		named = append(named, strings.Fields(strings.ReplaceAll(string(m[1]), "(up to 10)", ""))...)
	}
	onPage := strings.Fields(string(list[1]))
	if !slices.Equal(named, onPage) {
		t.Errorf("the package comment names %v, %s names %v", named, page, onPage)
	}
	all, err := os.ReadFile("returned.go")
	if err != nil {
		t.Fatal(err)
	}
	body, _, _ := strings.Cut(string(all[strings.Index(string(all), "func returnable"):]), "return true")
	if n := strings.Count(body, `"`) / 2; n != len(onPage) {
		t.Errorf("%d fields are returned, %d are documented", n, len(onPage))
	}
	for _, name := range onPage {
		if !returnable(strings.ToLower(name)) {
			t.Errorf("%s is documented and not returned", name)
		}
	}
}
