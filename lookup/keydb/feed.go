package keydb

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"sealpost/internal/address"
)

// A Change says what an address has now: all its active certificates, the best
// first, none of them when it has none any more. To apply one twice does no
// harm, and the feed from its beginning is a copy of the whole directory.
type Change struct {
	Seq          uint64        `json:"seq"`
	Address      string        `json:"address"` // in its normal form
	Certificates []Certificate `json:"certificates"`
}

// A Page is a part of the feed: the changes after a cursor, in the order of
// their numbers.
type Page struct {
	Changes  []Change
	Next     string // the cursor after them
	Complete bool   // there is nothing more now
	Sequence uint64 // the number of the directory's last change, for telling how far behind one is
}

// trailer is the last line of a page.
type trailer struct {
	Next     *string     `json:"next"`
	Since    string      `json:"since"` // the cursor that was asked with
	Complete bool        `json:"complete"`
	Sequence uint64      `json:"sequence"`
	Count    *int        `json:"count"`
	SHA256   Fingerprint `json:"sha256"` // over the lines before this one, line ends included
}

// Errors of ReadPage.
var (
	ErrPage  = errors.New("the page of the feed is damaged")
	errShort = fmt.Errorf("%w: it ends before its last line", ErrPage)
)

// A PageWriter writes a page of the feed as application/x-ndjson: a line for
// each change, and a last line that tells their number and hash.
type PageWriter struct {
	w     io.Writer
	since string
	hash  hash.Hash
	count int
	line  []byte // used again for each
}

// NewPageWriter begins the page that was asked for with the cursor since.
func NewPageWriter(w io.Writer, since string) *PageWriter {
	return &PageWriter{w: w, since: since, hash: sha256.New()}
}

// Write writes a change. Seq must rise from change to change.
func (p *PageWriter) Write(c Change) error {
	p.line = appendChange(p.line[:0], &c)
	p.hash.Write(p.line)
	p.count++
	_, err := p.w.Write(p.line)
	return err
}

// End writes the last line. Without it a page is not one.
func (p *PageWriter) End(next string, complete bool, sequence uint64) error {
	t := trailer{Next: &next, Since: p.since, Complete: complete, Sequence: sequence, Count: &p.count}
	p.hash.Sum(t.SHA256[:0])
	line, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = p.w.Write(append(line, '\n'))
	return err
}

// ReadPage reads the page that was asked for with the cursor since, of at most
// so many changes. A page that is cut short, mixed up or altered on the way is
// an error, never a shorter page: the errors are ErrPage, ErrFormat and ErrHash.
func ReadPage(r io.Reader, since string, most int) (Page, error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	reader := pageReader{since: since, most: most, hash: sha256.New()}
	for {
		line, err := readLine(lines)
		if err != nil {
			return Page{}, err
		}
		done, err := reader.line(line)
		if err != nil {
			return Page{}, err
		}
		if done {
			break
		}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		return Page{}, fmt.Errorf("%w: something follows its last line", ErrPage)
	}
	return reader.page, nil
}

// readLine gives a line with its end; it stays valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		long := bytes.Clone(line)
		for err == bufio.ErrBufferFull {
			if len(long) > MaxLine {
				return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrPage, MaxLine)
			}
			line, err = r.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	switch {
	case err == io.EOF:
		return nil, errShort
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errShort, err)
	case len(line) > MaxLine:
		return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrPage, MaxLine)
	}
	return line, nil
}

type pageReader struct {
	page  Page
	since string
	most  int
	hash  hash.Hash
	last  uint64
}

// line takes the next line, and tells whether it was the last.
func (p *pageReader) line(line []byte) (done bool, err error) {
	var l struct {
		Seq          *uint64       `json:"seq"`
		Address      string        `json:"address"`
		Certificates []Certificate `json:"certificates"`
		trailer
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return false, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch {
	case l.Seq != nil && l.Next != nil:
		return false, fmt.Errorf("%w: a line that is a change and an end", ErrPage)
	case l.Next != nil:
		return true, p.end(l.trailer)
	case l.Seq == nil:
		return false, fmt.Errorf("%w: a line that is neither a change nor the end", ErrPage)
	case len(p.page.Changes) == p.most:
		return false, fmt.Errorf("%w: more than %d changes", ErrPage, p.most)
	}
	p.hash.Write(line)
	return false, p.change(Change{*l.Seq, l.Address, l.Certificates})
}

func (p *pageReader) change(c Change) error {
	switch {
	case c.Seq <= p.last:
		return fmt.Errorf("%w: change %d after %d", ErrPage, c.Seq, p.last)
	case c.Address == "" || c.Certificates == nil:
		return fmt.Errorf("%w: change %d lacks its address or its list of certificates", ErrFormat, c.Seq)
	}
	if err := checkAll(c.Certificates); err != nil {
		return fmt.Errorf("change %d: %w", c.Seq, err)
	}
	// An address that cannot be read here is kept as it stands: nobody can ask
	// for it, and a newer directory must not stop an older mirror.
	if a, err := address.Parse(c.Address); err == nil {
		c.Address = a.Key()
	}
	p.last = c.Seq
	p.page.Changes = append(p.page.Changes, c)
	return nil
}

// end holds the page to what its last line says.
func (p *pageReader) end(t trailer) error {
	var sum Fingerprint
	p.hash.Sum(sum[:0])
	n := len(p.page.Changes)
	switch {
	case t.Since != p.since:
		return fmt.Errorf("%w: it follows another cursor than the one that was asked with", ErrPage)
	case t.Count == nil || *t.Count != n:
		return fmt.Errorf("%w: it has %d changes, and says otherwise", ErrPage, n)
	case t.SHA256 != sum:
		return fmt.Errorf("%w: its hash is another", ErrPage)
	case t.Sequence < p.last:
		return fmt.Errorf("%w: it ends at %d, and has change %d", ErrPage, t.Sequence, p.last)
	case *t.Next == "":
		return fmt.Errorf("%w: it has no cursor to go on from", ErrPage)
	}
	p.page.Next, p.page.Complete, p.page.Sequence = *t.Next, t.Complete, t.Sequence
	return nil
}
