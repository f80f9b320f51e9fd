package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"sealpost/directory/portal"
)

// DirectoryPage is how the pages for people look: the search, and what
// recipients see. See portal.md for what they are.
type DirectoryPage struct {
	// Whose directory it is, in the title and at the top. Default: HOSTNAME.
	Name string `yaml:"name"`

	// A logo, as SVG or PNG file.
	Logo Path `yaml:"logo"`

	// The house's colours.
	Colours DirectoryColours `yaml:"colours"`

	// What stands at the bottom of every page, such as imprint and privacy.
	Links []DirectoryLink `yaml:"links"`

	// A YAML file with words in place of ours: languages (`en`, `zh`), and in each
	// of them keys; portal.md says which there are. It is read at start.
	Texts Path `yaml:"texts"`
}

// DirectoryColours are colours of the pages, as `"#0b5394"` with the quotes.
type DirectoryColours struct {
	// Of buttons and links. It must be dark enough to be read on white (a contrast
	// of 4.5, WCAG 2.1); at night a lighter form of it is used.
	Accent string `yaml:"accent"`

	// The ground of the bar at the top.
	Header string `yaml:"header"`
}

// DirectoryLink is a link at the bottom of the pages.
type DirectoryLink struct {
	// The words.
	Text string `yaml:"text" required:"true"`

	// The words in Chinese. Default: as `text`.
	TextZH string `yaml:"text_zh"`

	// Where it leads: https, http or mailto.
	URL string `yaml:"url" required:"true"`
}

// Link gives the link as the pages take it.
func (l DirectoryLink) Link() portal.Link {
	return portal.Link{Label: l.Text, Words: map[string]string{"zh": l.TextZH}, URL: l.URL}
}

func (k *checker) page(p *DirectoryPage) {
	const key = "directory.page"
	if p.Logo != "" {
		if ext := strings.ToLower(filepath.Ext(string(p.Logo))); ext != ".svg" && ext != ".png" {
			k.wrong(join(key, "logo"), "%s is neither .svg nor .png", p.Logo)
		} else if _, err := os.Stat(string(p.Logo)); err != nil {
			k.wrong(join(key, "logo"), "%s cannot be read: %s", p.Logo, plainError(err))
		}
	}
	if err := (portal.Colours{Accent: p.Colours.Accent}).Check(); err != nil {
		k.wrong(join(key, "colours.accent"), "%s", plainPage(err))
	}
	if err := (portal.Colours{Header: p.Colours.Header}).Check(); err != nil {
		k.wrong(join(key, "colours.header"), "%s", plainPage(err))
	}
	for i, l := range p.Links {
		if l.Text != "" && l.URL != "" && l.Link().Check() != nil {
			k.wrong(join(item(join(key, "links"), i), "url"), "leads to %s, which begins with none of https:, http: and mailto:", quote(l.URL))
		}
	}
	if p.Texts != "" {
		data, err := os.ReadFile(string(p.Texts))
		if err != nil {
			k.wrong(join(key, "texts"), "%s cannot be read: %s", p.Texts, plainError(err))
		} else if _, err := portal.ReadTexts(data); err != nil {
			k.wrong(join(key, "texts"), "%s: %s", p.Texts, plainPage(err))
		}
	}
}

// plainPage leaves out whose error it is.
func plainPage(err error) string {
	text := err.Error()
	for _, is := range []error{portal.ErrColour, portal.ErrTexts} {
		if errors.Is(err, is) {
			text = strings.TrimLeft(strings.TrimPrefix(text, is.Error()), ": ")
		}
	}
	return text
}
