package smimea_test

import (
	"context"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"sealpost/internal/testkit"
	"sealpost/lookup/smimea"
)

// A month's end in small: many questions at once share a few connections, of
// which one that the server has closed meanwhile is replaced.
func TestStreamsAreShared(t *testing.T) {
	var mu sync.Mutex
	hangUp := false
	f := startFake(t, func(q *dns.Msg, _ bool) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if hangUp {
			hangUp = false
			return nil
		}
		return pack(secure(q, record))
	})
	c, err := smimea.New(smimea.Options{
		Resolvers: []smimea.Resolver{{Address: f.addr, Transport: smimea.TCP}}, Timeout: testkit.Patience, Connections: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func() {
		if a, err := c.Ask(context.Background(), owner); err != nil || len(a.Records) != 1 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	for range 10 {
		ask()
	}
	if n := f.opened.Load(); n != 1 {
		t.Errorf("ten questions in turn took %d connections", n)
	}
	mu.Lock()
	hangUp = true
	mu.Unlock()
	ask()
	if n := f.opened.Load(); n != 2 {
		t.Errorf("after a hang-up there were %d connections", n)
	}
	var all sync.WaitGroup
	for range 200 {
		all.Go(ask)
	}
	all.Wait()
	if opened, most := f.opened.Load(), f.mostAtOnce.Load(); opened > 6 || most > 4 {
		t.Errorf("%d connections, %d questions at once", opened, most)
	}
}

// Whoever leaves does not wait, is not waited for, and leaves nothing behind;
// nor does a client that is closed.
func TestLeaving(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	silent := make(chan struct{}, 10)
	f := startFake(t, func(q *dns.Msg, tcp bool) [][]byte {
		silent <- struct{}{}
		return [][]byte{}
	})
	defer f.close()
	for _, transport := range []smimea.Transport{smimea.UDP, smimea.TCP} {
		c, err := smimea.New(smimea.Options{Resolvers: []smimea.Resolver{{Address: f.addr, Transport: transport}}, Timeout: testkit.Patience})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { _, err := c.Ask(ctx, owner); done <- err }()
		<-silent
		cancel()
		if err := <-done; err == nil {
			t.Error("an answer out of nothing")
		}
		c.Close()
	}
}
