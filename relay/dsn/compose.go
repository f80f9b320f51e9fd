package dsn

import (
	"bytes"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line without its CRLF (RFC 5322 section 2.1.1).
const maxLine = 998

// Compose writes the notification: a complete message with CRLF, to be sent to
// r.To with the null sender (RFC 3464 section 2). Equal reports give equal
// bytes. The error is ErrReport, wrapped: the caller's mistake, since nothing
// that came from outside makes one.
func Compose(r Report) ([]byte, error) {
	host, err := r.check()
	if err != nil {
		return nil, err
	}
	wide := r.SMTPUTF8()
	parts := []part{r.humanPart(host, wide), r.statusPart(host, wide)}
	if h := returned(r.Header); len(h) > 0 {
		parts = append(parts, headerPart(h, wide))
	}
	// No line of quoted-printable can begin with "--=_", and no other line
	// that came from outside begins with a hyphen.
	boundary := "=_" + r.ID
	w := &writer{wide: wide}
	r.header(w, host, boundary)
	w.line("\r\nThis is a delivery status notification in MIME format (RFC 3464).")
	for _, p := range parts {
		w.line("\r\n--" + boundary)
		p.write(w)
	}
	w.line("\r\n--" + boundary + "--")
	return w.Bytes(), nil
}

// header writes the message's own header.
func (r Report) header(w *writer, host, boundary string) {
	w.date("Date", r.Now)
	w.field("From", "Mail Delivery System <postmaster@"+host+">")
	w.exact("To", "<"+mailbox(r.To, func(s string) string { return s })+">")
	w.field("Subject", r.headline())
	w.field("Message-ID", "<"+r.ID+"@"+host+">")
	if id := messageID(r.Header); id != "" { // RFC 3834 section 3.1.6
		w.field("In-Reply-To", id)
		w.field("References", id)
	}
	w.field("Auto-Submitted", "auto-replied") // RFC 3834 section 5
	w.field("MIME-Version", "1.0")
	w.field("Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
}

// headline is the subject: the worst that is reported.
func (r Report) headline() string {
	worst := Relayed
	for _, p := range r.Recipients {
		if p.Action == Failed || worst == Relayed {
			worst = p.Action
		}
	}
	switch worst {
	case Failed:
		return "Your message could not be delivered"
	case Delayed:
		return "Your message is delayed"
	}
	return "Your message was passed on"
}

// A part is one of the three of RFC 6522 section 3.
type part struct {
	kind, encoding string
	body           []byte
}

func (p part) write(w *writer) {
	w.line("Content-Type: " + p.kind)
	if p.encoding != "7bit" {
		w.line("Content-Transfer-Encoding: " + p.encoding)
	}
	w.line("")
	w.Write(p.body)
}

func (r Report) humanPart(host string, wide bool) part {
	body := r.human(host)
	if fits(body, false) {
		return part{"text/plain; charset=us-ascii", "7bit", body}
	}
	return encoded("text/plain; charset=utf-8", body, wide)
}

// statusPart is plain where it can be (RFC 3464 section 2.1: "7bit" MUST be
// used), and otherwise the type of RFC 6533 section 4.1.
func (r Report) statusPart(host string, wide bool) part {
	body := r.status(host, wide)
	if fits(body, false) {
		return part{"message/delivery-status", "7bit", body}
	}
	return part{"message/global-delivery-status", "8bit", body}
}

// headerPart is text/rfc822-headers (RFC 6522 section 4), quoted-printable if
// the header is not as it should be; or RFC 6533's message/global-headers.
func headerPart(fields []byte, wide bool) part {
	switch {
	case fits(fields, false):
		return part{"text/rfc822-headers", "7bit", fields}
	case wide && fits(fields, true):
		return part{"message/global-headers", "8bit", fields}
	}
	return encoded("text/rfc822-headers", fields, false)
}

// encoded is a text part in 8bit where that is possible, and otherwise in
// quoted-printable.
func encoded(kind string, body []byte, wide bool) part {
	if wide && fits(body, true) {
		return part{kind, "8bit", body}
	}
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write(body) // a bytes.Buffer does not fail
	_ = w.Close()
	return part{kind, "quoted-printable", b.Bytes()}
}

// fits reports text that needs no encoding: lines of at most 998 octets, and
// ASCII, or UTF-8 where that is allowed.
func fits(body []byte, wide bool) bool {
	if !wide && !isASCII(string(body)) || wide && !utf8.Valid(body) {
		return false
	}
	for line := range strings.Lines(string(body)) {
		if len(line) > maxLine+len("\r\n") {
			return false
		}
	}
	return true
}
