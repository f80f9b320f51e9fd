package intake

import (
	"log/slog"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// reply queues a positive or intermediate reply.
func (c *conn) reply(code int, enhanced reply.Enhanced, text string) {
	c.write(reply.New(code, enhanced, text))
}

func (c *conn) write(r reply.Reply) {
	c.wire.out = appendReply(c.wire.out, r, c.client.utf8)
	if r.Code == 421 {
		c.quit = true
	}
}

// refuse queues a refusal of intake's own, and counts it.
func (c *conn) refuse(e *reply.Error) {
	c.count(e)
	c.write(e.Tagged())
	if e.Reason != reason.ProtocolError {
		return
	}
	if c.errors++; c.errors >= c.opts.Limits.Errors && !c.quit {
		c.linger = true
		c.count(errTooManyErrors)
		c.write(errTooManyErrors.Tagged())
	}
}

// refuseWith queues what the handler answered in place of success.
func (c *conn) refuseWith(err error) {
	e := reply.Of(err)
	if e.Cause != nil {
		c.debug("refused by the handler", e.Reason, e.Cause)
	}
	c.write(negative(e.Tagged()))
}

func (c *conn) count(e *reply.Error) {
	c.opts.Hooks.Refused(e.Reason)
	c.debug("refused", e.Reason, e)
}

func (c *conn) debug(what string, why reason.Token, err error) {
	if !c.opts.Log.Enabled(c.server.ctx, slog.LevelDebug) {
		return
	}
	c.opts.Log.LogAttrs(c.server.ctx, slog.LevelDebug, what, slog.String("id", c.client.ID),
		slog.String("client", c.client.Remote.String()), slog.String("reason", string(why)), slog.Any("error", err))
}
