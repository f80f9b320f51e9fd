package importer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"sealpost/internal/address"
)

// Why an entry of an LDIF file gives no certificate.
var (
	errURLValue = errors.New("has a value that is to be read from a URL, which is not done: put the certificate in as base64")
	errBase64   = errors.New("has a value that is not base64")
	errNoColon  = errors.New("has a line without a colon")
	errChange   = errors.New("is a change, not an entry: export the entries themselves")
)

// looksLikeLDIF reports a file whose first line, comments apart, is one that
// LDIF begins with (RFC 2849).
func looksLikeLDIF(head []byte) bool {
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return bytes.HasPrefix(line, []byte("dn:")) || bytes.HasPrefix(line, []byte("version:"))
	}
	return false
}

// readLDIF reads the entries of an LDIF file (RFC 2849), such as slapcat and
// ldapsearch -LLL write it. The certificates of an entry belong to its mail
// addresses. An entry that cannot be read is left out, and the next one read.
func readLDIF(where string, br *bufio.Reader, yield func(Item) error) error {
	in := &lines{r: br}
	var e ldifEntry
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return e.end(where, yield)
		case err != nil:
			return yield(Item{Where: at(where, in.n+1), Err: plain(err)})
		case len(line) == 0:
			if err := e.end(where, yield); err != nil {
				return err
			}
			e = ldifEntry{}
		default:
			e.line(line, in.n)
		}
	}
}

// An ldifEntry is one entry while it is read.
type ldifEntry struct {
	first   int // its line; 0: nothing was read yet
	logical []byte
	comment bool
	mail    []address.Address
	certs   [][]byte
	size    int
	err     error
}

// line takes one physical line; those that begin with a blank go on with the
// one before (RFC 2849, note 2).
func (e *ldifEntry) line(line []byte, number int) {
	if line[0] == ' ' {
		if !e.comment && len(e.logical) <= maxLine {
			e.logical = append(e.logical, line[1:]...)
		}
		return
	}
	e.flush()
	if e.comment = line[0] == '#'; e.comment {
		return
	}
	if e.first == 0 {
		e.first = number
	}
	e.logical = append(e.logical[:0], line...)
}

// flush reads the logical line that is complete.
func (e *ldifEntry) flush() {
	line := e.logical
	e.logical = e.logical[:0]
	if len(line) == 0 || e.err != nil {
		return
	}
	if len(line) > maxLine {
		e.err = errLine
		return
	}
	name, rest, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		e.err = errNoColon
		return
	}
	attribute, _, _ := strings.Cut(strings.ToLower(string(name)), ";")
	switch attribute {
	case "mail", "rfc822mailbox", "usercertificate", "usersmimecertificate":
	case "changetype":
		e.err = errChange
		return
	default:
		return
	}
	value, err := ldifValue(rest)
	if err != nil {
		e.err = fmt.Errorf("%s %w", attribute, err)
		return
	}
	e.take(attribute, value)
}

func (e *ldifEntry) take(attribute string, value []byte) {
	if attribute == "usercertificate" || attribute == "usersmimecertificate" {
		if e.size += len(value); e.size > maxWhole {
			e.err = errWholeTooLarge
			return
		}
		e.certs = append(e.certs, value)
		return
	}
	if a, err := address.Parse(string(value)); err == nil {
		e.mail = append(e.mail, a)
	}
}

// ldifValue is what stands behind the first colon.
func ldifValue(rest []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(rest, []byte(":")):
		encoded := bytes.TrimSpace(rest[1:])
		out := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
		n, err := base64.StdEncoding.Decode(out, encoded)
		if err != nil {
			return nil, errBase64
		}
		return out[:n], nil
	case bytes.HasPrefix(rest, []byte("<")):
		return nil, errURLValue
	}
	return bytes.Clone(bytes.TrimLeft(rest, " ")), nil
}

// end yields what the entry had.
func (e *ldifEntry) end(where string, yield func(Item) error) error {
	e.flush()
	if e.first == 0 {
		return nil
	}
	where = at(where, e.first)
	if e.err != nil {
		return yield(Item{Where: where, Err: e.err})
	}
	for _, data := range e.certs {
		if err := several(where, data, e.mail, yield); err != nil {
			return err
		}
	}
	return nil
}
