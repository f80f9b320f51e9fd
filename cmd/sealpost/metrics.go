package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sealpost/config"
	"sealpost/internal/reason"
	"sealpost/relay"
	"sealpost/relay/intake"
)

// metrics are what /metrics shows.
type metrics struct {
	registry    *prometheus.Registry
	relay       *relay.Metrics
	connections prometheus.Gauge
	accepted    prometheus.Counter
	refused     *prometheus.CounterVec
	reload      prometheus.Gauge
	reloadTime  prometheus.Gauge
}

func newMetrics(s *server) *metrics {
	m := &metrics{
		registry:    prometheus.NewRegistry(),
		connections: gauge("connections", "Client connections now."),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "sealpost", Name: "connections_total", Help: "Client connections since the start.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sealpost", Name: "intake_refusals_total",
			Help: "Connections, commands and messages that the SMTP dialog itself refused, by reason.",
		}, []string{"reason"}),
		reload:     gauge("config_last_reload_successful", "1 when the running configuration is the one in the file."),
		reloadTime: gauge("config_last_reload_success_timestamp_seconds", "When the configuration was last read."),
	}
	version, commit := buildVersion()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "sealpost", Name: "build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit},
	})
	build.Set(1)
	m.registry.MustRegister(m.connections, m.accepted, m.refused, m.reload, m.reloadTime, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), lookups{s})
	for _, r := range reason.All() {
		m.refused.WithLabelValues(string(r))
	}
	m.relay = relay.NewMetrics(m.registry)
	m.reloaded(true)
	return m
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sealpost", Name: name, Help: help})
}

// rules makes the series of a configuration present.
func (m *metrics) rules(cfg *config.Config) {
	var rules, servers []string
	for _, r := range cfg.Rules() {
		rules = append(rules, r.Name)
	}
	for _, u := range cfg.Upstream {
		servers = append(servers, u.Address)
	}
	m.relay.Present(rules, servers)
}

func (m *metrics) reloaded(ok bool) {
	if !ok {
		m.reload.Set(0)
		return
	}
	m.reload.Set(1)
	m.reloadTime.SetToCurrentTime()
}

func (m *metrics) intakeHooks() intake.Hooks {
	return intake.Hooks{
		Opened:  func() { m.connections.Inc(); m.accepted.Inc() },
		Closed:  m.connections.Dec,
		Refused: func(r reason.Token) { m.refused.WithLabelValues(string(r)).Inc() },
	}
}

// lookups shows the counters of the rooms that are in use now. A reload begins
// them again, as a restart does.
type lookups struct{ server *server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sealpost_"+name, help, labels, nil)
}

var (
	descLookups  = desc("lookups_total", "Lookups at a source.", "source")
	descFailures = desc("lookup_failures_total", "Lookups that ended without an answer.", "source")
	descStale    = desc("lookup_stale_answers_total", "Answers used past their time because the source did not answer.", "source")
	descHits     = desc("lookup_cache_hits_total", "Lookups answered from memory.")
	descMisses   = desc("lookup_cache_misses_total", "Lookups that had to wait for a source.")
	descEntries  = desc("lookup_cache_entries", "Addresses remembered.")
	descRefused  = desc("certificates_refused_total", "Certificates found and not used, by reason.", "reason")
	descMemory   = desc("spill_memory_bytes", "Memory that messages under way hold.")
	descFiles    = desc("spill_files", "Temporary files of messages under way.")
)

// Describe names the metrics.
func (l lookups) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLookups, descFailures, descStale, descHits, descMisses, descEntries, descRefused, descMemory, descFiles} {
		ch <- d
	}
	for _, d := range queueDescs {
		ch <- d
	}
}

// Collect reads the counters.
func (l lookups) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	level := func(d *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	spilled := l.server.spill.Stats()
	level(descMemory, spilled.Memory)
	level(descFiles, spilled.Files)
	l.server.waiting.collect(ch)
	r := l.server.rooms.Load()
	if r == nil || r.chain == nil {
		return
	}
	stale := map[string]uint64{}
	if r.cache != nil {
		s := r.cache.Stats()
		counter(descHits, s.Hits)
		counter(descMisses, s.Misses)
		level(descEntries, int64(s.Entries))
		stale = s.StaleBySource
	}
	for _, s := range r.chain.Stats() {
		counter(descLookups, s.Lookups, s.Source)
		counter(descFailures, s.Failures, s.Source)
		counter(descStale, stale[s.Source], s.Source)
	}
	refused := map[reason.Token]uint64{}
	for _, t := range r.trusted {
		for token, n := range t.Refused() {
			refused[token] += n
		}
	}
	for token, n := range refused {
		counter(descRefused, n, string(token))
	}
}
