package load

import (
	"bytes"
	"net"
	"strings"
)

// A sinkConn is one connection to the sink. It looks for line ends and the end
// of data in bulk, so that the sink is not what is measured.
type sinkConn struct {
	sink *Sink
	conn net.Conn
	buf  []byte
	p, n int // what is read and not yet used is buf[p:n]
	out  []byte

	seq, rcpts int    // of the transaction under way
	sample     []byte // the beginning of its content
}

func (c *sinkConn) serve() {
	c.out = append(c.out, "220 sink.test ESMTP\r\n"...)
	for {
		line, ok := c.line()
		if !ok || !c.command(line) {
			c.flush()
			return
		}
	}
}

// command answers one command; false ends the connection.
func (c *sinkConn) command(line []byte) bool {
	verb := ""
	if len(line) >= 4 {
		verb = strings.ToUpper(string(line[:4]))
	}
	switch verb {
	case "EHLO":
		c.out = append(c.out, "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n"...)
	case "MAIL":
		c.seq, c.rcpts = seqOf(line), 0
		c.out = append(c.out, "250 2.1.0 Ok\r\n"...)
	case "RCPT":
		c.rcpts++
		c.out = append(c.out, "250 2.1.5 Ok\r\n"...)
	case "DATA":
		c.out = append(c.out, "354 Go on\r\n"...)
		if !c.flush() || !c.data() {
			return false
		}
		if r := c.sink.run.Load(); r != nil {
			r.arrived(c.seq, c.rcpts, c.sample)
		}
		c.out = append(c.out, "250 2.0.0 Ok: queued as 4SinkTaken1\r\n"...)
	case "QUIT":
		c.out = append(c.out, "221 2.0.0 Bye\r\n"...)
		return false
	case "RSET", "NOOP", "HELO":
		c.out = append(c.out, "250 2.0.0 Ok\r\n"...)
	default:
		c.out = append(c.out, "500 5.5.2 Unknown command\r\n"...)
	}
	return true
}

// line is the next line. Replies wait until there is no more input, as they
// should with pipelining.
func (c *sinkConn) line() ([]byte, bool) {
	for {
		if i := bytes.IndexByte(c.buf[c.p:c.n], '\n'); i >= 0 {
			line := c.buf[c.p : c.p+i+1]
			c.p += i + 1
			return line, true
		}
		if !c.flush() || !c.fill() {
			return nil, false
		}
	}
}

// sampleSize is how much of a message the sink keeps: its header.
const sampleSize = 2 << 10

// data reads up to CRLF.CRLF. The line end of the DATA command itself counts
// as the first CRLF: an empty message is "." alone.
func (c *sinkConn) data() bool {
	end := []byte("\r\n.\r\n")
	c.p -= 2
	c.sample = c.sample[:0]
	for {
		i := bytes.Index(c.buf[c.p:c.n], end)
		used := c.n - c.p - len(end) + 1 // the rest may be the beginning of the end
		if i >= 0 {
			used = i + len(end)
		}
		if used > 0 {
			room := sampleSize - len(c.sample)
			c.sample = append(c.sample, c.buf[c.p:c.p+min(used, room)]...)
			c.p += used
		}
		if i >= 0 {
			return true
		}
		if !c.fill() {
			return false
		}
	}
}

func (c *sinkConn) fill() bool {
	if c.p > 0 {
		c.n = copy(c.buf, c.buf[c.p:c.n])
		c.p = 0
	}
	if c.n == len(c.buf) {
		return false // a line of 256 KiB
	}
	n, err := c.conn.Read(c.buf[c.n:])
	c.n += n
	return n > 0 || err == nil
}

func (c *sinkConn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err == nil
}

// seqOf reads 17 from "MAIL FROM:<s17@src.test>"; -1 where there is none.
func seqOf(line []byte) int {
	_, rest, ok := bytes.Cut(line, []byte("<s"))
	if !ok || len(rest) == 0 || rest[0] < '0' || rest[0] > '9' {
		return -1
	}
	seq := 0
	for _, b := range rest {
		if b < '0' || b > '9' {
			break
		}
		seq = seq*10 + int(b-'0')
	}
	return seq
}
