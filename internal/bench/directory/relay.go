package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/bench/keyload"
	"sealpost/internal/bench/load"
)

// relayConfig is a relay whose only source is a mirror of the directory.
const relayConfig = `hostname: relay.bench.example
listen:
  - {address: "$ADDR", networks: [127.0.0.0/8]}
upstream:
  - {address: "$SINK", tls: none}
lookup:
  cache: {entries: 10000}
  sources:
    - {name: keys, type: directory, url: "http://$KEYS", token_file: token, mirror: keys.mirror}
metrics: {address: none}
log: {level: info, format: text}
`

// warmPeople is to how many people the mail goes that finds a warm cache.
const warmPeople = 1000

// A relay is one that follows the directory.
type relay struct {
	system
	sink *load.Sink
	n    int // people in the directory
	fill time.Duration
}

func startRelay(ctx context.Context, binary, dir string, keys *system, n int) (*relay, error) {
	sink, err := load.ListenSink()
	if err != nil {
		return nil, err
	}
	r := &relay{sink: sink, n: n}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	if r.addr, err = freeAddr(); err != nil {
		return r, err
	}
	token := keys.protocol.(keyload.HTTP).Token
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600); err != nil {
		return r, err
	}
	config := filepath.Join(dir, "sealpost.yaml")
	text := strings.NewReplacer("$ADDR", r.addr, "$SINK", sink.Addr(), "$KEYS", keys.addr).Replace(relayConfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return r, err
	}
	start := time.Now()
	if err := r.start(ctx, exec.Command(binary, "serve", "--config", config), dir); err != nil {
		return r, err
	}
	err = r.until(ctx, "to have its mirror", func() bool { return indexed(filepath.Join(dir, "log")) })
	r.fill = time.Since(start)
	return r, err
}

func (r *relay) close() {
	if r == nil {
		return
	}
	r.stop()
	_ = r.sink.Close() // nobody is waiting for it
}

// warm gives the people with the last numbers mail again and again.
func (r *relay) warm(i int) string { return keyload.Address(r.n - warmPeople + i%warmPeople) }

// distinct goes once through all others, without an order that a disk would like.
func (r *relay) distinct(i int) string {
	const stride = 611953 // a prime, and no divisor of what it goes round in
	others := r.n - warmPeople
	return keyload.Address(int(int64(i) * stride % int64(others)))
}

// send gives messages a second.
func (r *relay) send(ctx context.Context, n int, to func(int) string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	got, err := load.Run(ctx, load.Options{Server: r.addr, Sink: r.sink, Size: 5000, Recipients: 1, Sessions: 10, Messages: n, To: to})
	switch {
	case err != nil:
		return 0, fmt.Errorf("mail through the relay: %w", err)
	case !strings.Contains(got.Sample, "application/pkcs7-mime"):
		return 0, fmt.Errorf("mail through the relay is not sealed: %s", got.Sample)
	}
	return float64(n) / got.Delivered.Seconds(), nil
}

// monthEnd compares mail to people who were not asked for before with mail to
// people who were.
func (r *report) monthEnd(ctx context.Context, s *relay, progress io.Writer) error {
	if _, err := s.send(ctx, 2*warmPeople, s.warm); err != nil {
		return err
	}
	// As many messages as fill about the time of a measurement, and nobody twice.
	n := min(int(r.seconds.Seconds()*6000), (r.n-warmPeople)/(r.rounds+1))
	var warm, distinct []float64
	for range r.rounds {
		for _, load := range []struct {
			rates *[]float64
			to    func(int) string
		}{{&warm, s.warm}, {&distinct, s.distinct}} {
			rate, err := s.send(ctx, n, load.to)
			if err != nil {
				return err
			}
			*load.rates = append(*load.rates, rate)
		}
	}
	r.lines = append(r.lines,
		line{what: "a new mirror, until it is complete", unit: "s", ours: s.fill.Seconds()},
		line{what: "mail of 5 KB, cache warm", unit: "messages/s", ours: median(warm)},
		line{what: "mail of 5 KB, nobody in the cache, mirror", unit: "messages/s", ours: median(distinct), against: median(warm), aim: 0.8})
	fmt.Fprintf(progress, "mail: %.0f a second with a warm cache, %.0f to people who were not asked for before\n", median(warm), median(distinct))
	return nil
}
