package letter_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sealpost/directory/reader/letter"
)

func entity(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

// asked is a decoder as the browser has one.
func asked(name string, text []byte) (string, error) {
	if name != "gb18030" && name != "windows-1252" {
		return "", errors.New("unknown")
	}
	return fmt.Sprintf("%s of %d bytes", name, len(text)), nil
}

func TestTexts(t *testing.T) {
	for name, c := range map[string]struct {
		entity []byte
		want   letter.Body
	}{
		"no header":         {entity("", "hello"), letter.Body{Text: "hello\r\n"}},
		"UTF-8 unsaid":      {entity("Content-Type: text/plain", "", "Grüße"), letter.Body{Text: "Grüße\r\n"}},
		"asked for":         {entity("Content-Type: text/plain; charset=GB18030", "", "\xc4\xe3"), letter.Body{Text: "gb18030 of 4 bytes"}},
		"unsaid, no UTF-8":  {entity("Content-Type: text/plain", "", "\xc4"), letter.Body{Text: "windows-1252 of 3 bytes"}},
		"said in the HTML":  {entity("Content-Type: text/html", "", `<meta charset="gb18030">`+"\xc4"), letter.Body{HTML: "gb18030 of 27 bytes"}},
		"unknown":           {entity("Content-Type: text/plain; charset=nobodys", "", "\xc4"), letter.Body{Text: "Ä\r\n"}},
		"wrong UTF-8":       {entity("Content-Type: text/plain; charset=utf-8", "", "a\xc4b"), letter.Body{Text: "a�b\r\n"}},
		"HTML, text within": {entity("Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable", "", "<p>=C3=BC</p>"), letter.Body{HTML: "<p>ü</p>\r\n"}},
	} {
		l := letter.Read(c.entity, letter.Options{Charset: asked})
		if len(l.Bodies) != 1 || l.Bodies[0] != c.want || len(l.Parts) > 0 || l.Damaged {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestParts(t *testing.T) {
	attachment := func(head string, body string) letter.Part {
		l := letter.Read(entity("Content-Type: multipart/mixed; boundary=b", "", "--b", head, "", body, "--b--"), letter.Options{})
		if len(l.Parts) != 1 {
			t.Fatalf("%s: %+v", head, l)
		}
		return l.Parts[0]
	}
	for head, want := range map[string]string{
		"Content-Type: application/pdf; name=a.pdf":                                              "a.pdf",
		"Content-Type: application/pdf":                                                          "document.pdf",
		"Content-Type: application/x-thing":                                                      "attachment.bin",
		"Content-Type: not a type":                                                               "attachment.bin",
		"Content-Disposition: attachment":                                                        "text.txt",
		`Content-Disposition: attachment; filename="=?utf-8?b?w7wudHh0?="`:                       "ü.txt",
		`Content-Disposition: attachment; filename="../../etc/passwd"`:                           "passwd",
		`Content-Disposition: attachment; filename="C:\\Windows\\x.exe"`:                         "x.exe",
		"Content-Disposition: attachment; filename*=utf-8''invoice%E2%80%AEfdp.exe":              "invoicefdp.exe",
		`Content-Disposition: attachment; filename=".."`:                                         "text.txt",
		`Content-Disposition: attachment; filename="` + strings.Repeat("long", 80) + `.pdf"`:     strings.Repeat("long", 29) + ".pdf",
		`Content-Disposition: attachment; filename="a<b>|c?.txt"`:                                "a_b__c_.txt",
		"Content-Type: text/calendar; charset=utf-8":                                             "event.ics",
		"Content-Type: message/rfc822":                                                           "message.eml",
		"Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: inline; filename=n.md": "n.md",
	} {
		if p := attachment(head, "content"); p.Name != want || string(p.Data) != "content" {
			t.Errorf("%s: %+v", head, p)
		}
	}
	for _, head := range []string{"Content-Type: image/png\r\nContent-Transfer-Encoding: base64", "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode"} {
		if p := attachment(head, "QUJD!"); !p.Damaged {
			t.Errorf("%s: %+v", head, p)
		}
	}
}

func TestStructures(t *testing.T) {
	mixed := func(inner ...string) []byte {
		lines := []string{"Content-Type: multipart/mixed; boundary=b", ""}
		for _, i := range inner {
			lines = append(lines, "--b", i)
		}
		return entity(append(lines, "--b--")...)
	}
	text, html := "Content-Type: text/plain\r\n\r\none", "Content-Type: text/html\r\n\r\n<p>two"
	for name, c := range map[string]struct {
		entity         []byte
		bodies, parts  int
		signed, broken bool
	}{
		"two texts":          {mixed(text, html), 2, 0, false, false},
		"text, file, text":   {mixed(text, "Content-Type: image/gif\r\n\r\ngif", html), 2, 1, false, false},
		"nothing":            {mixed(), 0, 0, false, false},
		"signed":             {bytes.Replace(mixed(text, "Content-Type: application/pkcs7-signature\r\n\r\nsig"), []byte("mixed"), []byte("signed"), 1), 1, 0, true, false},
		"alternative":        {bytes.Replace(mixed(text, html), []byte("mixed"), []byte("alternative"), 1), 1, 0, false, false},
		"never ends":         {bytes.TrimSuffix(mixed(text, html), []byte("--b--\r\n")), 2, 1, false, true},
		"a line is no field": {mixed(text, "this is no field\r\n\r\nbody"), 1, 1, false, true},
		"no boundary":        {entity("Content-Type: multipart/mixed", "", text), 0, 1, false, true},
		"too deep":           {deep(40), 0, 1, false, true},
		"too many":           {mixed(many(1100)...), 999, 1, false, true},
		"no header at all":   {[]byte("\x00\x01\x02"), 0, 1, false, true},
	} {
		l := letter.Read(c.entity, letter.Options{})
		if len(l.Bodies) != c.bodies || len(l.Parts) != c.parts || l.Signed != c.signed || l.Damaged != c.broken {
			t.Errorf("%s: %d bodies, %d parts, signed %v, damaged %v", name, len(l.Bodies), len(l.Parts), l.Signed, l.Damaged)
		}
		if c.broken && !bytes.Equal(l.Parts[len(l.Parts)-1].Data, c.entity) {
			t.Errorf("%s: what could not be taken apart is not there as a whole", name)
		}
	}
}

func deep(n int) []byte {
	e := []byte("Content-Type: text/plain\r\n\r\ndeep\r\n")
	for i := range n {
		e = fmt.Appendf(nil, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n%s\r\n--b%[1]d--\r\n", i, e)
	}
	return e
}

func many(n int) (all []string) {
	for range n {
		all = append(all, "Content-Type: text/plain\r\n\r\nx")
	}
	return all
}

// Whatever was inside, a letter comes out: no more of it than went in, under
// names that are nothing but names.
func FuzzRead(f *testing.F) {
	f.Add(statement())
	f.Add(deep(3))
	f.Add(entity("Content-Type: multipart/alternative; boundary=a", "", "--a", "Content-Type: text/html; charset=x", "", "<p>", "--a--"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := letter.Read(data, letter.Options{})
		total := 0
		for _, p := range l.Parts {
			total += len(p.Data)
			if p.Name == "" || strings.ContainsAny(p.Name, "/\\\x00\r\n\u202e") || len(p.Name) > 200 {
				t.Errorf("the name %q", p.Name)
			}
		}
		if l.Damaged {
			total -= len(data) // it is there a second time, as a whole
		}
		if total > len(data) {
			t.Errorf("%d bytes of attachments out of %d", total, len(data))
		}
	})
}
