package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sealpost/lookup"
)

// A monitor is the HTTP endpoint with /metrics, /healthz and /readyz.
type monitor struct {
	listener net.Listener
	server   *http.Server
}

// startMonitor serves the endpoint; nil where the configuration has none.
func startMonitor(s *server) (*monitor, error) {
	address := s.config.Metrics.Address
	if address == "none" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics.address: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	m := &monitor{listener: l, server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}}
	go m.server.Serve(l)
	return m, nil
}

// ready answers /readyz. A source that is away does not make the relay unready:
// another relay would not reach it either, and mail to recipients who are known
// goes on. With ?verbose the sources stand below the verdict.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
	if rooms := s.rooms.Load(); rooms != nil && rooms.chain != nil && r.URL.Query().Has("verbose") {
		for _, h := range rooms.chain.Health() {
			fmt.Fprintln(w, describeHealth(h))
		}
		if s.known != nil {
			fmt.Fprintln(w, describeHeld(s.heldKeys()))
		}
	}
}

// describeHealth is one line about a source.
func describeHealth(h lookup.SourceHealth) string {
	line := fmt.Sprintf("source %s: %s since %s", h.Source, h.State, h.Since.UTC().Format(time.RFC3339))
	if !h.LastSuccess.IsZero() {
		line += fmt.Sprintf(", last answer %s, %d ms", h.LastSuccess.UTC().Format(time.RFC3339), h.Latency.Milliseconds())
	}
	if h.Failures > 0 && h.Err != nil {
		line += fmt.Sprintf(", %d failures since: %s", h.Failures, strings.Join(strings.Fields(h.Err.Error()), " "))
	}
	return line
}

// describeHeld is one line about the keys that wait.
func describeHeld(n int, err error) string {
	switch {
	case err != nil:
		return "keys: the memory of keys cannot be read: " + err.Error()
	case n == 0:
		return "keys: none waits"
	}
	return fmt.Sprintf("keys: at %s a new key waits: sealpost keys list", count(n, "address"))
}

func (m *monitor) stop() error {
	if m == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := m.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return m.server.Close()
}
