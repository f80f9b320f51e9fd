package ldap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// A tape is a connection from which these bytes come.
type tape struct {
	net.Conn
	in io.Reader
}

func (t tape) Read(p []byte) (int, error) { return t.in.Read(p) }

var (
	wholeEntry = []byte("\x30\x1f\x02\x01\x01\x64\x1a\x04\x04cn=a\x30\x12\x30\x10\x04\x0buserCertifi\x31\x01\x00")
	wholeDone  = []byte("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00")
)

func entry(values ...string) []byte {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
	}
	attribute := ber.NewSequence("")
	attribute.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "userCertificate;binary", ""))
	attribute.AppendChild(set)
	attributes := ber.NewSequence("")
	attributes.AppendChild(attribute)
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "cn=a", ""))
	op.AppendChild(attributes)
	message := ber.NewSequence("")
	message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
	message.AppendChild(op)
	return message.Bytes()
}

func TestGuard(t *testing.T) {
	nested := bytes.Repeat([]byte{0x30, 0x02}, 1)
	for range 20 {
		nested = append([]byte{0x30, byte(len(nested))}, nested...)
	}
	tiny := append([]byte{0x30, 0x82, 0x80, 0x03, 0x02, 0x01, 0x01}, bytes.Repeat([]byte{0x05, 0x00}, 1<<14)...)
	good := append(entry("one", "two"), wholeDone...)
	for name, c := range map[string]struct {
		in     []byte
		expect int
		out    int // bytes that come through
		want   error
	}{
		"an answer":             {good, 1 << 20, len(good), io.EOF},
		"more behind the end":   {append(bytes.Clone(good), wholeDone...), 1 << 20, len(good), ErrUnasked},
		"an answer to another":  {bytes.Replace(good, []byte{2, 1, 1}, []byte{2, 1, 2}, 2), 1 << 20, 0, ErrUnasked},
		"an id of four bytes":   {[]byte{0x30, 0x0f, 0x02, 0x04, 0, 0, 0, 1, 0x65, 0x07, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x00}, 1 << 20, 17, io.EOF},
		"nothing":               {nil, 1 << 20, 0, io.EOF},
		"nobody asked":          {good, 0, 0, ErrUnasked},
		"a budget for one":      {good, len(good) - 1, len(good) - len(wholeDone), ErrTooLarge},
		"cut short":             {good[:len(good)-1], 1 << 20, len(good) - len(wholeDone), io.EOF},
		"cut in the header":     {[]byte{0x30, 0x84, 0x00}, 1 << 20, 0, io.EOF},
		"a length of 2 GiB":     {[]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02}, 1 << 20, 0, ErrTooLarge},
		"a length of 4 GiB":     {[]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02}, 1 << 20, 0, ErrTooLarge},
		"a length of nine":      {[]byte{0x30, 0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 1 << 20, 0, ErrMalformed},
		"no length":             {[]byte{0x30, 0x80, 0x02, 0x01, 0x01, 0x00, 0x00}, 1 << 20, 0, ErrMalformed},
		"another protocol":      {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), 1 << 20, 0, ErrMalformed},
		"too deep":              {append([]byte{0x30, byte(3 + len(nested)), 0x02, 0x01, 0x01}, nested...), 1 << 20, 0, ErrMalformed},
		"too many":              {tiny, 1 << 20, 0, ErrTooLarge},
		"an element too long":   {[]byte{0x30, 0x05, 0x02, 0x01, 0x01, 0x04, 0x09}, 1 << 20, 0, ErrMalformed},
		"no message id":         {[]byte{0x30, 0x04, 0x04, 0x02, 0x01, 0x01}, 1 << 20, 0, ErrMalformed},
		"a message id too long": {[]byte{0x30, 0x07, 0x02, 0x05, 1, 1, 1, 1, 1}, 1 << 20, 0, ErrMalformed},
		"a notice":              {[]byte{0x30, 0x05, 0x02, 0x01, 0x00, 0x78, 0x00}, 1 << 20, 0, ErrDisconnect},
		"a tag of two bytes":    {[]byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x1f, 0x01, 0x00}, 1 << 20, 0, ErrMalformed},
	} {
		g := newGuard(tape{in: bytes.NewReader(c.in)})
		g.id = 1
		g.expect(c.expect)
		out, err := io.ReadAll(g)
		if err == nil {
			err = g.problem() // ReadAll keeps io.EOF to itself
		}
		if !errors.Is(err, c.want) || len(out) != c.out {
			t.Errorf("%s: %d bytes and %v, want %d and %v", name, len(out), err, c.out, c.want)
		}
		if again, err := g.Read(make([]byte, 1)); again != 0 || err == nil {
			t.Errorf("%s: goes on after the error", name)
		}
	}
}

// The answer before TLS is read to its end and not beyond.
func TestReadMessage(t *testing.T) {
	in := bytes.NewReader(append(bytes.Clone(wholeDone), "and then"...))
	message, err := readMessage(tape{in: in}, 100)
	if err != nil || !bytes.Equal(message, wholeDone) || in.Len() != len("and then") {
		t.Errorf("%x, %v, %d left", message, err, in.Len())
	}
	if _, err := readMessage(tape{in: bytes.NewReader(wholeDone)}, 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// Whatever a server sends, the guard hands on whole messages within bounds,
// and go-ldap calls it a success only when a whole SearchResultDone says so.
func FuzzAnswer(f *testing.F) {
	f.Add(append(entry("one"), wholeDone...))
	f.Add(wholeDone)
	f.Add(wholeEntry)
	f.Add(append(entry(), entry("x", "y")...))
	f.Add([]byte("\x30\x0c\x02\x01\x01\x73\x07\x04\x05ldap:"))
	f.Add([]byte("\x30\x05\x02\x01\x00\x78\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 16
		g := newGuard(tape{in: bytes.NewReader(data)})
		g.id = 1
		g.expect(most)
		out, _ := io.ReadAll(g)
		if !bytes.HasPrefix(data, out) || len(out) > most {
			t.Fatalf("%d bytes came out of %d", len(out), len(data))
		}
		finished := false
		for in := bytes.NewReader(out); in.Len() > 0; {
			p, err := ber.ReadPacket(in)
			if err != nil {
				return // a primitive type that go-ldap reads more strictly
			}
			finished = finished || len(p.Children) > 1 && p.Children[1].Tag == ldap.ApplicationSearchResultDone
		}
		ours, theirs := net.Pipe()
		go func() {
			_, _ = ber.ReadPacket(theirs)
			_, _ = theirs.Write(data)
			theirs.Close()
		}()
		c := &conn{raw: ours, guard: newGuard(ours)}
		c.ldap = ldap.NewConn(c.guard, true)
		c.ldap.Start()
		err := c.do(t.Context(), most, func() error {
			_, err := c.ldap.Search(&ldap.SearchRequest{Filter: "(mail=x)"})
			return err
		})
		c.close()
		if err == nil && !finished {
			t.Fatalf("success without the end of a search: %x", data)
		}
	})
}
