package importer

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// readPEM takes one block after the other, so that a file with a million of
// them needs no more memory than one with two. Text between blocks is passed
// over, as RFC 7468 section 2 wants it.
func readPEM(where string, br *bufio.Reader, whose []address.Address, yield func(Item) error) error {
	in := &lines{r: br}
	size := 0 // of the last block: the next one has about as much
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return yield(Item{Where: at(where, in.n+1), Err: plain(err)})
		case !bytes.HasPrefix(line, []byte("-----BEGIN ")):
			continue
		}
		first := in.n
		block, err := readBlock(in, line, size)
		if err != nil {
			return yield(Item{Where: at(where, first), Err: err})
		}
		size = len(block)
		if err := several(at(where, first), block, whose, yield); err != nil {
			return err
		}
	}
}

// readBlock reads up to the line that ends a block, of about so many bytes.
func readBlock(in *lines, first []byte, size int) ([]byte, error) {
	block := append(append(make([]byte, 0, min(size, 4096)+64), first...), '\n')
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, certificate.ErrTruncated
		case err != nil:
			return nil, plain(err)
		}
		block = append(append(block, line...), '\n')
		switch {
		case bytes.HasPrefix(line, []byte("-----END ")):
			return block, nil
		case len(block) > maxWhole:
			return nil, errWholeTooLarge
		}
	}
}
