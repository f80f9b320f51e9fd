// Package importer reads certificates out of the files that people keep them
// in, judges them, and hands those that mail can be sealed to to the store.
package importer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// An Item is one certificate of a file, or why there is none at that place; or
// a piece of a file whose certificates Each reads.
type Item struct {
	Where     string                   // the file, with the line or the entry where there is one
	Cert      *certificate.Certificate // nil when Err says why
	Addresses []address.Address        // whose it is, as the file says; none: as the certificate says
	Err       error

	piece []byte // not read yet: finding the pieces is quick, reading them is work for all processors
}

// Each gives the certificates of a piece, and what cannot be read of it; an Item
// that is no piece is given as it is.
func (it Item) Each(yield func(Item)) {
	if it.piece == nil {
		yield(it)
		return
	}
	data := it.piece
	it.piece = nil
	if cert := plainPEM(data); cert != nil {
		it.Cert = cert
		yield(it)
		return
	}
	certs, err := certificate.ParseAll(data)
	for _, c := range certs {
		it.Cert = c
		yield(it)
	}
	if err != nil {
		it.Cert, it.Err = nil, err
		yield(it)
	}
}

// plainPEM reads one block as everybody writes it, which certificate.ParseAll
// does too, but has to look for more; nil when it is anything else.
func plainPEM(data []byte) *certificate.Certificate {
	body, begins := bytes.CutPrefix(data, []byte("-----BEGIN CERTIFICATE-----\n"))
	body, ends := bytes.CutSuffix(body, []byte("\n-----END CERTIFICATE-----\n"))
	if !begins || !ends {
		return nil
	}
	der := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Decode(der, body)
	if err != nil {
		return nil
	}
	cert, err := certificate.Parse(der[:n:n])
	if err != nil {
		return nil // ParseAll has the words for it
	}
	return cert
}

// A Reader goes over files. Progress, when it is set, is told how many bytes
// have been read, of how many; total is 0 while it is not known.
type Reader struct {
	Stdin    io.Reader // what the name "-" stands for
	Progress func(done, total int64)

	done, total int64
}

// maxWhole bounds, in bytes, what has to be held in memory as a whole: a file
// that is not PEM, LDIF or CSV.
const maxWhole = 64 << 20

var errWholeTooLarge = errors.New("is larger than 64 MiB and neither PEM, LDIF nor CSV")

// Files goes over files and, with everything below them, folders, and gives
// their pieces. It stops with the error of yield; what cannot be read is an Item
// with an error.
func (r *Reader) Files(paths []string, yield func(Item) error) error {
	for _, p := range paths {
		r.total += size(p)
	}
	for _, p := range paths {
		if err := r.walk(p, yield); err != nil {
			return err
		}
	}
	return nil
}

// size is the sum of the bytes of a file or folder, 0 where nobody can tell.
func size(path string) (sum int64) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // the reading will say what is wrong
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

func (r *Reader) walk(path string, yield func(Item) error) error {
	if path == "-" {
		return r.stream("standard input", "", r.Stdin, yield)
	}
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return yield(Item{Where: p, Err: plain(err)})
		case d.IsDir() && p != path && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir(), p != path && (strings.HasPrefix(d.Name(), ".") || !d.Type().IsRegular() && d.Type()&fs.ModeSymlink == 0):
			return nil
		}
		return r.file(p, yield)
	})
}

func (r *Reader) file(path string, yield func(Item) error) error {
	f, err := os.Open(path)
	if err != nil {
		return yield(Item{Where: path, Err: plain(err)})
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil // a symbolic link to a folder: it may lead back up
	}
	return r.stream(path, filepath.Dir(path), f, yield)
}

// stream reads one file, whose kind it tells from the name and the beginning.
// Names in it are relative to dir.
func (r *Reader) stream(where, dir string, in io.Reader, yield func(Item) error) error {
	br := bufio.NewReaderSize(&counter{r: in, owner: r}, 64<<10)
	head, err := br.Peek(32 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return yield(Item{Where: where, Err: plain(err)})
	}
	switch ext := strings.ToLower(filepath.Ext(where)); {
	case ext == ".csv":
		return r.csv(where, dir, br, yield)
	case ext == ".ldif" || looksLikeLDIF(head):
		return readLDIF(where, br, yield)
	case bytes.Contains(head, []byte("-----BEGIN ")):
		return readPEM(where, br, nil, yield)
	}
	return r.whole(where, br, nil, yield)
}

// whole reads what has no beginnings and ends inside: DER and PKCS #7.
func (r *Reader) whole(where string, in io.Reader, whose []address.Address, yield func(Item) error) error {
	data, err := io.ReadAll(io.LimitReader(in, maxWhole+1))
	if err == nil && len(data) > maxWhole {
		err = errWholeTooLarge
	}
	if err != nil {
		return yield(Item{Where: where, Err: plain(err)})
	}
	return several(where, data, whose, yield)
}

// several yields one piece of a file, which may have several certificates.
func several(where string, data []byte, whose []address.Address, yield func(Item) error) error {
	if len(data) == 0 {
		return yield(Item{Where: where, Err: certificate.ErrNone})
	}
	return yield(Item{Where: where, Addresses: whose, piece: data})
}

// plain leaves out the path, which Item.Where has.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// at names a line of a file.
func at(where string, line int) string { return fmt.Sprintf("%s:%d", where, line) }

// A counter tells its owner what has been read.
type counter struct {
	r     io.Reader
	owner *Reader
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.owner.done += int64(n)
	if c.owner.Progress != nil {
		c.owner.Progress(c.owner.done, c.owner.total)
	}
	return n, err
}
