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
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), lookups{s}, gathered{s})
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
