package spool

import "sync"

// A group collects requests while the one before is being made durable, so
// that the next fsync serves them all.
type group[T any] struct {
	mu     sync.Mutex
	wake   chan struct{}
	items  []T
	closed bool
}

func newGroup[T any]() *group[T] {
	return &group[T]{wake: make(chan struct{}, 1)}
}

// add hands a request over. After close it gives ErrClosed.
func (g *group[T]) add(item T) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.items = append(g.items, item)
	g.signal()
	return nil
}

// take waits for requests and gives all there are, in order; nil when the
// group is closed and empty.
func (g *group[T]) take() []T {
	for {
		g.mu.Lock()
		items, closed := g.items, g.closed
		g.items = nil
		g.mu.Unlock()
		if len(items) > 0 || closed {
			return items
		}
		<-g.wake
	}
}

// close lets no more in; what was added before is still taken.
func (g *group[T]) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.signal()
}

func (g *group[T]) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
