package main

import (
	"crypto/x509"
	"reflect"
	"slices"
	"sync"
	"time"

	"sealpost/config"
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

// inherit takes over what was looked up before a reload, for use while the
// sources do not answer: a new TLS certificate must not make an outage of the
// directory felt. Where sources, trust or a root have changed, nothing of what
// was found under the old ones counts.
func (r *rooms) inherit(old *rooms, before, now *config.Config) {
	if r.revoker != nil && old.revoker != nil {
		r.revoker.Inherit(old.revoker) // what an authority has signed counts under any configuration
	}
	same := reflect.DeepEqual(before.Lookup.Sources, now.Lookup.Sources) && before.Lookup.Mode == now.Lookup.Mode && reflect.DeepEqual(before.Trust, now.Trust) &&
		slices.EqualFunc(old.roots, r.roots, (*x509.Certificate).Equal)
	if same && r.cache != nil && old.cache != nil {
		r.cache.Inherit(old.cache)
	}
}
