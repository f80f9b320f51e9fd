package spool

import (
	"context"
	"testing"
)

// A message that ends while its copy is on the way to the disk stays ended,
// although a snapshot voids the change that said so.
func TestEndedWhileCopied(t *testing.T) {
	s := mustOpen(t, small(t, newMemFS()))
	defer mustClose(t, s)
	mustPut(t, s, message("a", 0))
	s.mu.Lock()
	e := s.entries["a"]
	s.mu.Unlock()
	if !s.beginCopy(e) {
		t.Fatal("the message is not there")
	}
	if err := s.Delete(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	frames := s.snapshot()
	s.mu.Unlock()
	r := newReplay()
	for _, payload := range frames {
		if !r.frame(payload) {
			t.Fatal("the snapshot cannot be read")
		}
	}
	if r.apply(newEntryLike(e)) {
		t.Error("after the snapshot the copy would count")
	}
	s.endCopy()
	if s.beginCopy(e) {
		t.Error("a message that has ended is copied")
	}
}

// newEntryLike is the message as a scan would find it in the copy.
func newEntryLike(e *entry) *entry {
	parcels := make([]State, len(e.parcels))
	return &entry{uid: e.uid, id: e.id, parcels: parcels, open: len(parcels)}
}
