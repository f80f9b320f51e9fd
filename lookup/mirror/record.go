package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sealpost/lookup/keydb"
)

// A record holds an address and its certificates:
//
//	record       crc[4] address certificates{count}
//	certificate  der sha256[32] flags[1] origin key capabilities{count} addresses{count} times…
//
// Texts and byte strings have their length in front, as a varint, and counts
// and times (Unix seconds) are varints too. The flags say which times are there,
// and that the addresses are just the record's, which then is not written again.
const (
	hasNotBefore = 1 << iota
	hasNotAfter
	hasFirstSeen
	hasLastSeen
	onlyThisAddress
	knownFlags = 1<<iota - 1
)

// ErrTooLarge is a change that has more in it than a mirror keeps.
var ErrTooLarge = errors.New("an address has too many certificates, or too large ones, for a mirror")

// appendRecord appends the record of an address with at least one certificate.
func appendRecord(b []byte, c *keydb.Change) ([]byte, error) {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = appendText(b, c.Address)
	b = binary.AppendUvarint(b, uint64(len(c.Certificates)))
	for i := range c.Certificates {
		b = appendCertificate(b, &c.Certificates[i], c.Address)
	}
	if len(b)-start > maxRecord {
		return b[:start], fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b)-start)
	}
	binary.LittleEndian.PutUint32(b[start:], checksum(b[start+4:]))
	return b, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

func appendCertificate(b []byte, c *keydb.Certificate, address string) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(c.DER))), c.DER...)
	b = append(b, c.SHA256[:]...)
	times := [...]time.Time{c.NotBefore, c.NotAfter, c.FirstSeen, c.LastSeen}
	flags := byte(0)
	for i, t := range times {
		if !t.IsZero() {
			flags |= 1 << i
		}
	}
	alone := len(c.Addresses) == 1 && c.Addresses[0] == address
	if alone {
		flags |= onlyThisAddress
	}
	b = append(b, flags)
	b = appendText(b, c.Origin)
	b = appendText(b, c.Key)
	b = appendTexts(b, c.Capabilities)
	if !alone {
		b = appendTexts(b, c.Addresses)
	}
	for _, t := range times {
		if !t.IsZero() {
			b = binary.AppendVarint(b, t.Unix())
		}
	}
	return b
}

var errRecord = errors.New("a record that cannot be read")

// addressOf is the address of a record, after its checksum has been proven.
func addressOf(record []byte) (string, error) {
	if len(record) < 4 || binary.LittleEndian.Uint32(record) != checksum(record[4:]) {
		return "", errRecord
	}
	r := recordReader{rest: record[4:]}
	address := string(r.bytes())
	if r.bad {
		return "", errRecord
	}
	return address, nil
}

// decodeRecord reads a record; the certificates keep its bytes.
func decodeRecord(record []byte) (keydb.Change, error) {
	if len(record) < 4 || binary.LittleEndian.Uint32(record) != checksum(record[4:]) {
		return keydb.Change{}, errRecord
	}
	r := recordReader{rest: record[4:]}
	out := keydb.Change{Address: string(r.bytes())}
	if n := r.count(); n > 0 {
		out.Certificates = make([]keydb.Certificate, n)
	}
	for i := range out.Certificates {
		r.certificate(&out.Certificates[i], out.Address)
	}
	if r.bad || len(r.rest) != 0 {
		return keydb.Change{}, errRecord
	}
	return out, nil
}

// A recordReader takes values off the front; after the first that is not there
// it is bad, and gives nothing more.
type recordReader struct {
	rest []byte
	bad  bool
}

func (r *recordReader) fail() {
	r.bad, r.rest = true, nil
}

func (r *recordReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *recordReader) bytes() []byte { return r.take(r.uvarint()) }

// count is a number of things that take at least a byte each.
func (r *recordReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *recordReader) texts() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = string(r.bytes())
	}
	return list
}

func (r *recordReader) time(there bool) time.Time {
	if !there {
		return time.Time{}
	}
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return time.Time{}
	}
	r.rest = r.rest[n:]
	return time.Unix(v, 0).UTC()
}

func (r *recordReader) certificate(c *keydb.Certificate, address string) {
	c.DER = r.bytes()
	copy(c.SHA256[:], r.take(uint64(len(c.SHA256))))
	var flags byte
	if b := r.take(1); b != nil {
		flags = b[0]
	}
	if flags&^knownFlags != 0 {
		r.fail()
	}
	c.Origin = word(r.bytes())
	c.Key = word(r.bytes())
	c.Capabilities = r.texts()
	if flags&onlyThisAddress != 0 {
		c.Addresses = []string{address}
	} else {
		c.Addresses = r.texts()
	}
	c.NotBefore = r.time(flags&hasNotBefore != 0)
	c.NotAfter = r.time(flags&hasNotAfter != 0)
	c.FirstSeen = r.time(flags&hasFirstSeen != 0)
	c.LastSeen = r.time(flags&hasLastSeen != 0)
}

// word is a text of which there are few, without memory of its own.
func word(b []byte) string {
	switch string(b) {
	case "":
		return ""
	case "import":
		return "import"
	case "harvest":
		return "harvest"
	case "api":
		return "api"
	case "issued":
		return "issued"
	case "RSA 2048":
		return "RSA 2048"
	case "RSA 3072":
		return "RSA 3072"
	case "RSA 4096":
		return "RSA 4096"
	case "EC P-256":
		return "EC P-256"
	}
	return string(b)
}
