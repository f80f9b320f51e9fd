package relay

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/certificate"
	"sealpost/relay/intake"
	"sealpost/relay/reply"
)

// logRefusedRcpt is the line of a recipient that never got past RCPT.
func (t *transaction) logRefusedRcpt(r intake.Rcpt, d Decision) {
	t.logRecipient(&recipient{rcpt: r, decision: d, err: d.Err}, nil)
	t.relay.metrics.recipient(d.Action, ruleName(d))
	t.relay.metrics.refused(d.Err)
}

// logMessage writes the line of the message and the lines of its recipients,
// and counts them.
func (t *transaction) logMessage(m *message) {
	attrs := append(make([]slog.Attr, 0, 10),
		slog.String("id", t.id),
		slog.String("client", t.client.Remote.String()),
		slog.String("helo", t.client.Hello),
		slog.String("proto", t.client.With()),
		slog.String("from", "<"+t.mail.From.String()+">"),
		slog.Int64("size", m.size),
		slog.Int("nrcpt", len(t.rcpts)),
		slog.String("message-id", m.messageID()))
	if t.client.User != "" {
		attrs = append(attrs, slog.String("sasl_username", t.client.User))
	}
	if t.client.TLS != nil {
		attrs = append(attrs, slog.String("tls", tlsName(t.client.TLS)))
	}
	t.log(slog.LevelInfo, "message", attrs)
	for _, r := range t.rcpts {
		t.logRecipient(r, m)
		action := finalAction(r)
		t.relay.metrics.recipient(action, ruleName(r.decision))
		if r.err != nil {
			t.relay.metrics.refused(r.err)
		}
		if action == Passed && !r.asIs {
			t.relay.metrics.plaintext(ruleName(r.decision))
		}
	}
	t.relay.metrics.message(t, m)
}

// log writes one line, without slog's search for where in the code that was:
// it would cost as much as a quarter of the line.
func (t *transaction) log(level slog.Level, line string, attrs []slog.Attr) {
	ctx, handler := context.Background(), t.relay.log.Handler()
	if !handler.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(t.relay.now(), level, line, 0)
	r.AddAttrs(attrs...)
	_ = handler.Handle(ctx, r) // as slog.Logger does: there is nobody to tell
}

// logRecipient writes the names that Postfix has where Postfix has them.
func (t *transaction) logRecipient(r *recipient, m *message) {
	now := t.relay.now()
	attrs := append(make([]slog.Attr, 0, 13),
		slog.String("id", t.id),
		slog.String("to", "<"+r.rcpt.To.String()+">"),
		slog.String("relay", relayName(r)),
		slog.Float64("delay", rounded(now.Sub(t.arrived))),
		slog.String("delays", t.delays(r, m, now)),
		slog.String("dsn", dsn(r)),
		slog.String("status", status(r)),
		slog.String("rule", ruleName(r.decision)),
		slog.String("action", string(finalAction(r))))
	if r.asIs {
		attrs = append(attrs, slog.Bool("already_encrypted", true))
	} else if r.decision.Action == Sealed {
		attrs = append(attrs, slog.String("certificate", fingerprints(r.decision.Certificates)),
			slog.String("cipher", r.decision.Cipher.String()))
	}
	level := slog.LevelInfo
	if r.err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("reason", string(r.err.Reason)))
		if r.err.Cause != nil {
			attrs = append(attrs, slog.String("cause", oneLine(r.err.Cause.Error())))
		}
	} else if r.outcome != nil {
		if id := queueID(r.outcome.Reply); id != "" {
			attrs = append(attrs, slog.String("upstream_id", id))
		}
	}
	t.log(level, "recipient", attrs)
}

func ruleName(d Decision) string {
	if d.Rule == nil {
		return ""
	}
	return d.Rule.Name
}

// finalAction is what really became of the recipient.
func finalAction(r *recipient) Action {
	switch {
	case r.err == nil && r.asIs:
		return Passed
	case r.err == nil:
		return r.decision.Action
	case r.err.Reply.Permanent():
		return Refused
	}
	return Deferred
}

func relayName(r *recipient) string {
	if r.outcome == nil || r.outcome.Server == "" {
		return "none"
	}
	return r.outcome.Server
}

func dsn(r *recipient) string {
	said := reply.New(250, reply.Enhanced{2, 0, 0}, "")
	if r.err != nil {
		said = r.err.Reply
	} else if r.outcome != nil {
		said = r.outcome.Reply
	}
	if e := said.Enhanced.String(); e != "" {
		return e
	}
	return fmt.Sprintf("%d.0.0", said.Code/100)
}

// status is Postfix's word with the reply behind it.
func status(r *recipient) string {
	switch {
	case r.err == nil && r.outcome != nil:
		return "sent (" + r.outcome.Reply.String() + ")"
	case r.err != nil && r.err.Reply.Permanent():
		return "bounced (" + r.err.Reply.String() + ")"
	case r.err != nil:
		return "deferred (" + r.err.Reply.String() + ")"
	}
	return "deferred"
}

// delays has Postfix's form a/b/c/d: until the end of data, until the copy was
// sealed and its turn came, connection set-up, transmission.
func (t *transaction) delays(r *recipient, m *message, now time.Time) string {
	if m == nil || m.received.IsZero() {
		return seconds(now.Sub(t.arrived)) + "/0/0/0"
	}
	a := m.received.Sub(t.arrived)
	var b, c, d time.Duration
	if r.outcome != nil {
		c, d = r.outcome.Connect, r.outcome.Transmit
		b = max(0, r.outcome.Started.Sub(m.received))
	}
	return strings.Join([]string{seconds(a), seconds(b), seconds(c), seconds(d)}, "/")
}

// rounded is a duration in seconds with two significant digits, as Postfix
// writes it; from ten seconds on, whole ones.
func rounded(d time.Duration) float64 {
	s := max(0, d.Seconds())
	if s >= 10 {
		return math.Round(s)
	}
	if s < 1e-6 {
		return 0
	}
	// By way of the text: the nearest number to a rounded one has no odd digits.
	n, _ := strconv.ParseFloat(strconv.FormatFloat(s, 'g', 2, 64), 64)
	return n
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(rounded(d), 'f', -1, 64)
}

func fingerprints(certs []*certificate.Certificate) string {
	out := make([]string, len(certs))
	for i, c := range certs {
		f := c.Fingerprint()
		out[i] = hex.EncodeToString(f[:8])
	}
	return strings.Join(out, ",")
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

func (m *message) messageID() string {
	if m.header == nil {
		return ""
	}
	return clip(oneLine(m.header.Get("Message-ID")), 200)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}

func tlsName(s *tls.ConnectionState) string {
	return tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
}
