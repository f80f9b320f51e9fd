package portal_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"sealpost/directory/portal"
)

func TestColours(t *testing.T) {
	s, p := serveClaims(t, newClaims(), func(o *portal.Options) {
		o.Colours = portal.Colours{Accent: "#7a1f3d", Header: "#102a43"}
		o.Links = []portal.Link{{Label: "Imprint", URL: "https://bank.example/imprint", Words: map[string]string{"zh": "版本说明"}}}
	})
	v := visit(t, s.URL).get("/claim").expect(200, "/claim", "--accent:#7a1f3d", "body>header{background:#102a43;--bar:#ffffff}", `href="https://bank.example/imprint"`, "Imprint")
	v.get("/claim?lang=zh").expect(200, "/claim", "版本说明", "打开您的加密邮件")
	if !strings.Contains(p.Style(), "#102a43") || strings.Contains(portal.Style(), "#102a43") || !strings.HasPrefix(p.Logo(), "/logo-") {
		t.Error("the style for others")
	}
	for _, bad := range []portal.Colours{{Accent: "red"}, {Accent: "#fff"}, {Accent: "#ffffff"}, {Accent: "#12345g"}, {Accent: "#3aa0ff"}, {Header: "#zzzzzz"}, {Accent: "#0b5394;}"}} {
		if err := bad.Check(); !errors.Is(err, portal.ErrColour) {
			t.Errorf("%v: %v", bad, err)
		}
		if _, err := portal.New(portal.Options{Colours: bad}); !errors.Is(err, portal.ErrColour) {
			t.Errorf("New with %v: %v", bad, err)
		}
	}
	for _, bad := range []portal.Link{{Label: "x"}, {URL: "https://bank.example"}, {Label: "x", URL: "javascript:alert(1)"}, {Label: "x", URL: "/imprint"}} {
		if _, err := portal.New(portal.Options{Links: []portal.Link{bad}}); !errors.Is(err, portal.ErrLink) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// An operator's own words take the place of ours, and cannot break the pages.
func TestOwnTexts(t *testing.T) {
	own, err := portal.ReadTexts([]byte("en:\n  claim_title: \"Your letter from {name} <b>\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := serveClaims(t, newClaims(), func(o *portal.Options) { o.Texts = own })
	v := visit(t, s.URL).get("/claim").expect(200, "/claim", "Your letter from Bank of Examples &lt;b&gt;", "Code from the notice")
	v.get("/claim?lang=zh").expect(200, "/claim", "打开您的加密邮件")
	for _, bad := range []string{
		"de: {claim_title: x}", "en: {no_such_key: x}", "en: {code: fr}", "en: {claim_title: \" \"}", "en: {claim_title: \"{left}\"}", "en: [x]", "- x", "en: {claim_title: x", "en: {title: a}\nen: {title: b}",
	} {
		if _, err := portal.ReadTexts([]byte(bad)); !errors.Is(err, portal.ErrTexts) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if own, err := portal.ReadTexts(nil); err != nil || len(own) > 0 {
		t.Errorf("an empty file: %v", err)
	}
}

// Both languages have the same keys, with the same placeholders; every key is
// shown somewhere.
func TestTextsMatch(t *testing.T) {
	read := func(name string) map[string]string {
		var m map[string]string
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	en, zh := read("text/en.yaml"), read("text/zh.yaml")
	placeholder := regexp.MustCompile(`\{[a-z]+\}`)
	count := func(s string) map[string]bool {
		m := map[string]bool{}
		for _, p := range placeholder.FindAllString(s, -1) {
			m[p] = true
		}
		return m
	}
	used := sourceText(t)
	for key, words := range en {
		a, b := count(words), count(zh[key])
		if zh[key] == "" || len(a) != len(b) || strings.Count(words, "\n") != strings.Count(zh[key], "\n") {
			t.Errorf("%s differs: %q, %q", key, words, zh[key])
		}
		for p := range a {
			if !b[p] {
				t.Errorf("%s: zh has no %s", key, p)
			}
		}
		for _, program := range []string{"outlook", "apple", "ios", "thunderbird"} {
			key = strings.Replace(key, "steps_"+program, "steps_", 1)
		}
		key = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(key, "_name"), "_kind"), "_trouble")
		if strings.HasPrefix(key, "origin_") {
			key = "origin_"
		}
		if !regexp.MustCompile(`[."]` + key + `\W`).MatchString(used) {
			t.Errorf("%s is shown nowhere", key)
		}
	}
	if len(zh) != len(en) {
		t.Errorf("%d keys in English, %d in Chinese", len(en), len(zh))
	}
}

// sourceText is all in which keys of texts can stand.
func sourceText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, folder := range []string{".", "pages"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".html") || strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				data, err := os.ReadFile(folder + "/" + name)
				if err != nil {
					t.Fatal(err)
				}
				b.Write(data)
			}
		}
	}
	return b.String()
}
