package lookup

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// FilesOptions says where certificates lie as files.
type FilesOptions struct {
	Dir      string
	Interval time.Duration // between two looks at the directory, default 5 s
	// Changed, if not nil, is told of each address whose files have changed,
	// so that a cache can forget it. It is called from one goroutine.
	Changed func(address.Address)
	Log     *slog.Logger // default: slog.Default
}

// Files is a directory of certificates: PEM, DER or certs-only PKCS #7, in
// files named .pem, .crt, .cer, .der, .p7b or .p7c; other names are passed
// over, and so are directories below it. A certificate is found under each
// address in its subject alternative name, and in a file ADDRESS.pem also
// under that address: if it is for another one, it is refused with that reason.
//
// The directory is looked at at intervals, so that any way of changing it is
// seen on any file system. What is wrong with one file never makes another
// fail: it is logged, told by Problems, and
//
//   - as long as a file cannot be read, what it held before stays in use;
//   - an address whose own file cannot be read is Unavailable, not None;
//   - while the directory itself cannot be read, or is empty although it was
//     not before (a file system that is not mounted), everything is Unavailable.
type Files struct {
	opts  FilesOptions
	index atomic.Pointer[index]

	mu     sync.Mutex // held while the directory is read
	stop   chan struct{}
	closed sync.Once
	done   chan struct{}
}

// A Problem is what is wrong with one file.
type Problem struct {
	Path string
	Err  error
}

// NewFiles reads the directory and begins to watch it, until Close. The error
// says that it cannot be read; problems with single files are not errors.
func NewFiles(opts FilesOptions) (*Files, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Interval = orDefault(opts.Interval, 5*time.Second)
	f := &Files{opts: opts, stop: make(chan struct{}), done: make(chan struct{})}
	f.index.Store(&index{})
	if err := f.Reload(); err != nil {
		return nil, err
	}
	go f.watch()
	return f, nil
}

// watch looks at the directory at intervals. A look at a very large one may
// take long: it never takes more than a fiftieth of the time.
func (f *Files) watch() {
	defer close(f.done)
	wait := f.opts.Interval
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(wait):
		}
		start := time.Now()
		_ = f.Reload() // logged, and every Lookup says so
		wait = max(f.opts.Interval, 50*time.Since(start))
	}
}

// Close ends the watching. Lookups go on with what was read last.
func (f *Files) Close() {
	f.closed.Do(func() { close(f.stop) })
	<-f.done
}

// Reload looks at the directory now, as is done at intervals anyway. The error
// is that the directory cannot be read.
func (f *Files) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.index.Load()
	now := old.reread(f.opts.Dir)
	f.index.Store(now)
	f.report(old, now)
	if f.opts.Changed != nil {
		for _, addr := range now.changedSince(old) {
			f.opts.Changed(addr)
		}
	}
	return now.err
}

// report logs what has become wrong since the last look.
func (f *Files) report(old, now *index) {
	if now.err != nil && (old.err == nil || old.err.Error() != now.err.Error()) {
		f.opts.Log.Error("certificate directory cannot be used", "dir", f.opts.Dir, "error", now.err)
	}
	for name, file := range now.files {
		was := old.files[name]
		if file.err != nil && (was == nil || was.err == nil || was.err.Error() != file.err.Error()) {
			f.opts.Log.Warn("certificate file has a problem", "file", filepath.Join(f.opts.Dir, name), "error", file.err)
		}
	}
}

// Problems tells what is wrong with the files, in the order of their names.
func (f *Files) Problems() []Problem {
	idx := f.index.Load()
	var problems []Problem
	for _, name := range idx.names() {
		if err := idx.files[name].err; err != nil {
			problems = append(problems, Problem{filepath.Join(f.opts.Dir, name), err})
		}
	}
	return problems
}

// Lookup finds the certificates for an address; it never waits.
func (f *Files) Lookup(_ context.Context, addr address.Address) Answer {
	idx := f.index.Load()
	if idx.err != nil {
		return failed(reason.LookupUnavailable, idx.err)
	}
	a := none()
	for _, file := range idx.byMailbox[foldedMailbox(addr)] {
		for _, cert := range file.certs {
			if file.namedFor(addr) || cert.IsCA || names(cert, addr) != notAtAll {
				a.Outcome, a.Reason = Found, reason.None
				a.Candidates = append(a.Candidates, Candidate{Cert: cert, Where: filepath.Join(f.opts.Dir, file.name)})
			}
		}
		if file.unread {
			a.Err = fmt.Errorf("%s: %w", file.name, file.err)
		}
	}
	if a.Outcome == None && a.Err != nil {
		return failed(reason.CertificateUnreadable, a.Err)
	}
	return a
}

// foldedMailbox is the key of the index: which case is the right one, Trusted
// decides.
func foldedMailbox(addr address.Address) mailbox {
	return mailbox{strings.ToLower(addr.Local()), addr.ASCIIDomain()}
}
