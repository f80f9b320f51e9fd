package spool

// maxFree is how many empty segments are kept to be used again.
const maxFree = 2

// slack is how many segments' worth of dead bytes are left to die by
// themselves before the emptiest segment is copied.
const slack = 4

func (s *Store) signalCleaner() {
	select {
	case s.clean <- struct{}{}:
	default:
	}
}

// cleanUp is the one goroutine that gives space back: bodies of their own,
// empty segments, and segments that a few messages keep from being empty.
func (s *Store) cleanUp() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.clean:
		}
		s.removeTrash()
		s.retireEmpty()
		for victim := s.sparse(); victim != nil; victim = s.sparse() {
			if err := s.compact(victim); err != nil {
				s.log.Warn("spool: compaction stopped", "segment", segmentName(victim.number), "error", err)
				break
			}
			s.retireEmpty()
		}
	}
}

func (s *Store) removeTrash() {
	s.mu.Lock()
	trash := s.trash
	s.trash = nil
	s.mu.Unlock()
	for _, body := range trash {
		if body.damaged {
			s.report(s.quarantineBody(body.uid))
			continue
		}
		s.discard(bodyName(body.uid))
	}
}

func (s *Store) retireEmpty() {
	for {
		s.mu.Lock()
		var empty *segment
		for _, seg := range s.segments {
			if seg.sealed && !seg.keep && seg.readers == 0 && len(seg.entries) == 0 {
				empty = seg
				break
			}
		}
		s.mu.Unlock()
		if empty == nil {
			return
		}
		if err := s.retire(empty); err != nil {
			s.log.Warn("spool: empty segment stays", "segment", segmentName(empty.number), "error", err)
		}
	}
}

// sparse gives the emptiest segment when the spool takes more than twice what
// is in it. A segment that failed is emptied in any case.
func (s *Store) sparse() *segment {
	select {
	case <-s.stop:
		return nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken, live int64
	var best *segment
	for _, seg := range s.segments {
		taken += seg.size
		live += seg.live
		if !seg.sealed || seg.keep || len(seg.entries) == 0 {
			continue
		}
		if seg.suspect {
			return seg
		}
		if best == nil || seg.live < best.live {
			best = seg
		}
	}
	if best == nil || taken <= 2*live+slack*s.opt.SegmentSize || best.live > best.size/2 {
		return nil
	}
	return best
}

// compact copies what lives in a segment to the active one.
func (s *Store) compact(seg *segment) error {
	s.mu.Lock()
	all := make([]*entry, 0, len(seg.entries))
	for _, e := range seg.entries {
		all = append(all, e)
	}
	s.mu.Unlock()
	for _, e := range all {
		if err := s.copyEntry(e, seg); err != nil {
			s.mu.Lock()
			seg.keep = true // until the next start, or it would be tried for ever
			s.mu.Unlock()
			return err
		}
	}
	return nil
}

// copyEntry moves one message. Only its index depends on the place; metas and
// body are copied as they are, so that damage in them stays what it was.
func (s *Store) copyEntry(e *entry, from *segment) error {
	select {
	case <-s.stop:
		return ErrClosed
	default:
	}
	p, err := s.pin(e.id)
	if err != nil || p.e != e || p.seg != from {
		if err == nil {
			s.release(p)
		}
		return nil // gone meanwhile
	}
	defer s.release(p)
	buf := make([]byte, p.length)
	if err := readFull(p.seg.file, buf, p.off); err != nil {
		return err
	}
	r, err := s.openHead(p, buf[:p.head])
	if err != nil {
		return s.found(p, err)
	}
	if !s.beginCopy(e) {
		return nil // gone meanwhile
	}
	defer s.endCopy()
	return s.submit(appendRequest{frame: buf, index: r.append(nil), placed: func(seg *segment, off int64) {
		if s.byUID[e.uid] != e || e.seg != from {
			s.bury(seg, e.uid)
			return
		}
		s.move(e, seg, off)
	}})
}

// beginCopy notes whose copy is on its way to the disk. If the message ends
// before the copy has its place, a snapshot taken in between must say so: the
// journal that recorded the end is void then, and no segment is known yet to
// hold the dead copy.
func (s *Store) beginCopy(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUID[e.uid] != e {
		return false
	}
	s.copying = e
	return true
}

func (s *Store) endCopy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copying = nil
}

// move notes the message's new place. The caller holds s.mu.
func (s *Store) move(e *entry, seg *segment, off int64) {
	s.leave(e)
	e.seg, e.off = seg, off
	seg.live += e.length
	seg.entries[e.uid] = e
}
