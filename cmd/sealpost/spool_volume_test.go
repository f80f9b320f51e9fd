package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/relay/spool"
)

const manyMessages = 20000

// A spool in which a month's end waits: the server starts in seconds and in
// bounded memory, takes new mail at once, and everything leaves, once, when
// upstream is back.
func TestManyWait(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.personWith(t, "anna@example.org", testkit.Leaf{Key: "p256"})
	up := startRogue(t)
	in.spooled(t, up.addr, "log: {level: error, format: text}\n")
	in.write(t, "log", "effective") // what start waits for is not written at this level
	in.start(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	in.fill(t, up, 1, message)
	in.stop(t)
	in.multiply(t, manyMessages)

	in.launch(t)
	if n := in.queued(t); n != manyMessages+1 {
		t.Fatalf("%d messages wait", n)
	}
	// Of the processor, not of the clock: other tests run beside this one.
	took, resident := in.metric(t, "process_cpu_seconds_total"), in.rss(t)
	t.Logf("%d messages wait: started with %.1f s of work, %d MiB resident", manyMessages, took, resident>>20)
	if took > 10 || resident > 256<<20 {
		t.Errorf("started with %.1f s of work and %d MiB", took, resident>>20)
	}
	if got := in.mail(t, "new@bank.example", message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	up.open(t)
	began := time.Now()
	in.waitEmpty(t)
	t.Logf("drained in %v, %d MiB resident", time.Since(began).Round(time.Millisecond), in.rss(t)>>20)
	got := map[string]int{}
	anna := in.reader(t, "anna@example.org")
	for i, a := range up.arrivals() {
		got[a.from+a.to]++
		if i%100 == 0 { // all have the same body
			if entity, err := anna.unseal(a.raw); err != nil || string(entity) != entityOf(message) {
				t.Errorf("%s: %v, %q", a.to, err, entity)
			}
		}
	}
	if len(got) != manyMessages+2 || len(up.arrivals()) != manyMessages+2 {
		t.Errorf("%d messages arrived, %d different ones", len(up.arrivals()), len(got))
	}
	in.stop(t)
	in.nowhere(t, canary)
}

// multiply puts so many messages beside the one that waits, each to somebody
// else. Nothing may run.
func (in *installation) multiply(t *testing.T, n int) {
	t.Helper()
	s := in.openSpool(t, filepath.Join(in.dir, "spool"), nil)
	var one spool.Entry
	for info := range s.All() {
		one = stored(t, s, info)
	}
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	const writers = 64
	for w := range writers {
		all.Go(func() {
			for i := w; i < n; i += writers {
				err := s.Put(t.Context(), another(one, i))
				mu.Lock()
				if failed == nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// another is a message like this one, to somebody else.
func another(e spool.Entry, n int) spool.Entry {
	e.ID = fmt.Sprintf("%s.%d", e.ID, n+2)
	p := e.Parcels[0]
	var meta map[string]json.RawMessage
	if err := json.Unmarshal(p.Meta, &meta); err != nil {
		return spool.Entry{} // Put refuses it
	}
	meta["to"] = json.RawMessage(fmt.Sprintf(`"n%d@example.org"`, n))
	p.Meta, _ = json.Marshal(meta) // what was decoded can be encoded
	e.Parcels = []spool.Parcel{p}
	return e
}
