package spool

import (
	"fmt"
	"os"
)

// A segment is one preallocated file of messages. All fields but file and
// number are guarded by Store.mu; end and synced are written by the
// committer only.
type segment struct {
	number  uint64
	file    File
	size    int64
	end     int64 // where the next frame goes
	synced  int64 // all before is durable
	sealed  bool  // nothing is appended any more
	suspect bool  // a write or fsync failed: the file is not used again
	keep    bool  // holds damage that could not be copied to quarantine
	live    int64 // bytes of live frames
	readers int
	entries map[uid]*entry
	dead    []uid // messages whose frame is here and no longer counts
}

func newSegment(number uint64, file File, size int64) *segment {
	return &segment{number: number, file: file, size: size, entries: make(map[uid]*entry)}
}

// writable gives a segment with room for need bytes; the active one, or a new
// one in its place. Only the committer calls it.
func (s *Store) writable(need int64) (*segment, error) {
	if s.active != nil && s.active.end+need <= s.active.size {
		return s.active, nil
	}
	s.mu.Lock()
	s.sealActive()
	s.mu.Unlock()
	seg, err := s.nextSegment()
	if err != nil {
		return nil, asFull(err)
	}
	s.mu.Lock()
	s.segments[seg.number] = seg
	s.active = seg
	s.mu.Unlock()
	return seg, nil
}

// sealActive ends the active segment. The caller holds s.mu.
func (s *Store) sealActive() {
	if s.active == nil {
		return
	}
	s.active.sealed = true
	s.active.end = s.active.synced
	s.active = nil
	s.signalCleaner()
}

// nextSegment takes a free file, or makes one. Its name is durable before
// anything in it can be acknowledged.
func (s *Store) nextSegment() (*segment, error) {
	s.mu.Lock()
	s.lastSegment++
	number := s.lastSegment
	var free uint64
	if n := len(s.free); n > 0 {
		free, s.free = s.free[n-1], s.free[:n-1]
	}
	s.mu.Unlock()
	name := segmentName(number)
	if free > 0 {
		if err := s.fs.Rename(freeName(free), name); err != nil {
			return nil, err
		}
		return s.openSegment(number, os.O_RDWR)
	}
	if err := s.roomFor(s.opt.SegmentSize); err != nil {
		return nil, err
	}
	return s.openSegment(number, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// openSegment opens the file for writing and makes its name durable. After a
// failure the file is removed: nothing was written to it.
func (s *Store) openSegment(number uint64, flag int) (*segment, error) {
	name := segmentName(number)
	f, err := s.fs.Open(name, flag)
	if err != nil {
		return nil, err
	}
	if err = f.Allocate(s.opt.SegmentSize); err == nil {
		err = s.fs.SyncDir(".")
	}
	if err != nil {
		f.Close()
		if rm := s.fs.Remove(name); rm != nil {
			s.log.Warn("spool: empty segment stays behind", "file", name, "error", rm)
		}
		return nil, err
	}
	return newSegment(number, f, s.opt.SegmentSize), nil
}

// roomFor checks that n more bytes leave the reserve on the file system.
func (s *Store) roomFor(n int64) error {
	free, err := s.fs.Free()
	if err != nil {
		return err
	}
	if free-n < s.opt.Reserve {
		return fmt.Errorf("%w: %d bytes free on the disk, %d are kept in reserve", ErrFull, free, s.opt.Reserve)
	}
	return nil
}

// retire gives an empty segment's file up for use under a new number. From
// the moment its new name is durable its dead records need no tombstones.
func (s *Store) retire(seg *segment) error {
	name := segmentName(seg.number)
	s.mu.Lock()
	reuse := !seg.suspect && seg.size == s.opt.SegmentSize && len(s.free) < maxFree
	s.mu.Unlock()
	var err error
	if reuse {
		err = s.fs.Rename(name, freeName(seg.number))
	} else {
		err = s.fs.Remove(name)
	}
	if err == nil {
		err = s.fs.SyncDir(".")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		seg.keep = true // the next Open sees what became of it
		return err
	}
	delete(s.segments, seg.number)
	s.stateSize -= int64(len(seg.dead) * len(uid{}))
	if reuse {
		s.free = append(s.free, seg.number)
	}
	return seg.file.Close()
}
