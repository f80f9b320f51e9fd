package upstream

import (
	"bytes"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// An outlet takes a message's content to the wire: as it is for BDAT, with
// dots stuffed for DATA (RFC 5321 section 4.5.2), in blocks and never byte by
// byte. It holds the content to its word: exactly the size that was announced,
// and CR and LF only as CRLF. Anything else ends the transfer, since a server
// behind this one might see the end of the message where there is none.
type outlet struct {
	c      *conn
	t      *transaction
	left   int64 // bytes of content still to come
	last   byte  // the last byte of content; LF before the first
	stuff  bool  // DATA
	binary bool  // CR and LF are data
}

var (
	errContentSize = reply.Errorf(451, reply.Enhanced{4, 3, 0}, reason.InternalError, "Internal error, try again later")
	errBareNewline = reply.Errorf(554, reply.Enhanced{5, 6, 11}, reason.BareNewline, "Bare CR or LF in the message")
)

// Write takes the next bytes of content.
func (o *outlet) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if o.left -= int64(len(p)); o.left < 0 {
		return 0, errContentSize
	}
	done := 0
	if !o.binary {
		var err error
		if done, err = o.scan(p); err != nil {
			return 0, err
		}
	}
	if o.left == 0 && !o.stuff {
		if err := o.lastBytes(); err != nil {
			return 0, err
		}
	}
	o.last = p[len(p)-1]
	if _, err := o.c.w.Write(p[done:]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// scan looks at each line end in p. It writes p as far as dots had to be
// stuffed, and says how far that was.
func (o *outlet) scan(p []byte) (done int, err error) {
	w := o.c.w
	if o.stuff && o.last == '\n' && p[0] == '.' {
		w.WriteByte('.')
	}
	ends := 0
	for i := 0; ; ends++ {
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			break
		}
		i += k
		if i > 0 && p[i-1] != '\r' || i == 0 && o.last != '\r' {
			return done, errBareNewline
		}
		i++
		if o.stuff && i < len(p) && p[i] == '.' {
			w.Write(p[done:i])
			w.WriteByte('.')
			done = i
		}
	}
	// Each LF has its CR: the numbers differ when a CR has no LF.
	if o.returns(p) != ends {
		return done, errBareNewline
	}
	return done, nil
}

// returns counts the CRs that p should hold an LF for: one that ended the
// bytes before is among them, one that ends p is not unless nothing follows.
func (o *outlet) returns(p []byte) int {
	n := bytes.Count(p, []byte{'\r'})
	if o.last == '\r' {
		n++
	}
	if p[len(p)-1] == '\r' && o.left > 0 {
		n--
	}
	return n
}

// end finishes the content: with DATA, the line that is open, and the dot.
func (o *outlet) end() error {
	if o.left != 0 {
		return errContentSize
	}
	if !o.stuff {
		return nil
	}
	if o.last != '\n' {
		o.c.w.WriteString("\r\n")
	}
	if err := o.lastBytes(); err != nil {
		return err
	}
	_, err := o.c.w.WriteString(".\r\n")
	return err
}

// lastBytes is called before the bytes that make the message whole. A server
// that has answered by now cannot mean this message.
func (o *outlet) lastBytes() error {
	// On a TLS socket, what is there need not be a reply.
	if o.c.r.br.Buffered() > 0 || !o.c.tls && o.c.peek() {
		return errReplyTooSoon
	}
	o.t.taken = MaybeTaken
	return nil
}
