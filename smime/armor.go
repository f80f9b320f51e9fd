package smime

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

// maxArmorHeaders bounds the header lines of an armor.
const maxArmorHeaders = 16

var errArmor = errors.New("not an ASCII-armored OpenPGP message and nothing else")

// An armorExaminer accepts the lines of one armored OpenPGP message (RFC 9580
// section 6.2), with blank lines around it, and has its packets examined.
type armorExaminer struct {
	state   armorState
	headers int
	data    *strictBase64
	packets *packetExaminer
	crc     uint32
	want    []byte // the checksum that was given, if any
}

type armorState int

const (
	armorBefore armorState = iota
	armorHeader
	armorData
	armorChecked // the checksum line was seen
	armorAfter
)

func newArmorExaminer() *armorExaminer {
	a := &armorExaminer{packets: &packetExaminer{}, crc: crc24Init}
	a.data = newStrictBase64(armorBytes{a})
	return a
}

// complete reports that the armor has begun and ended.
func (a *armorExaminer) complete() bool { return a.state == armorAfter }

func (a *armorExaminer) line(line []byte) error {
	line = bytes.TrimRight(line, " \t")
	switch a.state {
	case armorBefore:
		if string(line) == "-----BEGIN PGP MESSAGE-----" {
			a.state = armorHeader
			return nil
		}
	case armorHeader:
		return a.headerLine(line)
	case armorData, armorChecked:
		return a.dataLine(line)
	}
	if len(line) > 0 {
		return errArmor
	}
	return nil
}

// headerLine accepts the keys that RFC 9580 section 6.2.2 defines.
func (a *armorExaminer) headerLine(line []byte) error {
	if len(line) == 0 {
		a.state = armorData
		return nil
	}
	a.headers++
	key, _, ok := bytes.Cut(line, []byte(":"))
	if !ok || a.headers > maxArmorHeaders || !isOneOf(string(key), "Version", "Comment", "Hash", "Charset", "MessageID") {
		return errArmor
	}
	return nil
}

func (a *armorExaminer) dataLine(line []byte) error {
	switch {
	case string(line) == "-----END PGP MESSAGE-----":
		a.state = armorAfter
		return a.end()
	case a.state == armorChecked || len(line) == 0:
		return errArmor
	case line[0] == '=' && len(line) == 5:
		a.state = armorChecked
		a.want = bytes.Clone(line[1:])
		return nil
	}
	_, err := a.data.Write(line)
	return err
}

// end closes the packets and compares the checksum. It is optional, but one
// that is wrong tells of damage (RFC 9580 section 6.1).
func (a *armorExaminer) end() error {
	if err := a.data.Close(); err != nil {
		return err
	}
	got := base64.StdEncoding.EncodeToString([]byte{byte(a.crc >> 16), byte(a.crc >> 8), byte(a.crc)})
	if a.want != nil && string(a.want) != got {
		return errArmor
	}
	return nil
}

// armorBytes takes what the base64 decodes to.
type armorBytes struct{ *armorExaminer }

var _ io.WriteCloser = armorBytes{}

func (a armorBytes) Write(p []byte) (int, error) {
	a.crc = crc24(a.crc, p)
	return a.packets.Write(p)
}

func (a armorBytes) Close() error { return a.packets.Close() }

// The checksum of RFC 9580 section 6.1.1.
const (
	crc24Init = 0xb704ce
	crc24Poly = 0x1864cfb
)

func crc24(crc uint32, p []byte) uint32 {
	for _, b := range p {
		crc ^= uint32(b) << 16
		for range 8 {
			crc <<= 1
			if crc&(1<<24) != 0 {
				crc ^= crc24Poly
			}
		}
	}
	return crc
}
