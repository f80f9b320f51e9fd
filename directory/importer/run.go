package importer

import (
	"context"
	"runtime"
	"sync"
	"time"

	"sealpost/directory/store"
	"sealpost/internal/reason"
)

// An Adder keeps certificates: all of a batch or, with an error, none.
type Adder interface {
	Add(ctx context.Context, certs []store.New) ([]store.Added, error)
}

// Options says what is imported and how.
type Options struct {
	Store      Adder
	MinRSABits int               // default 2048
	Supersede  bool              // a certificate replaces other active ones of its addresses
	DryRun     bool              // judge only
	Refused    func(Item, error) // is told of each certificate that was not taken; one at a time
	Clock      func() time.Time  // default: time.Now
	Origin     store.Origin      // default: store.OriginImport
}

// A Report is what became of an import.
type Report struct {
	Read       int                  // certificates that were looked at
	Added      int                  // new in the directory
	Known      int                  // there already
	Held       int                  // kept, but not used until somebody accepts them
	Superseded int                  // older ones that are used no more
	Refused    map[reason.Token]int // by reason; also places where nothing could be read
}

// batch is how many certificates are written at once.
const batch = 2000

// Run goes over files with read, which is a call of Reader.Files, reads and
// judges certificates on all processors, and writes in batches. An error of the
// store, or the end of ctx, ends it; the report tells what was handed to the
// store until then.
func Run(ctx context.Context, opts Options, read func(yield func(Item) error) error) (Report, error) {
	if opts.Origin == "" {
		opts.Origin = store.OriginImport
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{opts: opts, report: Report{Refused: map[reason.Token]int{}}, stop: cancel}
	items := make(chan []Item, 4)
	judged := make(chan []store.New, 4)
	var judges, writer sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		j, err := newJudge(opts.MinRSABits, opts.Clock)
		if err != nil {
			return r.report, err
		}
		judges.Go(func() { r.judge(ctx, j, items, judged) })
	}
	writer.Go(func() { r.write(ctx, judged) })
	err := r.read(ctx, read, items)
	close(items)
	judges.Wait()
	close(judged)
	writer.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return r.report, err
}

// A run is an import under way.
type run struct {
	opts   Options
	stop   context.CancelCauseFunc
	mu     sync.Mutex // of report and of the calls of opts.Refused
	report Report
}

// Up to so many items go to a judge at once, and about so many bytes.
const (
	handful      = 64
	handfulBytes = 1 << 20
)

func (r *run) read(ctx context.Context, read func(func(Item) error) error, items chan<- []Item) error {
	some, size := make([]Item, 0, handful), 0
	give := func() error {
		select {
		case items <- some:
			some, size = make([]Item, 0, handful), 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := read(func(it Item) error {
		size += len(it.piece)
		if some = append(some, it); len(some) == handful || size >= handfulBytes {
			return give()
		}
		return nil
	})
	if err != nil || len(some) == 0 {
		return err
	}
	return give()
}

func (r *run) judge(ctx context.Context, j *judge, items <-chan []Item, judged chan<- []store.New) {
	for some := range items {
		good := make([]store.New, 0, len(some))
		for _, it := range some {
			it.Each(func(it Item) {
				if it.Err == nil {
					it.Addresses, it.Err = j.addresses(ctx, it.Cert, it.Addresses)
				}
				if it.Err != nil {
					r.refuse(it, it.Err)
					return
				}
				good = append(good, store.New{Cert: it.Cert, Addresses: it.Addresses, Origin: r.opts.Origin, Supersede: r.opts.Supersede})
			})
		}
		select {
		case judged <- good:
		case <-ctx.Done():
		}
	}
}

func (r *run) refuse(it Item, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Refused[reasonOf(err)]++
	if it.Cert != nil {
		r.report.Read++
	}
	if r.opts.Refused != nil {
		r.opts.Refused(it, err)
	}
}

func (r *run) write(ctx context.Context, judged <-chan []store.New) {
	some := make([]store.New, 0, batch+handful)
	for good := range judged {
		if some = append(some, good...); len(some) >= batch {
			r.add(ctx, some[:batch])
			some = some[:copy(some, some[batch:])]
		}
	}
	r.add(ctx, some)
}

func (r *run) add(ctx context.Context, some []store.New) {
	if len(some) == 0 || ctx.Err() != nil {
		return
	}
	var added []store.Added
	if !r.opts.DryRun {
		var err error
		if added, err = r.opts.Store.Add(ctx, some); err != nil {
			r.stop(err)
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Read += len(some)
	if r.opts.DryRun {
		r.report.Added += len(some)
	}
	for _, a := range added {
		r.report.Superseded += len(a.Superseded)
		switch {
		case a.Known:
			r.report.Known++
		case a.Status == store.StatusHeld:
			r.report.Held++
		default:
			r.report.Added++
		}
	}
}
