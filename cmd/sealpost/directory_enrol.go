package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory/enrol"
	"sealpost/directory/mailer"
	"sealpost/internal/address"
)

// An enrolDoor is the directory's own mailbox and the listener that mail for it
// comes through.
type enrolDoor struct {
	listener net.Listener
	server   *enrol.Server
	done     chan struct{} // nil: not served
}

var mailerTLS = map[string]mailer.TLSMode{"none": mailer.TLSNone, "require": mailer.TLSRequire, "implicit": mailer.TLSImplicit}

// openEnrol binds the listener; nil where the directory has no mailbox.
func openEnrol(cfg *config.Config, learner enrol.Learner, log *slog.Logger) (*enrolDoor, error) {
	c := cfg.Directory.Enrol
	if c == nil {
		return nil, nil
	}
	mailbox, err := address.Parse(c.Mailbox)
	if err != nil {
		return nil, fmt.Errorf("directory.enrol.mailbox: %w", err)
	}
	opts := enrol.Options{
		Mailbox: mailbox, Hostname: cfg.Hostname, Name: cfg.Directory.Page.Name, LMTP: c.Protocol == "lmtp",
		Learner: learner, MaxSize: int64(cfg.Directory.Harvest.Size), Log: log,
	}
	if u := c.Upstream; u != nil {
		roots, err := config.ReadRoots(u.TLSRoots)
		if err != nil {
			return nil, fmt.Errorf("directory.enrol.upstream.tls_roots: %w", err)
		}
		opts.Sender = &mailer.Mailer{
			Address: u.Address, Hostname: cfg.Hostname, TLS: mailerTLS[u.TLS],
			Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}
	}
	l, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("directory.enrol.address: %w", err)
	}
	return &enrolDoor{listener: l, server: enrol.New(opts)}, nil
}

// serve takes mail until stop; what else ends it goes to failed.
func (e *enrolDoor) serve(failed chan<- error) {
	if e == nil {
		return
	}
	e.done = make(chan struct{})
	go func() {
		defer close(e.done)
		if err := e.server.Serve(e.listener); !errors.Is(err, enrol.ErrClosed) {
			select {
			case failed <- fmt.Errorf("directory.enrol %s: %w", e.listener.Addr(), err):
			default:
			}
		}
	}()
}

// stop ends the connections and waits for what is being learned. Answers that
// are on their way have until ctx ends; one that is lost then costs its reader
// the news only.
func (e *enrolDoor) stop(ctx context.Context) error {
	if e == nil {
		return nil
	}
	err := e.server.Close(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	// The server closes the listener only if it had begun to serve it.
	if e := e.listener.Close(); !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	if e.done != nil {
		<-e.done
	}
	return err
}

var descEnrol = desc("directory_enrol_messages_total", "Messages to the directory's own mailbox, by what became of them.", "result")
var descEnrolAnswers = desc("directory_enrol_answers_total", "Answers to messages to the directory's own mailbox, by what became of them.", "result")

// enrolled is what the directory's mailbox counts, as metrics.
type enrolled struct{ server *enrol.Server }

// Describe names the metrics.
func (enrolled) Describe(ch chan<- *prometheus.Desc) { ch <- descEnrol; ch <- descEnrolAnswers }

// Collect reads the counters.
func (e enrolled) Collect(ch chan<- prometheus.Metric) {
	s := e.server.Stats()
	for result, n := range map[string]uint64{"learned": s.Learned, "refused": s.Refused, "deferred": s.Deferred, "malformed": s.Malformed} {
		ch <- prometheus.MustNewConstMetric(descEnrol, prometheus.CounterValue, float64(n), result)
	}
	for result, n := range map[string]uint64{"sent": s.Answers, "lost": s.Lost, "withheld": s.Withheld} {
		ch <- prometheus.MustNewConstMetric(descEnrolAnswers, prometheus.CounterValue, float64(n), result)
	}
}
