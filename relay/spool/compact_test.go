package spool

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// seal ends the active segment and gives it.
func seal(s *Store) *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := s.active
	s.sealActive()
	return seg
}

// TestCrashAfterTheCopy: the power fails when compaction has made a copy and
// the first one is still there. The message is there once, and when it is over
// neither copy brings it back.
func TestCrashAfterTheCopy(t *testing.T) {
	m := newMemFS()
	opt := small(t, m)
	s := mustOpen(t, opt)
	mustPut(t, s, message("one", 1))
	before := m.clone()
	if err := s.compact(seal(s)); err != nil {
		t.Fatal(err)
	}
	copied := m.clone().files[segmentName(2)]
	mustClose(t, s)
	if copied == nil {
		t.Fatal("there is no second copy")
	}
	before.files[segmentName(2)] = copied
	opt.FS = before
	for range 2 {
		s = mustOpen(t, opt)
		if err := same(s, message("one", 1)); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Messages != 1 || st.Damages != 0 {
			t.Fatalf("stats %+v", st)
		}
		mustClose(t, s)
	}
	s = mustOpen(t, opt)
	if err := s.Delete(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, opt)
	if _, err := s.Info("one"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the message is back: %v", err)
	}
	mustClose(t, s)
}

// gateFS lets writes to segments wait.
type gateFS struct {
	FS
	arrived, open chan struct{}
	shut          bool
}

func (g *gateFS) Open(name string, flag int) (File, error) {
	f, err := g.FS.Open(name, flag)
	if strings.HasPrefix(name, "segment-") {
		return gateFile{f, g}, err
	}
	return f, err
}

type gateFile struct {
	File
	g *gateFS
}

func (f gateFile) WriteAt(p []byte, off int64) (int, error) {
	if f.g.shut {
		f.g.arrived <- struct{}{}
		<-f.g.open
	}
	return f.File.WriteAt(p, off)
}

// TestDeletedDuringTheCopy: a message that ends while compaction copies it is
// over, in memory and after a restart.
func TestDeletedDuringTheCopy(t *testing.T) {
	g := &gateFS{FS: newMemFS(), arrived: make(chan struct{}), open: make(chan struct{})}
	opt := small(t, g)
	s := mustOpen(t, opt)
	mustPut(t, s, message("one", 1))
	mustPut(t, s, message("two", 1))
	seg := seal(s)
	e := s.entries["one"]
	g.shut = true
	copied := make(chan error)
	go func() { copied <- s.copyEntry(e, seg) }()
	<-g.arrived
	g.shut = false
	if err := s.Delete(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	g.open <- struct{}{}
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Info("one"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the message is back: %v", err)
		}
		if err := same(s, message("two", 1)); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		for _, seg := range s.segments {
			if seg.live < 0 || len(seg.entries) > 1 {
				t.Errorf("segment %d counts %d bytes in %d messages", seg.number, seg.live, len(seg.entries))
			}
		}
		s.mu.Unlock()
		mustClose(t, s)
		s = mustOpen(t, opt)
	}
	mustClose(t, s)
}
