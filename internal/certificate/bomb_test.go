package certificate_test

import (
	"bytes"
	"strings"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// nested is so many SEQUENCEs, each in the next.
func nested(depth int) []byte {
	inner := []byte{5, 0}
	for range depth {
		inner = testkit.TLV(0x30, inner)
	}
	return inner
}

// Bombs: whatever is inside of a certificate, reading it costs memory in
// proportion to its size, and what it shows is short. What cannot be read is
// refused.
func TestParseBombs(t *testing.T) {
	ca := testkit.NewCA(t)
	relative := func(value []byte, n int) []byte {
		return testkit.TLV(0x30, bytes.Repeat(testkit.TLV(0x31, testkit.TLV(0x30, testkit.OID(t, 2, 5, 4, 3), testkit.TLV(0x0c, value))), n))
	}
	extension := func(value []byte, arcs ...int) testkit.Forged {
		return testkit.Forged{Extensions: [][]byte{testkit.Extension(t, false, value, arcs...)}}
	}
	small := testkit.Extension(t, false, nil, 1, 2, 3)
	for name, forged := range map[string]testkit.Forged{
		"deep unknown extension":     extension(nested(8000), 1, 2, 3),
		"deep list of names":         extension(nested(8000), 2, 5, 29, 17),
		"deep constraints":           extension(nested(8000), 2, 5, 29, 19),
		"deep purposes":              extension(nested(8000), 2, 5, 29, 37),
		"deep capabilities":          extension(nested(8000), 1, 2, 840, 113549, 1, 9, 15),
		"deep subject":               {Subject: nested(8000)},
		"deep key":                   {Key: nested(8000)},
		"one long name":              {Subject: relative(bytes.Repeat([]byte("x"), 60000), 1)},
		"a name of control letters":  {Subject: relative(bytes.Repeat([]byte("\x1b"), 60000), 1)},
		"many names":                 {Subject: relative([]byte("x"), 4000)},
		"many extensions":            {Extensions: [][]byte{bytes.Repeat(small, 5000)}},
		"many addresses":             extension(testkit.TLV(0x30, bytes.Repeat(testkit.RFC822Name("a@b"), 12000)), 2, 5, 29, 17),
		"many purposes":              extension(testkit.TLV(0x30, bytes.Repeat(testkit.OID(t, 1, 2, 3), 12000)), 2, 5, 29, 37),
		"an identifier without end":  extension(testkit.TLV(0x30, testkit.TLV(0x06, bytes.Repeat([]byte{0xff}, 50000))), 2, 5, 29, 37),
		"a serial number of 50 KB":   {Serial: bytes.Repeat([]byte{1}, 50000)},
		"an RSA key of 400 000 bits": {Key: testkit.SPKI(testkit.TLV(0x30, testkit.TLV(0x02, bytes.Repeat([]byte{1}, 50000)), testkit.TLV(0x02, []byte{1, 0, 1})), testkit.OID(t, 1, 2, 840, 113549, 1, 1, 1), []byte{5, 0})},
	} {
		der := forged.Sign(t, ca)
		if len(der) > certificate.MaxSize {
			t.Fatalf("%s: of %d bytes it is refused for its size", name, len(der))
		}
		var c *certificate.Certificate
		allocs := testing.AllocsPerRun(1, func() { c, _ = certificate.Parse(der) })
		if most := float64(len(der)); allocs > most {
			t.Errorf("%s: %.0f allocations for %d bytes", name, allocs, len(der))
		}
		if c == nil {
			t.Errorf("%s: not read at all", name)
			continue
		}
		if shown := c.Subject + c.Issuer + c.KeyName; len(shown) > 2100 || strings.Contains(shown, "\x1b") {
			t.Errorf("%s: it shows %d bytes", name, len(shown))
		}
		agrees(t, c)
	}
}

// Lengths that lie, in each of their forms.
func TestParseLyingLengths(t *testing.T) {
	good := testkit.NewCA(t).For(t, "anna@example.org").Cert.Raw
	body := good[4:] // behind 30 82 xx xx
	for name, head := range map[string][]byte{
		"indefinite":          {0x30, 0x80},
		"one byte too long":   {0x30, 0x82, good[2], good[3] + 1},
		"four bytes, all set": {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"eight bytes":         {0x30, 0x88, 0, 0, 0, 0, 0, 0, good[2], good[3]},
		"127 bytes":           append([]byte{0x30, 0xff}, make([]byte, 127)...),
		"not the shortest":    {0x30, 0x83, 0, good[2], good[3]},
		"high tag":            {0x3f, 0x81, 0x80, 0x00, 0x82, good[2], good[3]},
	} {
		if c, err := certificate.Parse(append(head, body...)); err == nil {
			t.Errorf("%s: read as %s", name, c.Subject)
		}
	}
}
