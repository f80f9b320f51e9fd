package claim

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"

	"sealpost/directory/store"
)

//go:embed templates
var ours embed.FS

// A letterData is what a template can say.
type letterData struct {
	Name       string   // whose notice it is
	Address    string   // of the recipient
	Sender     string   // who wrote to him; may be empty
	References []string // that he knows; at most two
	Link       string   // with the token
	Page       string   // where address and code are typed
	Code       string   // as ABCD-EFGH
	Until      string   // the last day on which it can be used
	Secret     bool     // something else will be asked for
	Kind       string   // first, reminder, again
}

// letters are the templates of one language each.
type letters struct {
	byLanguage map[string]letter
	tags       []language.Tag // in the order of names, the default first
	names      []string
}

type letter struct {
	text *template.Template // the first line is the subject
	html *htmltemplate.Template
}

// ErrTemplate says that a notice could not be written with a template.
var ErrTemplate = errors.New("the template of the notice cannot be used")

func templateError(name, format string, args ...any) error {
	return fmt.Errorf("%w: %s "+format, append([]any{ErrTemplate, name}, args...)...)
}

// readLetters reads our templates, and those that take their place: for each
// language the files notice.LANGUAGE.txt and notice.LANGUAGE.html.
func readLetters(own fs.FS, first string) (*letters, error) {
	builtIn, err := fs.Sub(ours, "templates")
	if err != nil {
		return nil, err
	}
	l := &letters{byLanguage: map[string]letter{}}
	for _, files := range []fs.FS{builtIn, own} {
		if files == nil {
			continue
		}
		texts, err := fs.Glob(files, "notice.*.txt")
		if err != nil {
			return nil, err
		}
		for _, name := range texts {
			lang := strings.TrimSuffix(strings.TrimPrefix(name, "notice."), ".txt")
			if l.byLanguage[lang], err = readLetter(files, lang); err != nil {
				return nil, err
			}
		}
		if err := noLoneHTML(files, texts); err != nil {
			return nil, err
		}
	}
	if first == "" {
		first = "en"
	}
	if _, ok := l.byLanguage[first]; !ok {
		return nil, fmt.Errorf("%w: there is none in the language %q", ErrTemplate, first)
	}
	return l, l.order(first)
}

// noLoneHTML refuses an HTML template without its text: its language would be
// the one of another text.
func noLoneHTML(files fs.FS, texts []string) error {
	pages, err := fs.Glob(files, "notice.*.html")
	for _, p := range pages {
		if !slices.Contains(texts, strings.TrimSuffix(p, path.Ext(p))+".txt") {
			return templateError(p, "has no .txt beside it")
		}
	}
	return err
}

func (l *letters) order(first string) error {
	for name := range l.byLanguage {
		l.names = append(l.names, name)
	}
	slices.SortFunc(l.names, func(a, b string) int {
		switch first {
		case a:
			return -1
		case b:
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, name := range l.names {
		tag, err := language.Parse(name)
		if err != nil {
			return templateError("notice."+name+".txt", "is in no language that is known: name it as notice.de.txt")
		}
		l.tags = append(l.tags, tag)
	}
	return nil
}

func readLetter(files fs.FS, lang string) (letter, error) {
	base := "notice." + lang
	text, err := fs.ReadFile(files, base+".txt")
	if err != nil {
		return letter{}, templateError(base+".txt", "cannot be read: %w", err)
	}
	page, err := fs.ReadFile(files, base+".html")
	if err != nil {
		return letter{}, templateError(base+".html", "cannot be read, and each text needs its HTML: %w", err)
	}
	var l letter
	if l.text, err = template.New(base + ".txt").Option("missingkey=error").Parse(string(text)); err != nil {
		return l, templateError(base+".txt", "is no template: %w", err)
	}
	if l.html, err = htmltemplate.New(base + ".html").Option("missingkey=error").Parse(string(page)); err != nil {
		return l, templateError(base+".html", "is no template: %w", err)
	}
	return l, nil
}

// in gives the letter in a language, or the nearest; its name too.
func (l *letters) in(lang string) (letter, string) {
	i := 0
	if lang != "" {
		if tag, err := language.Parse(lang); err == nil {
			var sure language.Confidence
			if _, i, sure = language.NewMatcher(l.tags).Match(tag); sure == language.No {
				i = 0
			}
		}
	}
	return l.byLanguage[l.names[i]], l.names[i]
}

// write fills in a letter.
func (l letter) write(d letterData) (subject, text, page string, err error) {
	var t, h bytes.Buffer
	if err := l.text.Execute(&t, d); err != nil {
		return "", "", "", templateError(l.text.Name(), "fails: %w", err)
	}
	if err := l.html.Execute(&h, d); err != nil {
		return "", "", "", templateError(l.html.Name(), "fails: %w", err)
	}
	subject, text, ok := strings.Cut(strings.ReplaceAll(t.String(), "\r\n", "\n"), "\n")
	if subject, found := strings.CutPrefix(subject, "Subject: "); found && ok {
		return strings.TrimSpace(subject), strings.TrimLeft(text, "\n"), h.String(), nil
	}
	return "", "", "", templateError(l.text.Name(), "must begin with a line Subject: …, and an empty one")
}

// active is what has no place in a notice: mail programs take it out or warn of
// it, and people are taught to distrust it.
var active = regexp.MustCompile(`(?i)<\s*(form|script|input|button|iframe|object|embed|link|meta\s+http-equiv)\b|(src|background)\s*=\s*["']?\s*(https?:)?//|url\(\s*["']?\s*(https?:)?//`)

// check writes each letter once, so that a template that leaves out what its
// reader needs is found at the start and not in somebody's mailbox.
func (l *letters) check(e *Engine) error {
	id := strings.Repeat("0", 2*idSize)
	n := &store.Notice{ID: id, Address: "anna@example.org", Kind: store.NoticeFirst, Expires: e.opts.Clock().Add(e.limits.Notice),
		Sender: "billing@example.com", References: []string{"K-7f3a91", "R-2c8e44"}}
	for _, name := range l.names {
		letter := l.byLanguage[name]
		d := e.letterData(n, name, false)
		subject, text, page, err := letter.write(d)
		if err != nil {
			return err
		}
		if subject == "" || len(subject) > 200 {
			return templateError(letter.text.Name(), "needs a subject of at most 200 bytes")
		}
		for _, need := range [][2]string{{".Link", d.Link}, {".Code", d.Code}, {".Page", d.Page}, {".References", d.References[0]}, {".References", d.References[1]}} {
			escaped := htmltemplate.HTMLEscapeString(need[1])
			switch {
			case !strings.Contains(text, need[1]):
				return templateError(letter.text.Name(), "does not say {{%s}}, which its reader needs", need[0])
			case !strings.Contains(page, escaped):
				return templateError(letter.html.Name(), "does not say {{%s}}, which its reader needs", need[0])
			}
			if need[1] == d.Link { // it begins as the page does
				text, page = strings.ReplaceAll(text, need[1], ""), strings.ReplaceAll(page, escaped, "")
			}
		}
		if at := active.FindString(page); at != "" {
			return templateError(letter.html.Name(), "has %q: a notice has no forms, scripts, or pictures from elsewhere", at)
		}
	}
	return nil
}

// letterData is what a notice says in a language.
func (e *Engine) letterData(n *store.Notice, lang string, secret bool) letterData {
	base := strings.TrimSuffix(e.opts.URL, "/") + "/claim"
	d := letterData{
		Name: e.opts.Name, Address: n.Address, Sender: oneLine(n.Sender), Link: base + "?t=" + e.token(n.ID), Page: base,
		Code: spelled(e.code(n)), Until: day(n.Expires, lang), Secret: secret, Kind: string(n.Kind),
	}
	for _, r := range n.References[:min(len(n.References), 2)] {
		if r = oneLine(r); r != "" {
			d.References = append(d.References, r)
		}
	}
	return d
}

// oneLine keeps a text from outside from becoming more of the letter than it is.
func oneLine(s string) string {
	const longest = 100 // characters
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) > longest {
		runes = append(runes[:longest-1], '…')
	}
	return string(runes)
}

func day(t time.Time, lang string) string {
	switch {
	case strings.HasPrefix(lang, "zh"), strings.HasPrefix(lang, "ja"):
		return t.Format("2006年1月2日")
	case strings.HasPrefix(lang, "en"):
		return t.Format("2 January 2006")
	}
	return t.Format("2006-01-02")
}
