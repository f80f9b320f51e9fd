package importer

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sealpost/internal/address"
)

var errColumns = errors.New("needs two columns, an address and a file")

// csv reads lines of an address and the name of a file with its certificates,
// relative to the CSV file. A first line without an address is a heading.
func (r *Reader) csv(where, dir string, br *bufio.Reader, yield func(Item) error) error {
	in := csv.NewReader(br)
	in.FieldsPerRecord = -1
	in.ReuseRecord = true
	for first := true; ; first = false {
		record, err := in.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &broken):
			err = yield(Item{Where: at(where, broken.StartLine), Err: broken.Err})
		case err != nil:
			return yield(Item{Where: where, Err: plain(err)})
		default:
			err = r.csvLine(where, dir, in, record, first, yield)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) csvLine(where, dir string, in *csv.Reader, record []string, first bool, yield func(Item) error) error {
	line, _ := in.FieldPos(0)
	where = at(where, line)
	if len(record) < 2 {
		return yield(Item{Where: where, Err: errColumns})
	}
	whose, err := address.Parse(strings.TrimSpace(strings.TrimPrefix(record[0], "\ufeff")))
	if err != nil {
		if first && !strings.Contains(record[0], "@") {
			return nil
		}
		return yield(Item{Where: where, Err: err})
	}
	name := strings.TrimSpace(record[1])
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	return r.csvFile(where+": "+name, name, []address.Address{whose}, yield)
}

func (r *Reader) csvFile(where, name string, whose []address.Address, yield func(Item) error) error {
	f, err := os.Open(name)
	if err != nil {
		return yield(Item{Where: where, Err: plain(err)})
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return yield(Item{Where: where, Err: fmt.Errorf("is no file: %w", errors.Join(err, os.ErrInvalid))})
	}
	return r.whole(where, f, whose, yield)
}
