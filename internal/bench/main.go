// Command bench measures Sealpost against Postfix, with and without the
// content filter that people use today, and writes docs/benchmarks.md.
//
// It runs as root on a Linux with Postfix and OpenSSL, as .ci/setup leaves it.
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

	"sealpost/internal/bench/load"
)

type options struct {
	binary string
	page   string
	short  bool
	micro  bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "sealpost", "bin/sealpost", "the binary under test")
	flag.StringVar(&o.page, "o", "docs/benchmarks.md", "the page to write")
	flag.BoolVar(&o.short, "short", false, "two minutes instead of fifteen")
	flag.BoolVar(&o.micro, "micro", true, "run the Go benchmarks too")
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
	start := time.Now()
	p := fullPlan()
	if o.short {
		p = shortPlan()
	}
	// Not /tmp, which may be memory: Postfix and the spool are to feel a disk.
	dir, err := os.MkdirTemp("/var/tmp", "sealpost-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // Postfix's programs are other users
		return err
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	r := report{Short: o.short, Machine: machine(o.binary, dir)}
	if r.Rows, r.Memory, err = measureAll(ctx, p, o.binary, dir, progress); err != nil {
		return err
	}
	if o.micro {
		if r.Micro, err = microbenchmarks(ctx, p.benchTime); err != nil {
			return err
		}
	}
	r.Took = time.Since(start)
	fmt.Fprintf(progress, "\n%s\n\n%s\n\nafter %v: %s\n", r.targets(), r.memory(), r.Took.Round(time.Second), o.page)
	page, err := os.Create(o.page)
	if err != nil {
		return err
	}
	return errors.Join(r.write(page), page.Close())
}

func measureAll(ctx context.Context, p plan, binary, dir string, progress io.Writer) ([]row, []memoryResult, error) {
	if err := writePeople(dir); err != nil {
		return nil, nil, err
	}
	relay := sealpost{binary: binary, name: cbc, content: "aes-256-cbc", people: dir}
	memory, err := checkMemory(ctx, relay, dir, progress)
	if err != nil {
		return nil, nil, err
	}
	systems, err := startAll(ctx, relay, dir)
	defer func() {
		for _, s := range systems {
			s.proc.stop()
			s.sink.Close()
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	rows, err := compare(ctx, p, systems, progress)
	return rows, memory, err
}

// startAll starts everything that is compared, and warms it up.
func startAll(ctx context.Context, relay sealpost, dir string) (all []*system, err error) {
	sink, err := load.ListenSink()
	if err != nil {
		return nil, err
	}
	all = append(all, &system{name: nothing, addr: sink.Addr(), sink: sink, proof: "boundary="})
	for i, withFilter := range []bool{false, true} {
		s, err := startPostfix(ctx, filepath.Join(dir, fmt.Sprintf("postfix%d", i)), filepath.Join(dir, "certs"), withFilter)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	inGCM, inSpool := relay, relay
	inGCM.name, inGCM.content = gcm, "aes-256-gcm"
	inSpool.name, inSpool.spooled = spooled, true
	for i, o := range []sealpost{relay, inGCM, inSpool} {
		home := filepath.Join(dir, fmt.Sprintf("sealpost%d", i))
		if o.spooled && !o.knows(home) {
			continue // this binary has no spool
		}
		s, err := o.start(ctx, home)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	for _, s := range all {
		if err := s.warm(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}
