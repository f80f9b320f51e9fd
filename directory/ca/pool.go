package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"runtime"
	"sync"
)

// A KeyKind is a kind of key that is made for people.
type KeyKind string

// The kinds.
const (
	RSA2048 KeyKind = "rsa-2048" // every mail program can use it; takes 50 ms to make
	P256    KeyKind = "p-256"    // takes 15 µs to make
)

// ErrPoolClosed says that no more keys are made.
var ErrPoolClosed = errors.New("ca: the pool of keys is closed")

// PoolOptions say which keys are kept ready.
type PoolOptions struct {
	Kind    KeyKind // default: RSA2048
	Size    int     // how many; default 100. P-256 keys are made when they are asked for.
	Workers int     // how many are made at a time, default 1
}

// A Pool has private keys ready, so that nobody waits for prime numbers. They are
// made in the background on threads that let every other go first, where the
// system knows such; and on the spot when a burst has emptied the pool.
//
// The keys that are ready lie in memory only.
type Pool struct {
	opts  PoolOptions
	ready chan crypto.Signer
	spot  chan struct{} // bounds what is made on the spot
	done  chan struct{}
	tasks sync.WaitGroup
	once  sync.Once
}

// NewPool starts to make keys.
func NewPool(opts PoolOptions) (*Pool, error) {
	if opts.Kind == "" {
		opts.Kind = RSA2048
	}
	if opts.Kind != RSA2048 && opts.Kind != P256 {
		return nil, fmt.Errorf("ca: %q is no kind of key: rsa-2048 or p-256", opts.Kind)
	}
	if opts.Size <= 0 {
		opts.Size = 100
	}
	if opts.Workers <= 0 {
		opts.Workers = 1
	}
	p := &Pool{opts: opts, ready: make(chan crypto.Signer, opts.Size), spot: make(chan struct{}, runtime.GOMAXPROCS(0)), done: make(chan struct{})}
	if opts.Kind == RSA2048 {
		for range opts.Workers {
			p.tasks.Go(p.work)
		}
	}
	return p, nil
}

// work fills the pool.
func (p *Pool) work() {
	runtime.LockOSThread() // not unlocked: the thread ends with this, and its priority with it
	stepBack()
	for {
		select {
		case <-p.done:
			return
		default:
		}
		key, err := newKey(p.opts.Kind)
		if err != nil {
			return // the system has no random numbers: Take meets the same
		}
		select {
		case p.ready <- key:
		case <-p.done:
			return
		}
	}
}

// Take gives a key that nobody else gets. It ends with ctx, or with ErrPoolClosed.
func (p *Pool) Take(ctx context.Context) (crypto.Signer, error) {
	select {
	case <-p.done:
		return nil, ErrPoolClosed
	default:
	}
	select {
	case key := <-p.ready:
		return key, nil
	default:
	}
	select {
	case key := <-p.ready:
		return key, nil
	case p.spot <- struct{}{}:
		defer func() { <-p.spot }()
		return newKey(p.opts.Kind)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, ErrPoolClosed
	}
}

// Ready is how many keys there are.
func (p *Pool) Ready() int { return len(p.ready) }

// Close ends the making of keys; it may take as long as one key.
func (p *Pool) Close() {
	p.once.Do(func() { close(p.done) })
	p.tasks.Wait()
}

func newKey(kind KeyKind) (crypto.Signer, error) {
	if kind == P256 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}
