package relay

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/reply"
)

// A logLine is the line of one recipient: once when the client has its answer,
// and once for each later attempt out of the queue.
type logLine struct {
	id          string
	to          address.Address
	relay       string // "none" where no server was spoken to
	delay       time.Duration
	delays      string
	status      string // Postfix's word: sent, deferred, bounced, expired
	said        reply.Reply
	rule        string
	action      Action
	asIs        bool
	certificate string
	cipher      string
	provisioned string          // created or known
	instead     address.Address // whose certificate it is, when not that of to
	err         *reply.Error
	attempts    int       // out of the queue, this one included
	next        time.Time // of the next attempt
}

// write uses the names that Postfix has where Postfix has them.
func (l logLine) write(log *slog.Logger, now time.Time) {
	attrs := append(make([]slog.Attr, 0, 16),
		slog.String("id", l.id),
		slog.String("to", "<"+l.to.String()+">"),
		slog.String("relay", l.relay),
		slog.Float64("delay", rounded(l.delay)),
		slog.String("delays", l.delays),
		slog.String("dsn", statusCode(l.said)),
		slog.String("status", l.status+" ("+l.said.String()+")"),
		slog.String("rule", l.rule),
		slog.String("action", string(l.action)))
	if l.asIs {
		attrs = append(attrs, slog.Bool("already_encrypted", true))
	}
	if l.cipher != "" {
		attrs = append(attrs, slog.String("certificate", l.certificate), slog.String("cipher", l.cipher))
	}
	if l.provisioned != "" {
		attrs = append(attrs, slog.String("provisioned", l.provisioned))
	}
	if !l.instead.IsNull() {
		attrs = append(attrs, slog.String("certificate_of", "<"+l.instead.String()+">"))
	}
	if l.attempts > 0 {
		attrs = append(attrs, slog.Int("attempts", l.attempts))
	}
	if !l.next.IsZero() {
		attrs = append(attrs, slog.Time("next_attempt", l.next.UTC()))
	}
	level := slog.LevelInfo
	if l.err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("reason", string(l.err.Reason)))
		if l.err.Cause != nil {
			attrs = append(attrs, slog.String("cause", oneLine(l.err.Cause.Error())))
		}
	} else if id := queueID(l.said); id != "" {
		attrs = append(attrs, slog.String("upstream_id", id))
	}
	writeLine(log, level, now, "recipient", attrs)
}

// writeLine writes one line, without slog's search for where in the code that
// was: it would cost as much as a quarter of the line.
func writeLine(log *slog.Logger, level slog.Level, now time.Time, line string, attrs []slog.Attr) {
	ctx, handler := context.Background(), log.Handler()
	if !handler.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(now, level, line, 0)
	r.AddAttrs(attrs...)
	_ = handler.Handle(ctx, r) // as slog.Logger does: there is nobody to tell
}

// statusCode is the enhanced code, or the class alone where there is none.
func statusCode(r reply.Reply) string {
	if e := r.Enhanced.String(); e != "" {
		return e
	}
	return fmt.Sprintf("%d.0.0", r.Code/100)
}

var queuedAs = regexp.MustCompile(`(?i)(?:queued as|id=|accepted) ?([0-9A-Za-z-]{5,40})`)

// queueID finds upstream's own id in its reply, in the forms of Postfix, Exim
// and others.
func queueID(r reply.Reply) string {
	if m := queuedAs.FindStringSubmatch(r.Text); m != nil {
		return m[1]
	}
	return ""
}
