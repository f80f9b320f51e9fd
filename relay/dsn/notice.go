package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// ErrNotice says that a message is no notification as Compose writes it.
var ErrNotice = errors.New("dsn: not a notification")

// maxNotice bounds what Read takes, in bytes: more than the largest report.
const maxNotice = 16 << 20

// A Notice is a notification that was read back, and the proof that it is
// one: it has the parts of RFC 6522 and no other, so that no content rides
// along. Only Read makes one; the zero value is empty.
type Notice struct{ message []byte }

// Read takes a notification that was kept. The error is ErrNotice, wrapped, or
// the reader's.
func Read(r io.Reader) (*Notice, error) {
	message, err := io.ReadAll(io.LimitReader(r, maxNotice+1))
	if err != nil {
		return nil, err
	}
	if len(message) > maxNotice {
		return nil, fmt.Errorf("%w: too large", ErrNotice)
	}
	if err := checkNotice(message); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotice, err)
	}
	return &Notice{message}, nil
}

// Size is the number of bytes.
func (n *Notice) Size() int64 { return int64(len(n.message)) }

// WriteTo writes the message.
func (n *Notice) WriteTo(w io.Writer) (int64, error) {
	k, err := w.Write(n.message)
	return int64(k), err
}

func checkNotice(message []byte) error {
	head, body, ok := bytes.Cut(message, []byte("\r\n\r\n"))
	if !ok {
		return errors.New("no body")
	}
	header := textproto.MIMEHeader{}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(head), "\r\n ", " "), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		header.Add(name, strings.TrimSpace(value))
	}
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if kind != "multipart/report" || params["report-type"] != "delivery-status" || len(header.Values("Content-Type")) != 1 {
		return errors.New("its type is not multipart/report")
	}
	return checkParts(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
}

// noticeParts are the parts in their order; the last one may be missing.
var noticeParts = [][]string{
	{"text/plain"},
	{"message/delivery-status", "message/global-delivery-status"},
	{"text/rfc822-headers", "message/global-headers"},
}

func checkParts(parts *multipart.Reader) error {
	n := 0
	for ; ; n++ {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, p); err != nil {
			return err
		}
		if n >= len(noticeParts) || kind != noticeParts[n][0] && kind != noticeParts[n][len(noticeParts[n])-1] {
			return fmt.Errorf("part %d is %s", n+1, kind)
		}
	}
	if n < 2 {
		return fmt.Errorf("it has %d parts", n)
	}
	return nil
}
