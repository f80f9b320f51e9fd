package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/address"
	"sealpost/relay/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a spool in memory, an engine on it, an upstream that can be
// steered, and a clock that only runs while everybody waits.
type world struct {
	t        testing.TB
	disk     *memFS
	key      *spool.Key
	opt      Options
	store    *spool.Store
	engine   *Engine
	upstream *fakeUpstream
	keys     *fakeDirectory
	log      *bytes.Buffer
	logMu    sync.Mutex
	skew     atomic.Int64 // of the wall clock, in nanoseconds

	mu       sync.Mutex
	attempts []Attempt
}

// inWorld runs a test in a bubble where time is fake.
func inWorld(t *testing.T, opt Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, opt)
		w.start()
		f(w)
		w.stop()
	})
}

func newWorld(t testing.TB, opt Options) *world {
	key, err := spool.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, disk: newMemFS(), key: key, opt: opt, upstream: newFakeUpstream(), keys: &fakeDirectory{}, log: &bytes.Buffer{}}
	w.upstream.t = t
	w.opt.Hostname = "relay.bank.example"
	w.opt.Now = func() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }
	w.opt.Log = slog.New(slog.NewTextHandler(w, nil))
	if w.opt.Observe == nil {
		w.opt.Observe = func(a Attempt) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.attempts = append(w.attempts, a)
		}
	}
	return w
}

// Write takes log lines.
func (w *world) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (w *world) open() {
	w.t.Helper()
	s, err := spool.Open(spool.Options{
		Dir: filepath.Join(w.t.TempDir(), "spool"), Identity: w.key, SegmentSize: 128 << 10, Reserve: 1,
		FS: w.disk, Now: w.opt.Now, Log: w.opt.Log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = s
}

func (w *world) start() {
	w.t.Helper()
	w.open()
	w.opt.Store = w.store
	e, err := New(w.opt)
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = e
	w.upstream.store = w.store
	e.Start(w.upstream, w.keys)
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.engine.Stop(ctx)
	if err := w.store.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// crash goes on with the disk as it is given; what the old process still does
// happens to nobody.
func (w *world) crash(disk *memFS) {
	w.t.Helper()
	w.upstream.unplug()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.engine.Stop(ctx)
	_ = w.store.Close() // its disk may be broken
	w.disk = disk
	w.upstream.plugIn()
	w.start()
}

// sleep lets time pass, and everything that happens in it.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) put(entries ...Entry) {
	w.t.Helper()
	if err := w.engine.Put(context.Background(), entries...); err != nil {
		w.t.Fatalf("Put: %v", err)
	}
}

// results are the results of the attempts for a recipient, in order.
func (w *world) results(to string) []Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Result
	for _, a := range w.attempts {
		if a.Item.Copy.To.String() == to {
			all = append(all, a.Result)
		}
	}
	return all
}

// waiting is what is in the spool.
func (w *world) waiting() int { return w.store.Stats().Messages }

func (w *world) empty() {
	w.t.Helper()
	synctest.Wait()
	if n := w.waiting(); n != 0 {
		for row := range w.engine.List(context.Background(), Filter{}) {
			w.t.Logf("still there: %+v", row)
		}
		w.t.Fatalf("%d messages are still in the spool", n)
	}
	if n := len(w.engine.messages); n != 0 {
		w.t.Fatalf("%d messages are still in memory", n)
	}
}

func mustAddress(s string) address.Address {
	if s == "" {
		return address.Address{}
	}
	a, err := address.Parse(s)
	if err != nil {
		panic(err)
	}
	return a
}

const sender = "statements@bank.example"

// bodyOf is the body that belongs to an id, so that anybody can tell whether
// it came whole.
func bodyOf(id string) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%s is the body.\r\n", id), 20)
}

// mail makes a sealed message for recipients.
func mail(id string, to ...string) Entry {
	e := Entry{
		Message: Message{
			ID: id, Kind: Sealed, From: mustAddress(sender), Size: 300, MessageID: "<" + id + "@bank.example>",
			Header: []byte("From: statements@bank.example\r\nSubject: Statement " + id + "\r\n"),
		},
		Body: text(bodyOf(id)),
	}
	for _, r := range to {
		e.Copies = append(e.Copies, Copy{To: mustAddress(r), Rule: "statements", Head: []byte("head for " + r), Cipher: "aes-256-cbc"})
	}
	return e
}

func readAll(it Item) ([]byte, error) {
	r, err := it.OpenBody()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
