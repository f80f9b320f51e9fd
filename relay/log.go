package relay

import (
	"crypto/tls"
	"encoding/hex"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/certificate"
	"sealpost/relay/intake"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
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
		slog.String("client", clientAddr(t.client)),
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
	writeLine(t.relay.log, slog.LevelInfo, t.relay.now(), "message", attrs)
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

// logRecipient writes the line of one recipient; m is nil before DATA.
func (t *transaction) logRecipient(r *recipient, m *message) {
	now := t.relay.now()
	l := logLine{
		id: t.id, to: r.rcpt.To, relay: relayName(r.outcome), delay: now.Sub(t.arrived), delays: t.delays(r, m, now),
		rule: ruleName(r.decision), action: finalAction(r), asIs: r.asIs, err: r.err,
	}
	if r.decision.Action == Sealed && !r.asIs {
		l.certificate, l.cipher = fingerprints(r.decision.Certificates), r.decision.Cipher.String()
		l.instead, l.provisioned = r.decision.Instead, r.decision.Provisioned
	}
	if r.kept {
		l.err = r.why
	}
	l.status, l.said = status(r)
	l.write(t.relay.log, now)
}

// clientAddr is the client's address and port; a trusted peer may withhold it.
func clientAddr(c *intake.Client) string {
	if !c.Remote.IsValid() {
		return "unknown"
	}
	return c.Remote.String()
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

func relayName(o *upstream.Outcome) string {
	if o == nil || o.Server == "" {
		return "none"
	}
	return o.Server
}

// status is Postfix's word, and the reply that is shown behind it.
func status(r *recipient) (word string, said reply.Reply) {
	err := r.err
	if r.kept {
		err = r.why
	}
	switch {
	case err == nil && r.outcome != nil:
		return "sent", r.outcome.Reply
	case err == nil:
		return "deferred", reply.New(450, reply.Enhanced{4, 7, 1}, "waits for a certificate")
	case err.Reply.Permanent():
		return "bounced", err.Reply
	}
	return "deferred", err.Reply
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
