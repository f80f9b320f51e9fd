package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

// Metrics are the counters of the relay. A nil *Metrics counts nothing.
type Metrics struct {
	messages   *prometheus.CounterVec
	recipients *prometheus.CounterVec
	clear      *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	delays     *prometheus.HistogramVec
	bytes      prometheus.Counter
	upstream   *prometheus.CounterVec
	keys       *prometheus.CounterVec
	noKeys     *prometheus.CounterVec
	attempts   *prometheus.CounterVec
}

// NewMetrics registers the relay's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: counter("messages_total", "Messages by what the client heard after the end of data.", "result"),
		recipients: counter("recipients_total", "Recipients by what became of them and the rule that decided.",
			"action", "rule"),
		clear: counter("plaintext_recipients_total", "Recipients whose copy left in the clear because a rule says so.", "rule"),
		refusals: counter("refusals_total", "Recipients refused or deferred, by reason (see docs/reasons.md).",
			"reason"),
		delays: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "sealpost", Name: "delivery_delay_seconds",
			Help:    "Time a message spends in each phase: receive, seal, queue, connect, transmit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"phase"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "sealpost", Name: "received_bytes_total", Help: "Message content taken from clients.",
		}),
		upstream: counter("upstream_failures_total", "Copies that upstream did not take.", "upstream", "dsn"),
		keys:     counter("provisioned_total", "Keys that the directory was asked for and gave: made then, or known to it already.", "result"),
		noKeys: counter("provision_failures_total", "Keys that the directory was asked for and did not give, by reason (see docs/reasons.md).",
			"reason"),
		attempts: counter("queue_attempts_total", "Attempts for what waits in the queue, by how they ended.", "result"),
	}
	reg.MustRegister(m.messages, m.recipients, m.clear, m.refusals, m.delays, m.bytes, m.upstream, m.keys, m.noKeys, m.attempts)
	for _, token := range reason.All() {
		m.refusals.WithLabelValues(string(token))
	}
	for _, result := range []string{"taken", "deferred", "refused"} {
		m.messages.WithLabelValues(result)
	}
	for _, result := range []string{"created", "known"} {
		m.keys.WithLabelValues(result)
	}
	for _, token := range []reason.Token{reason.ProvisionUnavailable, reason.ProvisionExcluded, reason.ProvisionRole, reason.ProvisionRate} {
		m.noKeys.WithLabelValues(string(token))
	}
	for result := range words {
		m.attempts.WithLabelValues(string(result))
	}
	for _, phase := range []string{"receive", "seal", "queue", "connect", "transmit"} {
		m.delays.WithLabelValues(phase)
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "sealpost", Name: name, Help: help}, labels)
}

// Present makes the series of these rules and upstream servers present before
// anything is counted; a reload calls it again.
func (m *Metrics) Present(rules, servers []string) {
	for _, rule := range rules {
		m.clear.WithLabelValues(rule)
		for _, a := range []Action{Sealed, Passed, Held, Refused, Deferred} {
			m.recipients.WithLabelValues(string(a), rule)
		}
	}
	for _, server := range servers {
		m.upstream.WithLabelValues(server, "4.4.1")
	}
}

func (m *Metrics) recipient(a Action, rule string) {
	if m != nil {
		m.recipients.WithLabelValues(string(a), rule).Inc()
	}
}

func (m *Metrics) plaintext(rule string) {
	if m != nil {
		m.clear.WithLabelValues(rule).Inc()
	}
}

func (m *Metrics) refused(err *reply.Error) {
	if m != nil {
		m.refusals.WithLabelValues(string(err.Reason)).Inc()
	}
}

func (m *Metrics) message(t *transaction, msg *message) {
	if m == nil {
		return
	}
	result := "taken"
	for _, r := range t.rcpts {
		m.failure(r)
		if r.err == nil {
			continue
		}
		if r.err.Reply.Permanent() && result == "taken" {
			result = "refused"
		} else if !r.err.Reply.Permanent() {
			result = "deferred"
		}
	}
	m.messages.WithLabelValues(result).Inc()
	m.bytes.Add(float64(msg.size))
	if !msg.received.IsZero() {
		m.observe("receive", msg.received.Sub(t.arrived))
	}
	for _, r := range t.rcpts {
		if r.outcome != nil && r.err == nil && r.why == nil {
			m.observe("seal", r.outcome.Started.Sub(msg.received))
			m.observe("connect", r.outcome.Connect)
			m.observe("transmit", r.outcome.Transmit)
		}
	}
}

func (m *Metrics) observe(phase string, d time.Duration) {
	m.delays.WithLabelValues(phase).Observe(max(0, d.Seconds()))
}

// failure counts what upstream said, by server and enhanced status code.
func (m *Metrics) failure(r *recipient) {
	err := r.err
	if r.kept {
		err = r.why
	}
	if r.outcome != nil && err != nil {
		m.upstreamFailed(r.outcome, err)
	}
}

// provisioned counts what asking the directory for a key came to.
func (m *Metrics) provisioned(d Decision) {
	switch {
	case m == nil:
	case d.Err != nil:
		m.noKeys.WithLabelValues(string(d.Err.Reason)).Inc()
	default:
		m.keys.WithLabelValues(d.Provisioned).Inc()
	}
}

func (m *Metrics) upstreamFailed(o *upstream.Outcome, err *reply.Error) {
	if o.Server != "" {
		m.upstream.WithLabelValues(o.Server, statusCode(err.Reply)).Inc()
	}
}
