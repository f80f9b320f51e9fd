package queue

import (
	"context"
	"errors"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// verdict is what the end of a delivery means.
type verdict int

const (
	taken       verdict = iota
	refused             // for good
	putOff              // upstream answered: not now
	crowded             // upstream answered: not so many at once
	strained            // the connection broke, or was too slow
	unreachable         // there was no connection
	stumbled            // our own trouble; nothing was learned of upstream
	damaged             // the spool lost the message
	vanished            // it was deleted meanwhile
	interrupted         // we are stopping
)

// judge reads the error of a delivery. What is unknown is temporary.
func judge(ctx context.Context, err error) verdict {
	var f *upstream.Failure
	said := reply.Of(err)
	switch {
	case err == nil:
		return taken
	case errors.Is(err, spool.ErrDamaged), errors.Is(err, errMeta):
		return damaged
	case errors.Is(err, spool.ErrNotFound):
		return vanished
	case said.Reply.Permanent():
		return refused
	case ctx.Err() != nil:
		return interrupted
	case errors.As(err, &f):
		return judgeStage(f)
	}
	switch said.Reason {
	case reason.UpstreamUnreachable, reason.UpstreamTLS, reason.UpstreamAuth:
		return unreachable
	case reason.UpstreamTimeout, reason.UpstreamProtocol:
		return strained
	case reason.UpstreamDeferred, reason.UpstreamLacks, reason.UpstreamRefused:
		return putOff
	}
	return stumbled
}

// judgeStage tells apart, for a temporary failure, whether all messages would
// meet it, and whether fewer at once could help.
func judgeStage(f *upstream.Failure) verdict {
	switch f.Stage {
	case upstream.StageConnect, upstream.StageGreeting, upstream.StageHello, upstream.StageTLS, upstream.StageAuth:
		return unreachable
	case upstream.StageWait:
		return strained
	}
	switch reply.Of(f).Reason {
	case reason.UpstreamTLS, reason.UpstreamAuth:
		return unreachable
	case reason.UpstreamUnreachable, reason.UpstreamTimeout, reason.UpstreamProtocol:
		return strained
	case reason.UpstreamDeferred:
		if f.Stage == upstream.StageMail {
			return crowded // "too busy", before anything was said of the message
		}
		return putOff
	case reason.UpstreamLacks:
		return putOff
	}
	return stumbled
}

// Trouble reports that upstream is known to be away: a message need not be
// tried, and can go to the queue at once.
func (e *Engine) Trouble() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.health.away
}

// Heard tells the engine how a delivery ended that did not come from the
// queue, so that the queue knows sooner whether upstream is there.
func (e *Engine) Heard(err error) {
	v := judge(context.Background(), err)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.elapsed()
	e.learn(v, try{began: now}, now)
	e.kick()
}

// learn takes from a verdict what it says of upstream. The caller holds e.mu.
func (e *Engine) learn(v verdict, t try, now time.Duration) {
	switch v {
	case taken, refused, putOff:
		if e.health.answered(v != putOff) {
			e.log.Info("queue: upstream is back")
		}
	case crowded:
		if e.health.answered(false) {
			e.log.Info("queue: upstream is back")
		}
		e.health.halve(t, now)
	case strained:
		if e.health.strained(t, now, e.times) {
			e.log.Warn("queue: connections to upstream break: it counts as away")
		}
	case unreachable:
		if e.health.unreachable(t, now, e.times) {
			e.log.Warn("queue: upstream is away")
		}
	}
}
