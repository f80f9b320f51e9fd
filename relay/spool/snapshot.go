package spool

import "bytes"

// snapshot encodes all durable state as the payloads of frames. The caller
// holds s.mu.
func (s *Store) snapshot() [][]byte {
	var frames [][]byte
	current := []byte{opBegin}
	add := func(change []byte) {
		if len(current)+len(change) > s.maxBatch() {
			frames = append(frames, current)
			current = nil
		}
		current = append(current, change...)
	}
	for _, seg := range s.segments {
		for _, dead := range appendDead(seg, s.maxBatch()/2) {
			add(dead)
		}
		if seg.sealed {
			add(endChange(seg.number, ending{seg.end, seg.synced}))
		}
	}
	var scratch bytes.Buffer
	for _, e := range s.byUID {
		scratch.Reset()
		add(appendState(scratch.AvailableBuffer(), e))
	}
	if e := s.copying; e != nil && s.byUID[e.uid] != e {
		add(removeChange(e.uid))
	}
	add([]byte{opSnapshot})
	return append(frames, current)
}

// writeSnapshot fills a file with the snapshot and makes it durable. The file
// counts only when it gets its name.
func (s *Store) writeSnapshot(f File, number uint64) (int64, error) {
	s.mu.Lock()
	frames := s.snapshot()
	s.mu.Unlock()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	end := int64(0)
	for _, payload := range frames {
		if end+journalFrame(payload) > size {
			return 0, ErrFull
		}
		// Nothing of the snapshot is in doubt once the file has its name:
		// damage anywhere in it is damage, not a torn end.
		n, err := s.writeFrame(f, number, end, end, payload)
		if err != nil {
			return 0, err
		}
		end += n
	}
	return end, f.Sync()
}
