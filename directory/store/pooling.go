package store

import (
	"context"
	"runtime"
)

// pooling joins lookups that come at the same time into one query: for a short
// query, most of the price is the way to the server and back. Nobody waits for
// others to come. While every lane is on its way, what comes in the meantime
// goes together with the next one.
type pooling struct {
	store *Store
	asked chan inquiry
}

// An inquiry is one lookup that waits.
type inquiry struct {
	key    string
	answer chan<- inquiryAnswer // of room for one
}

type inquiryAnswer struct {
	found []Certificate
	err   error
}

// pooledAtMost is how many addresses go into one query.
const pooledAtMost = 100

// startPooling begins as many lanes as can be of use.
func startPooling(s *Store) *pooling {
	p := &pooling{store: s, asked: make(chan inquiry, pooledAtMost)}
	for range max(2, runtime.GOMAXPROCS(0)) {
		s.tasks.Go(p.lane)
	}
	return p
}

// lookup is Store.Lookup for one address.
func (p *pooling) lookup(ctx context.Context, key string) ([]Certificate, error) {
	answer := make(chan inquiryAnswer, 1)
	select {
	case p.asked <- inquiry{key, answer}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.store.done.Done():
		return nil, ErrClosed
	}
	select {
	case a := <-answer:
		return a.found, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.store.done.Done():
		return nil, ErrClosed
	}
}

func (p *pooling) lane() {
	var together []inquiry
	var keys []string
	for {
		together, keys = together[:0], keys[:0]
		select {
		case q := <-p.asked:
			together = append(together, q)
		case <-p.store.done.Done():
			return
		}
		for more := true; more && len(together) < pooledAtMost; {
			select {
			case q := <-p.asked:
				together = append(together, q)
			default:
				more = false
			}
		}
		for _, q := range together {
			keys = append(keys, q.key)
		}
		found, err := p.store.active(p.store.done, keys)
		for i, q := range together {
			a := inquiryAnswer{err: err}
			if err == nil {
				a.found = found[i]
			}
			q.answer <- a
		}
		clear(together)
	}
}
