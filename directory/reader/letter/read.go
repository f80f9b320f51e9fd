package letter

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"

	"sealpost/smime"
	"sealpost/smime/cms"
)

// What no mail that somebody wrote exceeds.
const (
	maxDepth  = 30   // of parts in parts
	maxParts  = 1000 // of a mail
	maxSealed = 3    // envelopes in envelopes
)

// A reading is a letter while it is taken apart.
type reading struct {
	Options
	letter *Letter
	seen   int // parts
}

// Read takes an opened mail apart: an entity as smime.Open gives it. It always
// gives a letter; what cannot be taken apart is an attachment as a whole.
func Read(entity []byte, opts Options) *Letter {
	l, err := opts.read(nil, entity, maxSealed)
	if err != nil { // there is no envelope to open
		panic("letter: " + err.Error())
	}
	return l
}

// read takes the content of an envelope apart; it may be another envelope.
func (o Options) read(outer *smime.Header, entity []byte, envelopes int) (*Letter, error) {
	if inner, err := smime.ReadMessage(smime.Canonical(bytes.NewReader(entity)), smime.Limits{}); err == nil {
		if kind, params, _ := mime.ParseMediaType(inner.Header.Get("Content-Type")); isSealedType(kind, params) && envelopes < maxSealed {
			_, content, err := o.open(File{bytes.NewReader(entity), int64(len(entity))})
			switch {
			case err == nil:
				return o.read(outer, content, envelopes+1)
			case !errors.Is(err, ErrPlain): // it is no envelope, but a signature around the content
				return nil, err
			}
		}
	}
	r := &reading{Options: o, letter: &Letter{}}
	if outer != nil {
		r.head(outer.Get)
	}
	e, err := message.Read(bytes.NewReader(entity))
	if e == nil || !readable(err) {
		r.whole(entity)
		return r.letter, nil
	}
	r.head(e.Header.Get)
	if err := r.entity(e, nil, 0); err != nil {
		r.whole(entity)
	}
	r.findShown()
	return r.letter, nil
}

// readable tells errors that leave something to read.
func readable(err error) bool {
	return err == nil || message.IsUnknownCharset(err) || message.IsUnknownEncoding(err)
}

// whole keeps what could not be taken apart.
func (r *reading) whole(entity []byte) {
	r.letter.Damaged = true
	r.letter.Parts = append(r.letter.Parts, Part{Name: "message.eml", Type: "message/rfc822", Damaged: true, Data: entity})
}

// head takes the fields that a header has; those inside win.
func (r *reading) head(get func(string) string) {
	l := r.letter
	for name, to := range map[string]*string{"From": &l.From, "To": &l.To, "Cc": &l.Cc, "Subject": &l.Subject, "Date": &l.Date} {
		if v := get(name); v != "" {
			*to = r.words(v)
		}
	}
}

// words decodes what a header field encodes (RFC 2047). What cannot be decoded
// stays as it is.
func (r *reading) words(v string) string {
	d := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		text, err := io.ReadAll(in)
		return strings.NewReader(r.text(charset, text)), err
	}}
	if out, err := d.DecodeHeader(v); err == nil {
		v = out
	}
	return strings.ToValidUTF8(v, "�")
}

var errTooMany = errors.New("letter: more parts than a mail has")

// entity reads one part. Within a multipart/alternative, the body of which it is
// a form is given. The error says that what follows cannot be read.
func (r *reading) entity(e *message.Entity, form *Body, depth int) error {
	if r.seen++; r.seen > maxParts || depth > maxDepth {
		return errTooMany
	}
	kind, params, err := e.Header.ContentType()
	if err != nil {
		kind, params = "application/octet-stream", nil
	}
	if parts := e.MultipartReader(); parts != nil {
		return r.multipart(kind, parts, form, depth)
	}
	placed, where, _ := e.Header.ContentDisposition()
	name := r.fileName(where["filename"], params["name"], kind)
	data, err := io.ReadAll(e.Body)
	known := isKnown(strings.ToLower(e.Header.Get("Content-Transfer-Encoding")))
	damaged := err != nil || !known
	isText := (kind == "text/plain" || kind == "text/html") && !strings.EqualFold(placed, "attachment") && where["filename"] == "" && known
	switch {
	case isPKCS7(kind) && r.opened(data, form, depth):
	case isText:
		r.body(form, kind, r.text(params["charset"], data))
	case r.letter.Signed && isSignature(kind):
	default:
		id := strings.Trim(e.Header.Get("Content-Id"), "<> ")
		r.letter.Parts = append(r.letter.Parts, Part{Name: name, Type: kind, ID: id, Damaged: damaged, Data: data})
	}
	return nil
}

func isPKCS7(kind string) bool {
	return kind == "application/pkcs7-mime" || kind == "application/x-pkcs7-mime"
}

// opened reads what is wrapped into a signature (RFC 8551 section 3.5.2), as some
// programs sign. It is false for what is something else.
func (r *reading) opened(data []byte, form *Body, depth int) bool {
	var content bytes.Buffer
	signed := cms.NewSignedReader()
	signed.Tee(&content)
	if _, err := signed.Write(data); err != nil {
		return false
	}
	if d, err := signed.Close(); err != nil || !d.Attached {
		return false
	}
	inner, err := message.Read(&content)
	if inner == nil || !readable(err) {
		return false
	}
	r.letter.Signed = true
	r.head(inner.Header.Get)
	return r.entity(inner, form, depth+1) == nil
}

func isKnown(encoding string) bool {
	switch encoding {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
		return true
	}
	return false
}

func isSignature(kind string) bool {
	return kind == "application/pkcs7-signature" || kind == "application/x-pkcs7-signature" || kind == "application/pgp-signature"
}

// multipart reads the parts in order.
func (r *reading) multipart(kind string, parts message.MultipartReader, form *Body, depth int) error {
	if kind == "multipart/alternative" && form == nil {
		form = &Body{}
		defer func() {
			if *form != (Body{}) {
				r.letter.Bodies = append(r.letter.Bodies, *form)
			}
		}()
	}
	r.letter.Signed = r.letter.Signed || kind == "multipart/signed"
	for {
		part, err := parts.NextPart()
		switch {
		case err == io.EOF:
			return nil
		case part == nil || !readable(err):
			return err
		}
		if err := r.entity(part, form, depth+1); err != nil {
			return err
		}
	}
}

// body adds a text to the letter, or to the body that it is a form of.
func (r *reading) body(form *Body, kind, text string) {
	own := Body{}
	to := form
	if form == nil {
		to = &own
	}
	if kind == "text/html" {
		to.HTML += text
	} else {
		to.Text += text
	}
	if form == nil && own != (Body{}) {
		r.letter.Bodies = append(r.letter.Bodies, own)
	}
}

// findShown marks the parts that the HTML names.
func (r *reading) findShown() {
	for i := range r.letter.Parts {
		p := &r.letter.Parts[i]
		for _, b := range r.letter.Bodies {
			if p.ID != "" && strings.HasPrefix(p.Type, "image/") && strings.Contains(b.HTML, "cid:"+p.ID) {
				p.Shown = true
			}
		}
	}
}
