package lookup_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/lookup"
)

// held is what the cache holds of anna.
func (r *rig) held(there bool) lookup.Remembered {
	r.Helper()
	got, ok := r.cache.Peek(parse(r, anna))
	if ok != there {
		r.Errorf("held: %v, want %v", ok, there)
	}
	return got
}

// Looking at what is remembered shows its times, and neither asks anybody nor
// counts as use.
func TestPeek(t *testing.T) {
	r := newRig(t, lookup.CacheOptions{})
	r.held(false)
	start := r.now()
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	if got := r.held(true); !got.Fresh || !got.Answer.At.Equal(start) || !got.Until.Equal(start.Add(time.Hour)) || !got.StaleUntil.Equal(start.Add(25*time.Hour)) || got.File || got.Failed != nil {
		t.Errorf("fresh: %+v", got)
	}
	r.advance(2 * time.Hour)
	r.says(saysDown)
	if got := r.held(true); got.Fresh || got.Failed != nil {
		t.Errorf("stale: %+v", got)
	}
	r.want(lookup.Found, true, 2)
	if got := r.held(true); !errors.Is(got.Failed, errDown) || !got.Retry.After(r.now()) {
		t.Errorf("resting: %+v", got)
	}
	if s := r.cache.Stats(); s.Hits != 0 || r.asked.Load() != 2 {
		t.Errorf("%+v, asked %d times", s, r.asked.Load())
	}
}

func TestPeekIntoTheFile(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	r.want(lookup.Found, false, 1)
	r.restart()
	for range 2 {
		if got := r.held(true); !got.File || !got.Fresh {
			t.Errorf("%+v", got)
		}
	}
	if n := r.file.Stats().Hits; n != 0 {
		t.Errorf("%d hits", n)
	}
	r.want(lookup.Found, false, 1)
	if got := r.held(true); got.File {
		t.Errorf("%+v", got)
	}
}

// Nothing is left of anybody, in memory or in the file, now or after a restart;
// and nothing comes back with a lookup that was under way.
func TestFlushAll(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	all := people(t, 30)
	for i, addr := range all {
		if r.cache.Lookup(context.Background(), addr); i == 15 {
			if err := r.file.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	answer := *r.answer.Load()
	r.cache.Exchange(sourceFunc(func(context.Context, address.Address) lookup.Answer { close(began); <-goOn; return answer }), nil)
	landed := make(chan lookup.Answer)
	go func() { landed <- r.cache.Lookup(context.Background(), parse(t, anna)) }()
	<-began
	if err := r.cache.FlushAll(); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	if a := <-landed; a.Outcome != lookup.Found {
		t.Errorf("the one under way: %v", a.Outcome)
	}
	r.file.Crash()
	if n := r.cache.Stats().Entries; n != 0 {
		t.Errorf("%d in memory", n)
	}
	r.open(lookup.CacheFileOptions{})
	for _, addr := range append(slices.Clone(all), parse(t, anna)) {
		if _, ok := r.cache.Peek(addr); ok {
			t.Errorf("%v is known", addr)
		}
	}
	if n := r.file.Stats().Entries; n != 0 {
		t.Errorf("%d in the file", n)
	}
	r.cache.Lookup(context.Background(), all[0])
	r.restart()
	if _, ok := r.cache.Peek(all[0]); !ok {
		t.Error("the file takes nothing any more")
	}
}

// One address of a file that no server has open.
func TestCacheFileForget(t *testing.T) {
	r := newFileRig(t, lookup.CacheOptions{})
	r.says(usable(valid(t, -time.Hour, 1000*time.Hour)))
	all := people(t, 2)
	for _, addr := range all {
		r.cache.Lookup(context.Background(), addr)
	}
	r.restart()
	r.file.Forget(all[0])
	r.restart()
	for i, addr := range all {
		if _, ok := r.cache.Peek(addr); ok != (i == 1) {
			t.Errorf("%v is known: %v", addr, ok)
		}
	}
}
