package api

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted about all calls.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	limited  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "sealpost", Subsystem: "directory", Name: name, Help: help}
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(opts("requests_total", "Calls answered, by call and status."), []string{"call", "code"}),
		limited:  prometheus.NewCounter(opts("rate_limited_total", "Calls refused because their client asked too often.")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "sealpost", Subsystem: "directory", Name: "request_duration_seconds",
			Help:    "Time to answer a call; for `changes` it includes waiting for one.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}, []string{"call"}),
	}
	if registry != nil {
		registry.MustRegister(m.requests, m.limited, m.duration)
	}
	return m
}

// counters are the series of one call, looked up once.
type counters struct {
	codes    sync.Map // status to prometheus.Counter
	call     string
	metrics  *metrics
	duration prometheus.Observer
}

func (m *metrics) counters(call string, codes []int) *counters {
	c := &counters{call: call, metrics: m, duration: m.duration.WithLabelValues(call)}
	for _, code := range codes {
		c.code(code)
	}
	return c
}

func (c *counters) code(status int) prometheus.Counter {
	if counter, ok := c.codes.Load(status); ok {
		return counter.(prometheus.Counter)
	}
	counter := c.metrics.requests.WithLabelValues(c.call, strconv.Itoa(status))
	c.codes.Store(status, counter)
	return counter
}

func (c *counters) observe(status int, took time.Duration) {
	c.code(status).Inc()
	c.duration.Observe(took.Seconds())
}
