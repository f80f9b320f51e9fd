package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"sealpost/relay/queue"
)

var (
	descQueued      = desc("queue_messages", "Messages that wait, by queue.", "queue")
	descParcels     = desc("queue_parcels", "Copies that wait, by queue.", "queue")
	descOldest      = desc("queue_oldest_arrival_timestamp_seconds", "When the oldest message that waits came; 0 when none does.", "queue")
	descAway        = desc("queue_upstream_away", "1 while upstream cannot be reached.")
	descReports     = desc("queue_reports_total", "Reports to senders, by what they tell.", "action")
	descUnreported  = desc("queue_unreported_total", "Messages that failed and whose sender could not be told.")
	descSpoolUsed   = desc("spool_used_bytes", "Bytes that messages take in the spool.")
	descSpoolLimit  = desc("spool_limit_bytes", "Bytes that messages may take in the spool.")
	descQuarantined = desc("spool_quarantined", "Things found damaged in the spool and set aside.")
)

var queueDescs = []*prometheus.Desc{
	descQueued, descParcels, descOldest, descAway, descReports, descUnreported, descSpoolUsed, descSpoolLimit, descQuarantined,
}

// collect reads what the queue counts. Without a spool every queue is empty.
func (w *waitingRoom) collect(ch chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	var s queue.Stats
	if w != nil {
		s = w.engine.Stats()
		kept := w.store.Stats()
		set(descSpoolUsed, prometheus.GaugeValue, float64(kept.Used))
		set(descSpoolLimit, prometheus.GaugeValue, float64(kept.Limit))
		set(descQuarantined, prometheus.GaugeValue, float64(kept.Quarantined))
	}
	for _, state := range queue.States() {
		q, name := s.Queues[state], string(state)
		set(descQueued, prometheus.GaugeValue, float64(q.Messages), name)
		set(descParcels, prometheus.GaugeValue, float64(q.Parcels), name)
		oldest := 0.0
		if !q.Oldest.IsZero() {
			oldest = float64(q.Oldest.Unix())
		}
		set(descOldest, prometheus.GaugeValue, oldest, name)
	}
	away := 0.0
	if s.Away {
		away = 1
	}
	set(descAway, prometheus.GaugeValue, away)
	for action, n := range map[string]uint64{"failed": s.Counts.Failures, "delayed": s.Counts.Delays, "relayed": s.Counts.Relays} {
		set(descReports, prometheus.CounterValue, float64(n), action)
	}
	set(descUnreported, prometheus.CounterValue, float64(s.Counts.Unreported))
}
