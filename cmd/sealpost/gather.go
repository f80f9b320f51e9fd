package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/config"
	"sealpost/directory/harvest"
	"sealpost/lookup/keydb"
	"sealpost/relay/gather"
)

// openGatherer has certificates learned from signed mail, by the directory of
// this process or another one; nil where no listener wants that.
func openGatherer(cfg *config.Config, own *directoryDoor, log *slog.Logger) (*gather.Gatherer, error) {
	if len(gathering(cfg)) == 0 {
		return nil, nil
	}
	learn, err := learner(&cfg.Harvest, own, log)
	if err != nil {
		return nil, err
	}
	return gather.New(gather.Options{Learn: learn, MaxSize: int64(cfg.Harvest.Size), Memory: int64(cfg.Harvest.Memory), Log: log}), nil
}

// gathering tells from which listeners signed mail is learned from.
func gathering(cfg *config.Config) map[string]bool {
	from := map[string]bool{}
	for _, l := range cfg.Listen {
		if l.Harvest {
			from[l.Address] = true
		}
	}
	return from
}

// learnTimeout is how long another directory may take for a message.
const learnTimeout = 20 * time.Second

type learnFunc func(ctx context.Context, message io.Reader) error

func learner(c *config.Harvest, own *directoryDoor, log *slog.Logger) (learnFunc, error) {
	if c.URL == "" {
		return func(ctx context.Context, message io.Reader) error {
			learned, added, err := own.Learn(ctx, message)
			if no := (*harvest.Refusal)(nil); errors.As(err, &no) {
				return fmt.Errorf("%w: %w", gather.ErrRefused, err)
			}
			if err == nil {
				log.Info("certificate learned from passing mail", "address", learned.Address.String(), "status", string(added.Status), "known", added.Known)
			}
			return err
		}, nil
	}
	roots, err := config.ReadRoots(c.TLSRoots)
	if err != nil {
		return nil, fmt.Errorf("harvest.tls_roots: %w", err)
	}
	client, err := keydb.New(keydb.Options{URL: c.URL, TokenFile: string(c.TokenFile), RootCAs: roots, Timeout: learnTimeout})
	if err != nil {
		return nil, fmt.Errorf("harvest.url: %w", err)
	}
	return func(ctx context.Context, message io.Reader) error {
		// A copy: HTTP may go on reading after it has given the answer, and what
		// was handed in is wiped by then.
		whole, err := io.ReadAll(message)
		if err != nil {
			return err
		}
		learned, err := client.Message(ctx, bytes.NewReader(whole))
		if no := (*keydb.Problem)(nil); errors.As(err, &no) && no.Status == http.StatusUnprocessableEntity {
			return fmt.Errorf("%w: %w", gather.ErrRefused, err)
		}
		if err == nil {
			log.Info("certificate learned from passing mail", "address", learned.Address, "status", learned.Added.Status, "known", learned.Added.Known)
		}
		return err
	}, nil
}

var descGathered = desc("harvest_messages_total", "Signed messages that passed through listeners with harvest, by what became of their copy.", "result")

// gathered is what the server's Gatherer counts, as metrics.
type gathered struct{ server *server }

// Describe names the metric.
func (gathered) Describe(ch chan<- *prometheus.Desc) { ch <- descGathered }

// Collect reads the counters.
func (g gathered) Collect(ch chan<- prometheus.Metric) {
	for _, r := range gather.Results() {
		ch <- prometheus.MustNewConstMetric(descGathered, prometheus.CounterValue, float64(g.server.gatherer.Count(r)), r.String())
	}
}
