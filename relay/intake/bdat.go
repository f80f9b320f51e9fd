package intake

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"sealpost/relay/reply"
)

// chunks is the content of a message that comes by BDAT (RFC 3030). It is
// read where the handler reads: between two chunks it answers the one and
// takes the command for the next, so a message and its verdict never part.
type chunks struct {
	conn   *conn
	left   int64 // octets of the current chunk
	last   bool
	binary bool
	cr     bool // the chunk before ended in a CR that waits for its LF
}

func (k *chunks) next() ([]byte, bool, error) {
	w := &k.conn.wire
	for {
		if k.left == 0 {
			switch {
			case !k.last:
				if err := k.conn.nextChunk(k); err != nil {
					return nil, false, err
				}
				continue
			case k.cr:
				k.cr = false
				return crByte, false, nil
			}
			return nil, true, io.EOF
		}
		b := w.buffered()
		b = b[:min(int64(len(b)), k.left)]
		if n, stretch, clean := k.take(b); n > 0 {
			w.advance(n)
			k.left -= int64(n)
			if len(stretch) > 0 {
				return stretch, clean, nil
			}
			continue
		}
		if k.cr && len(b) > 0 {
			k.cr = false
			return crByte, false, nil
		}
		if err := k.conn.fillBody(); err != nil {
			return nil, false, err
		}
	}
}

// take judges b, which is what is there of the current chunk: n octets are
// used up, and stretch is content.
func (k *chunks) take(b []byte) (n int, stretch []byte, clean bool) {
	switch {
	case k.binary:
		return len(b), b, true
	case k.cr && len(b) > 0 && b[0] == '\n':
		k.cr = false
		return 1, crlf, true
	case k.cr:
		return 0, nil, false
	}
	n, clean = scanLines(b, false)
	if n == 0 && len(b) == 1 && k.left == 1 { // a CR at the end of the chunk
		k.cr = true
		return 1, nil, true
	}
	return n, b[:n], clean
}

// skip reads the rest of the current chunk.
func (k *chunks) skip() error {
	err := k.conn.discard(k.left)
	k.left = 0
	return err
}

// discard reads n octets away.
func (c *conn) discard(n int64) error {
	for n > 0 {
		if have := int64(len(c.wire.buffered())); have > 0 {
			have = min(have, n)
			c.wire.advance(int(have))
			n -= have
			continue
		}
		if err := c.fillBody(); err != nil {
			return err
		}
	}
	return nil
}

// failedChunks is a message that was refused before its last chunk came: the
// chunks that follow get the same answer (RFC 3030 section 2).
type failedChunks struct {
	said       []reply.Reply
	recipients int
}

// bdat answers BDAT.
func (c *conn) bdat(args string) {
	size, last, ok := parseChunk(args)
	if !ok {
		c.refuse(errChunkSize)
		c.quit, c.linger = true, true
		return
	}
	c.wire.grow()
	c.meter = newMeter(c.opts)
	defer func() { c.meter = nil }()
	if refused, e := c.chunkRefused(last); refused != nil || e != nil {
		if err := c.discard(size); err != nil {
			c.lose(err)
			return
		}
		if e != nil {
			c.refuse(e)
		}
		for _, r := range refused {
			c.write(r)
		}
		return
	}
	k := &chunks{conn: c, left: size, last: last, binary: c.mail.Body == BodyBinaryMIME}
	m := c.newContent(k)
	said := c.tx.Data(c.server.ctx, m)
	c.chunksEnd(k, m, said)
}

// chunkRefused says how to answer a chunk that belongs to no message: as the
// message it belonged to was answered, or as an error.
func (c *conn) chunkRefused(last bool) ([]reply.Reply, *reply.Error) {
	switch f := c.failed; {
	case f != nil && last:
		c.failed = nil
		return f.said[:c.answers(f.recipients)], nil
	case f != nil:
		return f.said[:1], nil
	case c.opts.Without.Chunking:
		return nil, errNotOffered
	case c.opts.TLS == TLSRequire && !c.secure():
		return nil, errTLSFirst
	}
	return nil, c.dataAllowed()
}

// chunksEnd answers the chunk at which the handler's Data came back.
func (c *conn) chunksEnd(k *chunks, m *content, said []reply.Reply) {
	defer c.endTransaction()
	own := m.finish()
	switch {
	case errors.Is(m.lost, errAborted):
		// Every chunk has its answer; the command that ended it all comes next.
	case m.lost != nil:
		c.lose(m.lost)
	case k.last:
		c.verdict(m, own, said)
	default:
		if own != nil {
			c.count(own)
		}
		c.failed = &failedChunks{recipients: c.rcpts}
		for i := range c.rcpts {
			c.failed.said = append(c.failed.said, negative(answer(m, own, said, i)))
		}
		c.write(c.failed.said[0])
	}
}

// nextChunk answers the chunk that has come in, and takes commands up to the
// next BDAT. errAborted: the message is given up, and what the client said
// instead waits in c.unread.
func (c *conn) nextChunk(k *chunks) error {
	c.reply(250, reply.Enhanced{2, 0, 0}, "Chunk received")
	for {
		cmd, err := c.readCommand()
		if err != nil {
			return err
		}
		switch cmd.verb {
		case "BDAT":
			var ok bool
			if k.left, k.last, ok = parseChunk(cmd.args); !ok {
				c.refuse(errChunkSize)
				c.quit, c.linger = true, true
				return errAborted
			}
			return nil
		case "NOOP":
			c.ok()
		case "RSET", "QUIT", "EHLO", "HELO", "LHLO":
			c.unread = &cmd
			return errAborted
		default:
			c.refuse(errInChunks)
			if c.quit {
				return errAborted
			}
		}
	}
}

// parseChunk reads "SIZE" or "SIZE LAST".
func parseChunk(args string) (size int64, last, ok bool) {
	number, word, more := strings.Cut(args, " ")
	if more && !strings.EqualFold(word, "LAST") {
		return 0, false, false
	}
	if number == "" || len(number) > 20 || strings.Trim(number, "0123456789") != "" {
		return 0, false, false
	}
	size, err := strconv.ParseInt(number, 10, 64)
	return size, more, err == nil
}
