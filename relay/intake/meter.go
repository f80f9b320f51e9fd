package intake

import (
	"errors"
	"os"
	"time"
)

// A meter holds a sender of data to a minimum rate over windows of time,
// rather than to one deadline for a whole message: a large message on a slow
// line may take hours, a stalled one may not. Only the time spent waiting for
// the client counts.
type meter struct {
	window time.Duration
	need   int           // octets in a window
	left   time.Duration // of the current window
	got    int
}

func newMeter(o *Options) *meter {
	need := 1
	if o.Limits.MinRate > 0 {
		need = max(1, int(o.Limits.MinRate*int64(o.Timeouts.Window)/int64(time.Second)))
	}
	return &meter{window: o.Timeouts.Window, need: need, left: o.Timeouts.Window}
}

// tick takes what one wait brought. It is false when a window ended with too
// little.
func (m *meter) tick(took time.Duration, n int) bool {
	m.left -= took
	m.got += n
	if m.left > 0 {
		return true
	}
	enough := m.got >= m.need
	m.left, m.got = m.window, 0
	return enough
}

// fillBody reads once while a message comes in. The error is errTooSlow, or
// joins errGone.
func (c *conn) fillBody() error {
	for {
		had, start := len(c.wire.buffered()), time.Now()
		if err := c.wire.conn.SetReadDeadline(start.Add(c.meter.left)); err != nil {
			return errors.Join(errGone, err)
		}
		err := c.wire.fill()
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !timeout {
			return errors.Join(errGone, err)
		}
		took := time.Since(start)
		if timeout {
			took = max(took, c.meter.left)
		}
		if !c.meter.tick(took, len(c.wire.buffered())-had) {
			return errTooSlow
		}
		if !timeout {
			return nil
		}
	}
}
