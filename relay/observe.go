package relay

import (
	"log/slog"
	"strings"
	"time"

	"sealpost/relay/queue"
	"sealpost/relay/reply"
)

// ObserveQueue writes the log line and counts for each attempt out of the
// queue.
func ObserveQueue(log *slog.Logger, m *Metrics) func(queue.Attempt) {
	return func(a queue.Attempt) {
		attemptLine(a).write(log, time.Now())
		m.attempt(a)
	}
}

// words are Postfix's for the results of an attempt.
var words = map[queue.Result]string{
	queue.Sent: "sent", queue.Later: "deferred", queue.Bounced: "bounced", queue.Expired: "expired",
	queue.Waits: "deferred", queue.Frozen: "deferred",
}

var actions = map[queue.Kind]Action{
	queue.Sealed: Sealed, queue.Clear: Passed, queue.AsCame: Passed, queue.Held: Held, queue.Notice: "notice", queue.Invite: "notice",
}

func attemptLine(a queue.Attempt) logLine {
	it := &a.Item
	now := a.Began
	l := logLine{
		id: baseID(it.ID), to: it.Copy.To, relay: relayName(a.Outcome), delay: now.Sub(a.Arrived),
		status: words[a.Result], rule: it.Copy.Rule, action: actions[it.Message.Kind],
		asIs: it.Message.Kind == queue.AsCame, certificate: it.Copy.Certificates, cipher: it.Copy.Cipher,
		attempts: it.Attempts + 1, next: a.Next,
	}
	l.delays = strings.Join([]string{"0", seconds(l.delay), "0", "0"}, "/")
	if a.Outcome != nil {
		l.delay += a.Outcome.Connect + a.Outcome.Transmit
		l.delays = strings.Join([]string{"0", seconds(now.Sub(a.Arrived)), seconds(a.Outcome.Connect), seconds(a.Outcome.Transmit)}, "/")
		l.said = a.Outcome.Reply
	}
	if a.Err != nil {
		l.err = reply.Of(a.Err)
		l.said = l.err.Reply
	}
	return l
}

// baseID is the id that the client was told.
func baseID(id string) string {
	base, _, _ := strings.Cut(id, ".")
	return base
}

// attempt counts an attempt out of the queue.
func (m *Metrics) attempt(a queue.Attempt) {
	if m == nil {
		return
	}
	m.attempts.WithLabelValues(string(a.Result)).Inc()
	if a.Outcome == nil {
		return
	}
	if a.Err == nil {
		m.observe("queue", a.Began.Sub(a.Arrived))
		m.observe("connect", a.Outcome.Connect)
		m.observe("transmit", a.Outcome.Transmit)
		return
	}
	m.upstreamFailed(a.Outcome, reply.Of(a.Err))
}
