package letter

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-message"

	"sealpost/smime"
	"sealpost/smime/cms"
)

// A File is what a person drops on the page.
type File struct {
	io.ReaderAt
	Size int64
}

// Options say with what, and how, a file is opened.
type Options struct {
	Keys    []Key
	MaxSize int64 // bytes of encrypted content; 0 is cms.DefaultMaxSize
	// Charset makes UTF-8 of a text in another encoding. With nil, such texts are
	// taken for ISO 8859-1.
	Charset func(name string, text []byte) (string, error)
}

// MaxFile is the largest file that is opened, in bytes: the base64 of the
// largest content, with room for line ends and a header.
const MaxFile = cms.DefaultMaxSize/3*4 + 8<<20

// Open reads a whole mail, or the encrypted part of one (smime.p7m) in DER, PEM
// or base64, and opens it with one of the keys. The error is one of this
// package's, or the file's own.
func Open(f File, opts Options) (*Letter, error) {
	if f.Size > MaxFile {
		return nil, ErrTooLarge
	}
	watched := &watched{ReaderAt: f.ReaderAt}
	outer, content, err := opts.open(File{watched, f.Size})
	if watched.err != nil {
		return nil, watched.err
	}
	if err != nil {
		return nil, err
	}
	return opts.read(outer, content, 0)
}

// A watched file remembers that it could not be read: what reads it takes that
// for damage.
type watched struct {
	io.ReaderAt
	err error
}

func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, at)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// open finds out what kind of file it is by how it begins.
func (o Options) open(f File) (*smime.Header, []byte, error) {
	begin := make([]byte, min(f.Size, 512))
	if _, err := f.ReadAt(begin, 0); err != nil && err != io.EOF {
		return nil, nil, err
	}
	whole := func() *bufio.Reader { return bufio.NewReaderSize(io.NewSectionReader(f, 0, f.Size), 1<<20) }
	switch {
	case bytes.HasPrefix(begin, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return nil, nil, ErrOutlook
	case bytes.HasPrefix(begin, []byte{0x30}) && len(begin) > 1 && begin[1] >= 0x80:
		content, err := o.decrypt(func() io.Reader { return whole() })
		return nil, content, err
	case bytes.HasPrefix(begin, []byte("-----BEGIN ")):
		content, err := o.armored(whole())
		return nil, content, err
	case isBase64(begin):
		content, err := o.decrypt(func() io.Reader { return base64.NewDecoder(base64.StdEncoding, whole()) })
		return nil, content, err
	}
	return o.mail(whole)
}

// isBase64 tells the base64 of a SEQUENCE of some length, as some gateways leave it.
func isBase64(begin []byte) bool {
	if len(begin) < 64 || begin[0] != 'M' {
		return false
	}
	for _, c := range begin[:64] {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\r\n", rune(c)) {
			return false
		}
	}
	return true
}

func (o Options) armored(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PKCS7" && block.Type != "CMS" {
		return nil, ErrNotMail
	}
	return o.decrypt(func() io.Reader { return bytes.NewReader(block.Bytes) })
}

// decrypt tries one key after the other on a CMS structure.
func (o Options) decrypt(read func() io.Reader) ([]byte, error) {
	begin := make([]byte, 32)
	n, err := io.ReadFull(read(), begin)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, ErrDamaged
	}
	if err := looksSealed(begin[:n]); err != nil {
		return nil, err
	}
	return o.each(func(k Key) ([]byte, error) {
		return cms.Open(read(), cms.OpenOptions{Certificate: k.Certificate, Key: k.Private, MaxSize: o.MaxSize})
	})
}

// looksSealed looks for the content type, which stands at the beginning: an
// object identifier below 1.2.840.113549.1.7 or 1.9.16.1.
func looksSealed(begin []byte) error {
	for _, sealed := range []string{"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"} {
		if bytes.Contains(begin, []byte(sealed)) {
			return nil
		}
	}
	if bytes.Contains(begin, []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07")) && begin[0] == 0x30 && !bytes.Contains(begin, []byte{0x02, 0x01, 0x03}) {
		return ErrPlain // signed, or compressed
	}
	return ErrNotMail
}

func (o Options) each(open func(Key) ([]byte, error)) ([]byte, error) {
	for _, k := range o.Keys {
		content, err := open(k)
		if !errors.Is(err, cms.ErrNoRecipient) {
			return content, describe(err)
		}
	}
	return nil, ErrNotForKey
}

// describe makes an error of this package of one that smime or cms gave.
func describe(err error) error {
	var odd *cms.FormatError
	switch {
	case err == nil, errors.Is(err, smime.ErrNotEnveloped):
		return err
	case errors.Is(err, cms.ErrTooLarge):
		return ErrTooLarge
	case errors.As(err, &odd) && odd.Field == "contentType" && odd.Offset < 64:
		return ErrPlain // signed, or compressed: the first thing that it says of itself
	}
	return ErrDamaged
}

// mail opens a mail that is encrypted as a whole, or has a part that is.
func (o Options) mail(whole func() *bufio.Reader) (*smime.Header, []byte, error) {
	m, err := smime.ReadMessage(smime.Canonical(withoutPostmark(whole())), smime.Limits{})
	if err != nil || !isMail(m.Header) {
		return nil, nil, ErrNotMail
	}
	content, err := o.each(func(k Key) ([]byte, error) {
		return smime.Open(withoutPostmark(whole()), smime.OpenOptions{Certificate: k.Certificate, Key: k.Private, MaxSize: o.MaxSize})
	})
	if !errors.Is(err, smime.ErrNotEnveloped) {
		return m.Header, content, err
	}
	e, err := message.Read(withoutPostmark(whole()))
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return nil, nil, ErrNotMail
	}
	content, err = o.search(e, 0)
	return m.Header, content, err
}

// withoutPostmark leaves out the line that mailbox files put before a mail.
func withoutPostmark(r *bufio.Reader) io.Reader {
	if begin, _ := r.Peek(5); string(begin) == "From " {
		_, _ = r.ReadString('\n')
	}
	return r
}

// isMail tells a mail from a text that happens to begin like one.
func isMail(h *smime.Header) bool {
	return h.Get("Content-Type") != "" || h.Get("From") != "" && (h.Get("Date") != "" || h.Get("Received") != "")
}

// search looks for the encrypted part within others: forwarded as an attachment,
// or with a footer that somebody added on the way.
func (o Options) search(e *message.Entity, depth int) ([]byte, error) {
	if parts := e.MultipartReader(); parts != nil && depth < maxDepth {
		for {
			part, err := parts.NextPart()
			if part == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
				return nil, ErrPlain // that was the last one
			}
			if content, err := o.search(part, depth+1); !errors.Is(err, ErrPlain) {
				return content, err
			}
		}
	}
	kind, params, _ := e.Header.ContentType()
	if kind == "message/rfc822" && depth < maxDepth {
		inner, err := message.Read(e.Body)
		if inner == nil || err != nil && !message.IsUnknownCharset(err) {
			return nil, ErrPlain
		}
		return o.search(inner, depth+1)
	}
	_, placed, _ := e.Header.ContentDisposition()
	name := strings.ToLower(placed["filename"] + params["name"])
	if !isSealedType(kind, params) && !strings.HasSuffix(name, ".p7m") {
		return nil, ErrPlain
	}
	data, err := io.ReadAll(io.LimitReader(e.Body, MaxFile))
	if err != nil {
		return nil, ErrDamaged
	}
	return o.decrypt(func() io.Reader { return bytes.NewReader(data) })
}

// isSealedType tells the types under which what is encrypted travels.
func isSealedType(kind string, params map[string]string) bool {
	if kind != "application/pkcs7-mime" && kind != "application/x-pkcs7-mime" {
		return false
	}
	switch strings.ToLower(params["smime-type"]) {
	case "signed-data", "certs-only", "compressed-data":
		return false
	}
	return true
}
