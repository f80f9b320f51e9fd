package load

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// A body makes messages that look like statements with a PDF: a short text and
// a base64 part of incompressible data.
type body struct {
	to     func(int) string
	date   string
	entity []byte // everything behind the header
}

const (
	bodyStart = "--=_b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		"Dear customer,\r\n\r\nplease find your statement attached.\r\n\r\n" +
		"--=_b1\r\nContent-Type: application/pdf; name=\"statement.pdf\"\r\n" +
		"Content-Transfer-Encoding: base64\r\n" +
		"Content-Disposition: attachment; filename=\"statement.pdf\"\r\n\r\n"
	bodyEnd = "\r\n--=_b1--\r\n"
)

// newBody is for messages of so many octets, header and all, to these people.
func newBody(size int, to func(int) string) *body {
	b := &body{to: to, date: time.Now().Format(time.RFC1123Z)}
	n := size - len(b.header(nil, 0, 1))
	var e bytes.Buffer
	e.WriteString(bodyStart)
	raw, line := make([]byte, 57), make([]byte, 76)
	for e.Len()+len(bodyEnd)+78 <= n {
		rand.Read(raw)
		base64.StdEncoding.Encode(line, raw)
		e.Write(line)
		e.WriteString("\r\n")
	}
	if rest := n - e.Len() - len(bodyEnd); rest > 0 {
		e.Write(bytes.Repeat([]byte{'A'}, rest))
	}
	e.WriteString(bodyEnd)
	b.entity = e.Bytes()
	return b
}

// header appends the header of message seq.
func (b *body) header(to []byte, seq, rcpts int) []byte {
	to = append(to, "From: Bank Statements <statements@src.test>\r\nTo: <"...)
	to = append(to, b.to(seq*rcpts)...)
	to = fmt.Appendf(to, ">\r\nSubject: Your statement %09d\r\nDate: %s\r\nMessage-ID: <", seq, b.date)
	to = strconv.AppendInt(to, int64(seq), 10)
	return append(to, ".statement@src.test>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=\"=_b1\"\r\n\r\n"...)
}
