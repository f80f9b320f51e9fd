package mirror

import "sync"

// A signal wakes everybody who waits for a change. Its zero value is ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait gives a channel that is closed by the next call of notify.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
