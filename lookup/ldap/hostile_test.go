package ldap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"sealpost/internal/testkit"
	"sealpost/lookup/ldap"
)

// An answer is how a hostile server answers a request with this message id.
type answer func(w io.Writer, id int64)

// A liar is a server that answers every request in one way.
type liar struct {
	url         string
	connections atomic.Int64
}

// newLiar runs until the test ends. With hangUp, a connection ends after the
// answer; otherwise the client ends it.
func newLiar(t testing.TB, hangUp bool, answers ...answer) *liar {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &liar{url: "ldap://" + l.Addr().String()}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			all.Go(func() { lie(c, hangUp, answers) })
		}
	})
	return s
}

// lie gives the first request the first answer, and so on; the last one again
// and again.
func lie(c net.Conn, hangUp bool, answers []answer) {
	defer c.Close()
	for i := 0; ; i++ {
		p, err := ber.ReadPacket(c)
		if err != nil {
			return
		}
		answers[min(i, len(answers)-1)](c, p.Children[0].Value.(int64))
		if hangUp {
			return
		}
	}
}

// raw answers with these bytes.
func raw(s string) answer { return func(w io.Writer, _ int64) { _, _ = io.WriteString(w, s) } }

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func constructed(class ber.Class, tag ber.Tag, children ...*ber.Packet) *ber.Packet {
	p := ber.Encode(class, ber.TypeConstructed, tag, nil, "")
	for _, c := range children {
		p.AppendChild(c)
	}
	return p
}

func sequence(children ...*ber.Packet) *ber.Packet {
	return constructed(ber.ClassUniversal, ber.TagSequence, children...)
}

func send(w io.Writer, id int64, op *ber.Packet) error {
	_, err := w.Write(sequence(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""), op).Bytes())
	return err
}

func done(code int, text string) *ber.Packet {
	return constructed(ber.ClassApplication, goldap.ApplicationSearchResultDone,
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""), octets(""), octets(text))
}

func entry(attribute string, values ...string) *ber.Packet {
	set := constructed(ber.ClassUniversal, ber.TagSet)
	for _, v := range values {
		set.AppendChild(octets(v))
	}
	return constructed(ber.ClassApplication, goldap.ApplicationSearchResultEntry, octets("cn=a"), sequence(sequence(octets(attribute), set)))
}

// say answers with these operations, one after the other.
func say(ops ...*ber.Packet) answer {
	return func(w io.Writer, id int64) {
		for _, op := range ops {
			if send(w, id, op) != nil {
				return
			}
		}
	}
}

// forever repeats an operation until the client goes.
func forever(op *ber.Packet) answer {
	return func(w io.Writer, id int64) {
		for send(w, id, op) == nil {
		}
	}
}

func elsewhere(w io.Writer, id int64) {
	_ = send(w, id+1, entry("userCertificate", "x"))
	_ = send(w, id+1, done(0, ""))
}

func drip(w io.Writer, id int64) {
	var whole bytes.Buffer
	say(entry("userCertificate", strings.Repeat("x", 10000)), done(0, ""))(&whole, id)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, b := range whole.Bytes() {
		<-tick.C
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
	}
}

// lies are what servers say that is no answer; want is nil where any error
// will do.
func lies() map[string]struct {
	hangUp bool
	answer answer
	want   error
} {
	type lie = struct {
		hangUp bool
		answer answer
		want   error
	}
	nested := "\x05\x00"
	for range 20 {
		nested = string(constructed(ber.ClassUniversal, ber.TagSequence).Bytes()[:1]) + string([]byte{byte(len(nested))}) + nested
	}
	const crowd = "\x30\x84\x00\x1e\x84\x83\x02\x01\x01" // of a million elements of two bytes
	notice := constructed(ber.ClassApplication, goldap.ApplicationExtendedResponse,
		ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, 52, ""), octets(""), octets(""))
	all := map[string]lie{
		"nothing":                 {false, raw(""), context.DeadlineExceeded},
		"hangs up":                {true, raw(""), nil},
		"another protocol":        {false, raw("HTTP/1.1 400 Bad Request\r\n\r\n"), ldap.ErrMalformed},
		"garbage":                 {false, raw(strings.Repeat("\xff\x00\x30", 1000)), ldap.ErrMalformed},
		"a length of 2 GiB":       {false, raw("\x30\x84\x7f\xff\xff\xff" + strings.Repeat("x", 1<<20)), ldap.ErrTooLarge},
		"more than is allowed":    {false, say(entry("userCertificate", strings.Repeat("x", 1<<20))), ldap.ErrTooLarge},
		"indefinite lengths":      {false, raw("\x30\x80\x02\x01\x01\x65\x80"), ldap.ErrMalformed},
		"deep nesting":            {false, raw("\x30" + string([]byte{byte(3 + len(nested))}) + "\x02\x01\x01" + nested), ldap.ErrMalformed},
		"a million elements":      {false, raw(crowd + strings.Repeat("\x05\x00", 1e6)), ldap.ErrTooLarge},
		"endless entries":         {false, forever(entry("userCertificate", "x")), ldap.ErrTooMany},
		"endless empty entries":   {false, forever(entry("cn")), ldap.ErrTooMany},
		"endless references":      {false, forever(constructed(ber.ClassApplication, goldap.ApplicationSearchResultReference, octets("ldap://x"))), ldap.ErrTooLarge},
		"endless progress":        {false, forever(constructed(ber.ClassApplication, 25)), ldap.ErrTooLarge},
		"endless to others":       {false, func(w io.Writer, id int64) { forever(done(0, ""))(w, id+1) }, ldap.ErrUnasked},
		"more than was asked for": {false, say(slices(17, entry("userCertificate", "x"), done(0, ""))...), ldap.ErrTooMany},
		"drop by drop":            {false, drip, context.DeadlineExceeded},
		"ends in the middle":      {true, raw("\x30\x40\x02\x01\x01\x64\x3b\x04\x04cn=a"), nil},
		"ends between messages":   {true, say(entry("userCertificate", "x")), nil},
		"notice of disconnection": {true, func(w io.Writer, _ int64) { _ = send(w, 0, notice) }, ldap.ErrDisconnect},
		"another message's id":    {false, elsewhere, ldap.ErrUnasked},
		"a bind's answer":         {false, say(constructed(ber.ClassApplication, goldap.ApplicationBindResponse)), context.DeadlineExceeded},
		"an end without a result": {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultDone)), nil},
		"an end without its kind": {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultDone, octets(""), octets(""), octets(""))), nil},
		"an entry without a name": {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultEntry), done(0, "")), nil},
		"an entry of other kinds": {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultEntry, sequence(), octets("")), done(0, "")), nil},
		"attributes of no kind":   {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultEntry, octets(""), sequence(octets("x"))), done(0, "")), nil},
		"a reference":             {false, say(constructed(ber.ClassApplication, goldap.ApplicationSearchResultReference, octets("ldap://x")), done(0, "")), ldap.ErrReferral},
		"a part of the values":    {false, say(entry("userCertificate;binary;range=0-1499", "x"), done(0, "")), ldap.ErrPartial},
	}
	for _, code := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 32, 33, 34, 48, 49, 50, 51, 52, 53, 54, 64, 71, 80, 118, 123, 4096, 65535} {
		all[fmt.Sprint("result ", code)] = lie{false, say(entry("userCertificate", "x"), done(code, strings.Repeat("\x1b[2J\n", 5000))), nil}
	}
	return all
}

// slices repeats an operation before the last one.
func slices(n int, op, last *ber.Packet) []*ber.Packet {
	var all []*ber.Packet
	for range n {
		all = append(all, op)
	}
	return append(all, last)
}

// Nothing of that is an answer; it costs little memory and no more time than
// is allowed, and the text fits into a log line.
func TestHostileServers(t *testing.T) {
	for name, c := range lies() {
		s := newLiar(t, c.hangUp, c.answer)
		timeout := testkit.Patience
		if errors.Is(c.want, context.DeadlineExceeded) {
			timeout = 300 * time.Millisecond
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		entries, err := ask(t, ldap.Options{URLs: []string{s.url}, Timeout: timeout}, anna)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if err == nil || len(entries) > 0 || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %d entries, %v; want %v", name, len(entries), err, c.want)
			continue
		}
		if text := err.Error(); len(text) > 1000 || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%s: the error is %d bytes: %.200q", name, len(text), text)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: %d MiB of memory", name, used>>20)
		}
		if took > testkit.Patience/2 {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// What a server does between lookups is noticed: the connection is not used
// again, and the next lookup has a new one.
func TestHostileWhileIdle(t *testing.T) {
	good := say(entry("userCertificate", "x"), done(0, ""))
	for name, second := range map[string]answer{
		"silent on a connection that was good": raw(""),
		"garbage on a second request":          raw("\xff\xff\xff"),
	} {
		s := newLiar(t, false, good, second)
		c := client(t, ldap.Options{URLs: []string{s.url}, Timeout: 2 * time.Second})
		for i := range 3 {
			entries, err := c.Search(context.Background(), parse(t, anna))
			wantValues(t, name, entries, err, []byte("x"))
			if n := s.connections.Load(); n != int64(i+1) {
				t.Errorf("%s: %d connections after %d lookups", name, n, i+1)
			}
		}
	}
	chatty := newLiar(t, false, func(w io.Writer, id int64) { good(w, id); good(w, id+1) })
	c := client(t, ldap.Options{URLs: []string{chatty.url}})
	for range 5 {
		entries, err := c.Search(context.Background(), parse(t, anna))
		wantValues(t, "speaks on", entries, err, []byte("x"))
	}
}

// Trouble that is the server's own sends the question to the next one; trouble
// with the question does not.
func TestHostileFailover(t *testing.T) {
	second := newLiar(t, false, say(entry("userCertificate", "second"), done(0, "")))
	for code, next := range map[int]bool{1: true, 51: true, 52: true, 53: true, 80: true, 4: false, 10: false, 32: false, 50: false} {
		first := newLiar(t, false, say(done(code, "")))
		entries, err := ask(t, ldap.Options{URLs: []string{first.url, second.url}}, anna)
		if next {
			wantValues(t, fmt.Sprint("result ", code), entries, err, []byte("second"))
		} else if !resultIs(uint16(code))(err) {
			t.Errorf("result %d: %v", code, err)
		}
	}
}

// StartTLS that is answered with anything but success is the end of it.
func TestHostileStartTLS(t *testing.T) {
	extended := func(code int) *ber.Packet {
		return constructed(ber.ClassApplication, goldap.ApplicationExtendedResponse,
			ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""), octets(""), octets(""))
	}
	for name, c := range map[string]struct {
		answer answer
		want   error
	}{
		"refused":          {say(extended(2)), ldap.ErrStartTLS},
		"silence":          {raw(""), context.DeadlineExceeded},
		"garbage":          {raw("\xff\xff\xff\xff"), ldap.ErrMalformed},
		"another answer":   {say(done(0, "")), ldap.ErrMalformed},
		"not an answer":    {raw("\x30\x03\x02\x01\x01"), ldap.ErrMalformed},
		"too long":         {raw("\x30\x83\x7f\xff\xff"), ldap.ErrTooLarge},
		"no TLS behind it": {say(extended(0), done(0, "")), nil},
		"an answer already": {func(w io.Writer, id int64) {
			_ = send(w, id, extended(0))
			say(entry("userCertificate", "x"), done(0, ""))(w, id)
		}, nil},
	} {
		s := newLiar(t, false, c.answer)
		timeout := testkit.Patience
		if errors.Is(c.want, context.DeadlineExceeded) {
			timeout = 300 * time.Millisecond
		}
		entries, err := ask(t, ldap.Options{URLs: []string{s.url}, StartTLS: true, Timeout: timeout}, anna)
		if err == nil || len(entries) > 0 || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %d entries, %v; want %v", name, len(entries), err, c.want)
		}
	}
}
