package portal

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	xlanguage "golang.org/x/text/language"
	"gopkg.in/yaml.v3"
)

//go:embed text/*.yaml
var textFiles embed.FS

// spoken are the languages of the pages, the default first.
var spoken = []string{"en", "zh"}

// texts are the words of the pages in one language, by the keys of text/en.yaml.
type texts map[string]string

// Texts are words of the operator's own: by language ("en", "zh"), and then by
// the keys of text/en.yaml. What is not in it stays as it is.
type Texts map[string]map[string]string

// ErrTexts says what is wrong with an operator's own words.
var ErrTexts = errors.New("portal: the texts")

// placeholder is what stands for something that is known only when the page is
// made. A text may hold those that the text it replaces may hold.
var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// everywhere are the placeholders that every text may hold.
var everywhere = []string{"{name}", "{host}"}

// ReadTexts reads a YAML file with words of the operator's own. The error wraps
// ErrTexts.
func ReadTexts(data []byte) (Texts, error) {
	var t Texts
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&t); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: expected languages, and in each of them keys with words in quotes: %w", ErrTexts, err)
	}
	_, err := t.apply("", "")
	return t, err
}

// apply gives the languages that the pages speak, the default first, with the
// operator's words in place of ours.
func (own Texts) apply(name, host string) ([]texts, error) {
	fill := strings.NewReplacer("{name}", name, "{host}", host)
	var all []texts
	for _, code := range spoken {
		data, err := textFiles.ReadFile("text/" + code + ".yaml")
		if err != nil {
			return nil, err
		}
		t := texts{}
		if err := yaml.Unmarshal(data, &t); err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(own[code])) {
			if err := t.replace(code, key, own[code][key]); err != nil {
				return nil, err
			}
		}
		for key, words := range t {
			t[key] = fill.Replace(words)
		}
		all = append(all, t)
	}
	for code := range own {
		if !slices.ContainsFunc(all, func(t texts) bool { return t["code"] == code }) {
			return nil, fmt.Errorf("%w: the pages speak en and zh, not %q", ErrTexts, code)
		}
	}
	return all, nil
}

// replace takes the operator's words, if they can stand where ours stood.
func (t texts) replace(code, key, words string) error {
	ours, ok := t[key]
	if !ok || key == "code" {
		return fmt.Errorf("%w: %s.%s: there is no such key; docs/portal.md says where they are listed", ErrTexts, code, key)
	}
	if strings.TrimSpace(words) == "" {
		return fmt.Errorf("%w: %s.%s: has no words", ErrTexts, code, key)
	}
	for _, p := range placeholder.FindAllString(words, -1) {
		if !strings.Contains(ours, p) && !slices.Contains(everywhere, p) {
			return fmt.Errorf("%w: %s.%s: %s stands for nothing here", ErrTexts, code, key, p)
		}
	}
	t[key] = words
	return nil
}

// with fills in one placeholder.
func (t texts) with(key, placeholder, value string) string {
	return strings.ReplaceAll(t[key], "{"+placeholder+"}", value)
}

// lines are the parts of a text that has one in each line.
func (t texts) lines(key string) []string {
	return strings.Split(strings.TrimSpace(t[key]), "\n")
}

func (t texts) date(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(t["date_form"])
}

func (t texts) days(n int) string {
	if n == 1 {
		return t["day_left"]
	}
	return t.with("days_left", "days", strconv.Itoa(n))
}

// choose takes the texts of Language.
func choose(all []texts, lang, accept string) texts {
	code := Language(lang, accept)
	return all[slices.IndexFunc(all, func(t texts) bool { return t["code"] == code })]
}

// Language is the one that a page is shown in, "en" or "zh": the one that was
// asked for, else the one that the browser prefers by its Accept-Language (RFC
// 9110 section 12.5.4).
func Language(asked, accept string) string {
	if slices.Contains(spoken, asked) {
		return asked
	}
	const longest = 200 // of a header that somebody else wrote
	matcher := xlanguage.NewMatcher([]xlanguage.Tag{xlanguage.English, xlanguage.Chinese})
	tags, _, err := xlanguage.ParseAcceptLanguage(accept[:min(len(accept), longest)])
	if err != nil {
		return spoken[0]
	}
	_, i, _ := matcher.Match(tags...)
	return spoken[i]
}
