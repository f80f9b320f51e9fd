package spool

// appendRequest is a frame on its way into a segment. The committer fills in
// header and sealed index, for which frame has the room at its start.
type appendRequest struct {
	frame  []byte
	index  []byte
	placed func(seg *segment, off int64) // called under Store.mu when durable
	done   chan error
}

// submit hands a frame to the committer and waits until it is durable.
func (s *Store) submit(q appendRequest) error {
	q.done = make(chan error, 1)
	if err := s.appends.add(q); err != nil {
		return err
	}
	return <-q.done
}

// commitAppends is the one goroutine that writes to segments. While an fsync
// runs the next requests gather: they share the next one.
func (s *Store) commitAppends() {
	for batch := s.appends.take(); batch != nil; batch = s.appends.take() {
		for len(batch) > 0 {
			n := s.commitRun(batch)
			batch = batch[n:]
		}
	}
}

// commitRun makes the first requests of the batch durable, as many as go into
// one segment, and answers them. It gives their number.
func (s *Store) commitRun(batch []appendRequest) int {
	seg, err := s.writable(int64(len(batch[0].frame)))
	if err != nil {
		return answer(batch, err)
	}
	start := seg.end
	run, err := s.writeRun(seg, batch)
	if err == nil {
		err = seg.file.Sync()
	}
	if err != nil {
		s.abandon(seg, err)
		return answer(run, asFull(err))
	}
	s.mu.Lock()
	seg.synced = seg.end
	s.commits++
	for _, q := range run {
		q.placed(seg, start)
		start += int64(len(q.frame))
	}
	s.mu.Unlock()
	return answer(run, nil)
}

// writeRun writes what fits. With an error it gives the requests that the
// failure takes along.
func (s *Store) writeRun(seg *segment, batch []appendRequest) ([]appendRequest, error) {
	end := seg.end
	for i, q := range batch {
		length := int64(len(q.frame))
		if end+length > seg.size {
			batch = batch[:i]
			break
		}
		f := frame{number: seg.number, offset: end, synced: seg.synced, length: length, sealed: len(q.index) + sealOverhead}
		f.put(q.frame)
		s.keys.segment.seal(q.frame[:frameHeader], q.index, q.frame[:frameHeader])
		if _, err := seg.file.WriteAt(q.frame, end); err != nil {
			return batch, err
		}
		end += length
	}
	s.mu.Lock()
	seg.end = end
	s.mu.Unlock()
	return batch, nil
}

// abandon gives a segment up for writing after a failed write or fsync: what
// the kernel made of the pages is unknown, and a later fsync that succeeds
// would prove nothing. What was written and not acknowledged may be on the
// disk all the same, so the journal notes where the segment ends, before
// anybody hears of the failure.
func (s *Store) abandon(seg *segment, cause error) {
	s.mu.Lock()
	seg.suspect = true
	s.sealActive()
	end := ending{seg.end, seg.synced}
	s.failures++
	s.mu.Unlock()
	s.log.Error("spool: segment is given up for writing", "segment", segmentName(seg.number), "end", end.end, "error", cause)
	if err := s.change(endChange(seg.number, end), func() {}); err != nil {
		s.log.Error("spool: the end of the segment could not be recorded; messages refused now may be sent after a crash",
			"segment", segmentName(seg.number), "error", err)
	}
}

func answer(run []appendRequest, err error) int {
	for _, q := range run {
		q.done <- err
	}
	return len(run)
}
