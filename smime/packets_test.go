package smime

import (
	"slices"
	"testing"
)

// packet makes a packet in the new format with a definite length below 8384.
func packet(kind byte, body ...byte) []byte {
	p := []byte{0xc0 | kind}
	if n := len(body); n < 192 {
		p = append(p, byte(n))
	} else {
		p = append(p, byte((n-192)>>8)+192, byte(n-192))
	}
	return append(p, body...)
}

// octets gives a first octet and zeros, so many in all.
func octets(first byte, n int) []byte {
	b := make([]byte, n)
	b[0] = first
	return b
}

func TestPackets(t *testing.T) {
	pkesk, skesk := packet(packetPKESK, octets(3, 300)...), packet(packetSKESK, octets(4, 13)...)
	data := packet(packetSEIPD, octets(1, 100)...)
	old := append([]byte{0x80 | packetPKESK<<2 | 1, 0, 20}, octets(3, 20)...)
	five := append([]byte{0xc0 | packetSEIPD, 255, 0, 0, 0, 100}, octets(1, 100)...)
	part := append([]byte{0xc0 | packetSEIPD, 224 | 9}, octets(1, 512)...) // 512 bytes, and more to come
	for name, c := range map[string]struct {
		packets [][]byte
		ok      bool
	}{
		"public key":            {[][]byte{pkesk, data}, true},
		"passphrase":            {[][]byte{skesk, data}, true},
		"several keys":          {[][]byte{pkesk, skesk, pkesk, old, data}, true},
		"version 2 and 6":       {[][]byte{packet(packetPKESK, octets(6, 40)...), packet(packetSEIPD, octets(2, 60)...)}, true},
		"GnuPG's AEAD":          {[][]byte{pkesk, packet(packetAEAD, octets(1, 60)...)}, true},
		"five octets of length": {[][]byte{pkesk, five}, true},
		"partial":               {[][]byte{pkesk, part, {10}, make([]byte, 10)}, true},
		"partial, several":      {[][]byte{pkesk, part, {224}, {7}, {225}, {7, 7}, {192, 0}, make([]byte, 192)}, true},
		"partial, nothing last": {[][]byte{pkesk, part, {0}}, true},
		"partial, not ended":    {[][]byte{pkesk, part}, false},
		"partial, too small":    {[][]byte{pkesk, {0xc0 | packetSEIPD, 224 | 6}, octets(1, 64), {0}}, false},
		"partial key":           {[][]byte{{0xc0 | packetPKESK, 224 | 9}, octets(3, 512), {0}, data}, false},
		"nothing":               {nil, false},
		"no key":                {[][]byte{data}, false},
		"no data":               {[][]byte{pkesk}, false},
		"data twice":            {[][]byte{pkesk, data, data}, false},
		"key behind data":       {[][]byte{pkesk, data, pkesk}, false},
		"literal data":          {[][]byte{packet(11, octets('b', 50)...)}, false},
		"literal data behind":   {[][]byte{pkesk, data, packet(11, octets('b', 50)...)}, false},
		"literal data between":  {[][]byte{pkesk, packet(11, octets('b', 50)...), data}, false},
		"without integrity":     {[][]byte{pkesk, packet(9, octets(1, 100)...)}, false},
		"unknown version":       {[][]byte{pkesk, packet(packetSEIPD, octets(3, 100)...)}, false},
		"unknown key version":   {[][]byte{packet(packetPKESK, octets(9, 100)...), data}, false},
		"data too short":        {[][]byte{pkesk, packet(packetSEIPD, octets(1, 20)...)}, false},
		"empty data":            {[][]byte{pkesk, packet(packetSEIPD)}, false},
		"empty key":             {[][]byte{packet(packetPKESK), data}, false},
		"cut data":              {[][]byte{pkesk, data[:50]}, false},
		"cut length":            {[][]byte{pkesk, five[:3]}, false},
		"huge key":              {[][]byte{{0xc0 | packetPKESK, 255, 0x7f, 0, 0, 0}, octets(3, 1000)}, false},
		"indeterminate length":  {[][]byte{{0x80 | packetPKESK<<2 | 3}, octets(3, 100)}, false},
		"no packet":             {[][]byte{[]byte("the statement")}, false},
	} {
		all := slices.Concat(c.packets...)
		for _, piece := range []int{len(all) + 1, 1, 3} {
			e := &packetExaminer{}
			var err error
			for b := range slices.Chunk(all, piece) {
				if _, err = e.Write(b); err != nil {
					break
				}
			}
			if err == nil {
				err = e.Close()
			}
			if (err == nil) != c.ok {
				t.Errorf("%s, in pieces of %d: %v", name, piece, err)
			}
		}
	}
}

func TestCRC24(t *testing.T) {
	if got := crc24(crc24Init, nil); got != 0xb704ce {
		t.Errorf("of nothing: %#x", got)
	}
	if got := crc24(crc24Init, []byte("123456789")); got != 0x21cf02 { // the check value of CRC-24/OPENPGP
		t.Errorf("of the digits: %#x", got)
	}
}
