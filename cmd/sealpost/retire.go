package main

import (
	"sync"
	"time"
)

// retireAfter is how long rooms outlive the reload that replaced them, for the
// transactions that began in them.
const retireAfter = 30 * time.Minute

// retirees are the rooms that reloads have replaced and that are still open.
type retirees struct {
	mu   sync.Mutex
	open map[*rooms]*time.Timer
}

// add closes the rooms when their time has come.
func (r *retirees) add(old *rooms) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[*rooms]*time.Timer{}
	}
	r.open[old] = time.AfterFunc(retireAfter, func() {
		r.mu.Lock()
		_, mine := r.open[old]
		delete(r.open, old)
		r.mu.Unlock()
		if mine {
			old.close()
		}
	})
}

// close closes all of them now.
func (r *retirees) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for old, timer := range r.open {
		timer.Stop()
		old.close()
		delete(r.open, old)
	}
}
