package letter

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// metaCharset is how HTML says its own encoding, for those who forget it in the header.
var metaCharset = regexp.MustCompile(`(?i)<meta[^>]{1,100}charset=["']?([a-z0-9_-]{1,40})`)

// text makes UTF-8 of a text. Wrong bytes become replacement characters: a
// letter with a wrong sign is better than none.
func (r *reading) text(charset string, text []byte) string {
	charset = strings.ToLower(strings.TrimSpace(charset))
	unsaid := charset == "" || charset == "us-ascii" || charset == "ascii" || charset == "utf-8" || charset == "utf8"
	if unsaid && utf8.Valid(text) {
		return string(text)
	}
	if m := metaCharset.FindSubmatch(text[:min(len(text), 2048)]); unsaid && m != nil {
		charset = strings.ToLower(string(m[1]))
	} else if unsaid && !strings.HasPrefix(charset, "utf") {
		charset = "windows-1252"
	}
	if r.Charset != nil {
		if out, err := r.Charset(charset, text); err == nil {
			return strings.ToValidUTF8(out, "�")
		}
	}
	if charset == "utf-8" || charset == "utf8" {
		return strings.ToValidUTF8(string(text), "�")
	}
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return string(runes)
}

const longestName = 120 // in bytes; file systems take 255

// fileName makes a name that is nothing but a name: the sender's, without
// folders, without signs that nobody sees or that turn the direction of reading
// (as in "invoice‮fdp.exe").
func (r *reading) fileName(given, other, kind string) string {
	if given == "" {
		given = other
	}
	name := r.words(given)
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune(`<>:"|?*`, c):
			return '_'
		case !unicode.IsPrint(c) && c != ' ':
			return -1
		}
		return c
	}, name)
	name = strings.Trim(name, " .")
	if len(name) > longestName {
		ending := name[max(strings.LastIndexByte(name, '.'), len(name)-16):]
		name = strings.ToValidUTF8(name[:longestName-len(ending)], "") + strings.ToValidUTF8(ending, "")
	}
	if name != "" {
		return name
	}
	switch kind {
	case "message/rfc822":
		return "message.eml"
	case "text/plain":
		return "text.txt"
	case "text/html":
		return "page.html"
	case "text/calendar":
		return "event.ics"
	case "application/pdf":
		return "document.pdf"
	case "image/png":
		return "image.png"
	case "image/jpeg":
		return "image.jpg"
	}
	return "attachment.bin"
}
