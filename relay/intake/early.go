package intake

import (
	"net"
	"time"
)

// talksEarly reports a client that speaks before the greeting, as those do
// that send a fixed script at whatever answers. With TLS from the first byte,
// or a proxy in front, there is nothing to be seen.
func (c *conn) talksEarly() bool {
	if c.secure() || c.wire.conn != c.raw {
		return false
	}
	if c.opts.Timeouts.Greeting <= 0 {
		t, ok := c.raw.(*net.TCPConn)
		return ok && hasInput(t)
	}
	if c.raw.SetReadDeadline(time.Now().Add(c.opts.Timeouts.Greeting)) != nil {
		return false
	}
	n, _ := c.raw.Read(c.wire.small[:])
	return n > 0
}
