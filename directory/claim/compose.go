package claim

import (
	"bytes"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	"sealpost/directory/store"
)

// compose makes the message of a notice: text and HTML as alternatives, nothing
// attached. Its Message-ID is that of the notice, so that a second copy is seen
// to be one (RFC 5322 section 3.6.4; Auto-Submitted: RFC 3834 section 5).
func (e *Engine) compose(n *store.Notice, k store.Key) ([]byte, error) {
	letter, lang := e.letters.in(n.Language)
	subject, text, page, err := letter.write(e.letterData(n, lang, k.Secret != ""))
	if err != nil {
		return nil, err
	}
	var seed [12]byte
	if _, err := io.ReadFull(e.opts.Rand, seed[:]); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("notice-" + hex.EncodeToString(seed[:])); err != nil {
		return nil, err
	}
	field := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	field("From", fromField(e.opts.Name, e.opts.From.String()))
	field("To", "<"+n.Address+">")
	field("Subject", mime.BEncoding.Encode("utf-8", subject))
	field("Date", e.opts.Clock().Format(time.RFC1123Z))
	field("Message-ID", "<notice."+n.ID+"@"+e.opts.From.ASCIIDomain()+">")
	field("Auto-Submitted", "auto-generated")
	field("X-Auto-Response-Suppress", "All") // what Exchange reads instead
	field("Content-Language", lang)
	field("MIME-Version", "1.0")
	field("Content-Type", "multipart/alternative; boundary=\""+w.Boundary()+"\"")
	b.WriteString("\r\n")
	for _, part := range []struct{ kind, body string }{{"text/plain", text}, {"text/html", page}} {
		p, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Type": {part.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(p)
		if _, err := io.WriteString(q, strings.ReplaceAll(strings.ReplaceAll(part.body, "\r\n", "\n"), "\n", "\r\n")); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}

// fromField is a name with an address. An address beyond ASCII stays as it is,
// which needs SMTPUTF8 as its envelope does.
func fromField(name, addr string) string {
	if name == "" {
		return "<" + addr + ">"
	}
	quoted := (&mail.Address{Name: name, Address: "a@b"}).String()
	return strings.TrimSuffix(quoted, "<a@b>") + "<" + addr + ">"
}
