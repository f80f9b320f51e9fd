package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sealpost/directory/ca"
	"sealpost/internal/testkit"
)

func TestPool(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p, err := ca.NewPool(ca.PoolOptions{Size: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	testkit.Poll(t, "three keys", func() bool { return p.Ready() == 3 })
	// A burst gets more than there is, and nobody gets another one's key.
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			k, err := p.Take(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			n := k.(*rsa.PrivateKey).N
			mu.Lock()
			defer mu.Unlock()
			if seen[n.String()] || n.BitLen() != 2048 {
				t.Error("a key twice")
			}
			seen[n.String()] = true
		})
	}
	all.Wait()
	p.Close()
	p.Close()
	if _, err := p.Take(context.Background()); !errors.Is(err, ca.ErrPoolClosed) {
		t.Error(err)
	}
}

func TestPoolOfP256(t *testing.T) {
	p, err := ca.NewPool(ca.PoolOptions{Kind: ca.P256})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if k, err := p.Take(t.Context()); err != nil {
		t.Error(err)
	} else if _, ok := k.(*ecdsa.PrivateKey); !ok {
		t.Errorf("%T", k)
	}
	if _, err := ca.NewPool(ca.PoolOptions{Kind: "dsa"}); err == nil {
		t.Error("a pool of dsa keys")
	}
}
