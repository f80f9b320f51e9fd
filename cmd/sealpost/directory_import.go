package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/directory/importer"
	"sealpost/directory/store"
	"sealpost/internal/reason"
)

type directoryImportCommand struct {
	directoryAccess
	Replace bool     `help:"A certificate takes the place of other ones of its addresses, instead of standing beside them."`
	DryRun  bool     `help:"Only say what would be refused."`
	Quiet   bool     `short:"q" help:"Neither progress nor a line for each refusal."`
	Paths   []string `arg:"" name:"file" help:"Files or folders; - is standard input."`
}

// Run imports. The exit code is 1 when something was refused.
func (c directoryImportCommand) Run(ctx context.Context, s streams) error {
	db, cfg, err := c.open(ctx, s.Err)
	if err != nil {
		return err
	}
	defer db.Close()
	bar := newProgress(s.Err, !c.Quiet)
	reader := importer.Reader{Stdin: s.In, Progress: bar.show}
	opts := importer.Options{
		MinRSABits: cfg.Trust.MinRSABits, Supersede: c.Replace, DryRun: c.DryRun,
		Refused: func(it importer.Item, err error) {
			if !c.Quiet {
				bar.clear()
				fmt.Fprintf(s.Err, "%s: %s\n", printable(it.Where), printable(err.Error()))
			}
		},
	}
	report, kept, err := c.fill(ctx, db, opts, func(yield func(importer.Item) error) error { return reader.Files(c.Paths, yield) })
	bar.clear()
	if err != nil && !kept {
		return fmt.Errorf("the import was broken off, and the directory is as empty as it was: %w", err)
	}
	printImport(s.Out, report, c.DryRun)
	if err != nil {
		return fmt.Errorf("the import was broken off; what is counted above is in the directory: %w", err)
	}
	if len(report.Refused) > 0 {
		return errors.New("not everything was taken")
	}
	return nil
}

// fill imports. An empty directory is filled in one transaction, which is
// several times faster; kept is false when an error has undone it.
func (c directoryImportCommand) fill(ctx context.Context, db *store.Store, opts importer.Options, read func(func(importer.Item) error) error) (report importer.Report, kept bool, err error) {
	if c.DryRun {
		report, err = importer.Run(ctx, opts, read)
		return report, true, err
	}
	bulk, err := db.Bulk(ctx)
	if err != nil {
		return report, false, err
	}
	opts.Store = bulk
	report, err = importer.Run(ctx, opts, read)
	kept = !bulk.Pending()
	if err == nil {
		err = bulk.Commit(ctx)
	}
	return report, kept || err == nil, errors.Join(err, bulk.Close())
}

func printImport(w io.Writer, r importer.Report, dry bool) {
	added := "added"
	if dry {
		added = "would be added, or are there already"
	}
	fmt.Fprintf(w, "%d certificates read: %d %s", r.Read, r.Added, added)
	if !dry {
		fmt.Fprintf(w, ", %d there already, %d held, %d superseded", r.Known, r.Held, r.Superseded)
	}
	fmt.Fprintln(w)
	var tokens []reason.Token
	for token := range r.Refused {
		tokens = append(tokens, token)
	}
	slices.Sort(tokens)
	for _, token := range tokens {
		fmt.Fprintf(w, "%d refused: %s\n", r.Refused[token], token)
	}
}

// A progress is a bar in the last line of a terminal; where there is no
// terminal, there is none.
type progress struct {
	w     io.Writer
	on    bool
	shown bool
	next  time.Time
	start time.Time
}

func newProgress(w io.Writer, wanted bool) *progress {
	f, isFile := w.(*os.File)
	on := wanted && isFile
	if on {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		on = err == nil
	}
	return &progress{w: w, on: on, start: time.Now()}
}

// show draws the bar, but not more often than eyes can follow.
func (p *progress) show(done, total int64) {
	if !p.on || time.Now().Before(p.next) {
		return
	}
	p.next, p.shown = time.Now().Add(100*time.Millisecond), true
	fmt.Fprintf(p.w, "\r%s", progressLine(done, total, time.Since(p.start)))
}

func progressLine(done, total int64, took time.Duration) string {
	const width = 40
	rate := float64(done) / max(took.Seconds(), 0.001) / (1 << 20)
	if total <= 0 {
		return fmt.Sprintf("%d MiB read, %.0f MiB/s ", done>>20, rate)
	}
	part := min(float64(done)/float64(total), 1)
	full := int(part * width)
	return fmt.Sprintf("[%s%s] %3.0f%% %.0f MiB/s ", strings.Repeat("#", full), strings.Repeat(".", width-full), part*100, rate)
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
