// Command directory measures Sealpost's directory beside OpenLDAP with the same
// certificates, and writes docs/benchmarks-directory.md.
//
// It needs slapd and PostgreSQL as .ci/setup leaves them, and for a million
// certificates about ten gigabytes of disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"sealpost/internal/bench/keyload"
)

type options struct {
	binary  string
	page    string
	n       int
	rounds  int
	seconds time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "sealpost", "bin/sealpost", "the binary under test")
	flag.StringVar(&o.page, "o", "docs/benchmarks-directory.md", "the page to write")
	flag.IntVar(&o.n, "n", 1_000_000, "certificates")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of which the median counts")
	flag.DurationVar(&o.seconds, "time", 3*time.Second, "length of one measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, progress io.Writer) (err error) {
	dir, err := os.MkdirTemp("/var/tmp", "sealpost-bench-") // not /tmp, which may be memory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL is another user
		return err
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	corpus, err := keyload.New(o.n)
	if err != nil {
		return err
	}
	r := report{options: o, payload: corpus.Payload(), cpus: cpus(), date: time.Now()}
	ours, theirs, err := startBoth(ctx, o, dir, corpus, progress)
	defer ours.stop()
	defer theirs.stop()
	if err != nil {
		return err
	}
	r.imports(ours, theirs)
	if err := r.measure(ctx, ours, theirs, progress); err != nil {
		return err
	}
	if err := r.mail(ctx, dir, ours, progress); err != nil {
		return err
	}
	ours.stop()
	if err := r.postgres(ctx, dir, theirs, progress); err != nil {
		return err
	}
	theirs.stop() // the rest is measured alone
	if err := r.issue(ctx); err != nil {
		return err
	}
	page, err := os.Create(o.page)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "%s\n\n%s\n", r.table(), r.issued)
	return errors.Join(r.write(page), page.Close())
}

func startBoth(ctx context.Context, o options, dir string, corpus *keyload.Corpus, progress io.Writer) (ours, theirs *system, err error) {
	fmt.Fprintf(progress, "%d certificates, %d MB\n", o.n, corpus.Payload()/1e6)
	files := map[string]func(string) error{"all.pem": corpus.WritePEM, "all.ldif": corpus.WriteLDIF}
	for name, write := range files {
		if err := write(filepath.Join(dir, name)); err != nil {
			return nil, nil, err
		}
	}
	if theirs, err = startSlapd(ctx, filepath.Join(dir, "slapd"), filepath.Join(dir, "all.ldif")); err != nil {
		return nil, theirs, err
	}
	fmt.Fprintf(progress, "slapadd: %v\n", theirs.imported.Round(time.Millisecond))
	if err := os.Remove(filepath.Join(dir, "all.ldif")); err != nil {
		return nil, theirs, err
	}
	ours, err = startSealpost(ctx, o.binary, filepath.Join(dir, "sealpost"), filepath.Join(dir, "all.pem"), "")
	if err == nil {
		fmt.Fprintf(progress, "sealpost directory import: %v, index ready after %v\n", ours.imported.Round(time.Millisecond), ours.indexed.Round(time.Millisecond))
	}
	return ours, theirs, err
}

// mail measures a relay that follows the directory.
func (r *report) mail(ctx context.Context, dir string, keys *system, progress io.Writer) error {
	s, err := startRelay(ctx, r.binary, filepath.Join(dir, "relay"), keys, r.n)
	defer s.close()
	if err != nil {
		return err
	}
	return r.monthEnd(ctx, s, progress)
}

// postgres measures lookups that PostgreSQL answers itself.
func (r *report) postgres(ctx context.Context, dir string, theirs *system, progress io.Writer) error {
	server, url, err := startPostgres(ctx, filepath.Join(dir, "postgres"))
	defer server.stop()
	if err != nil {
		return err
	}
	ours, err := startSealpost(ctx, r.binary, filepath.Join(dir, "node"), filepath.Join(dir, "all.pem"), url)
	defer ours.stop()
	if err != nil {
		return err
	}
	r.lines = append(r.lines, line{what: "import into PostgreSQL", unit: "rows/s", ours: float64(r.n) / ours.imported.Seconds()})
	fmt.Fprintf(progress, "sealpost directory import into PostgreSQL: %v\n", ours.imported.Round(time.Millisecond))
	return r.compare(ctx, question{"lookups in PostgreSQL, 10 connections", 10, 1, 0.4}, ours, theirs, progress)
}
