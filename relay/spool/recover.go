package spool

import (
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"sync"
)

// load brings the index up from the files, and the files in order.
func (s *Store) load() error {
	l, err := listDir(s.fs)
	if err != nil {
		return err
	}
	if s.foreign = len(l.foreign); s.foreign > 0 {
		s.log.Warn("spool: files that are not the spool's are left alone", "files", l.foreign)
	}
	known, err := s.checkFormat(l)
	if err != nil {
		return err
	}
	if s.keys, err = s.opt.Identity.derive(); err != nil {
		return err
	}
	if !known {
		if err := s.provesKey(l); err != nil {
			return err
		}
		if err := s.writeFormat(); err != nil {
			return err
		}
	}
	if err := s.openQuarantine(); err != nil {
		return err
	}
	state, err := s.loadJournals(l)
	if err != nil {
		return err
	}
	if err := s.loadSegments(l, state); err != nil {
		return err
	}
	s.checkLost(state)
	if err := s.firstSnapshot(); err != nil {
		return err
	}
	s.sweep(l)
	return nil
}

// loadJournals replays what there is in ascending order: a snapshot voids all
// before it, so only the last one and what follows it counts.
func (s *Store) loadJournals(l listing) (*replay, error) {
	state := newReplay()
	slices.Sort(l.journals)
	for i, n := range l.journals {
		f, err := s.fs.Open(journalName(n), os.O_RDWR)
		if err != nil {
			return nil, err
		}
		if err := s.loadJournal(f, n, i == len(l.journals)-1, state); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if len(l.journals) == 0 && len(l.segments) > 0 {
		s.reportDamage("the journal is missing: what was delivered already may be sent again")
	}
	if l.spare {
		f, err := s.fs.Open(spareName, os.O_RDWR)
		if err != nil {
			return nil, err
		}
		s.journal.spare = f
	}
	return state, nil
}

func (s *Store) loadJournal(f File, n uint64, last bool, state *replay) error {
	sc, err := newScanner(f, n, s.keys.journal, maxEnd)
	if err != nil {
		return err
	}
	understood := true
	sc.run(func(_ frame, payload []byte) { understood = state.frame(payload) && understood })
	s.oldJournals = append([]uint64{n}, s.oldJournals...)
	if !last {
		return f.Close()
	}
	s.journal.file, s.journal.number, s.journal.size = f, n, sc.size
	if !state.complete {
		sc.synced = sc.size // a journal gets its name when its snapshot is durable
	}
	s.judge(journalName(n), sc)
	if !understood {
		s.reportDamage("a change in the journal cannot be understood", "file", journalName(n))
	}
	return nil
}

// maxEnd stands for "to the end of the file".
const maxEnd = 1 << 62

// judge sorts the gaps of a file: what lies before its durable end was
// acknowledged once and is damage; behind it a crash cut off what nobody was
// promised. It reports whether all damage is safe in quarantine.
func (s *Store) judge(name string, sc *scanner) bool {
	safe := !sc.unreadable
	for _, g := range sc.gaps {
		switch {
		case g.from < sc.synced:
			to := g.to
			if g.tail {
				to = max(min(g.to, sc.synced), g.from+frameAlign)
			}
			if err := s.quarantine(sc.file, damage{File: name, Offset: g.from, Length: min(to, sc.size) - g.from, Why: "no valid frame"}); err != nil {
				safe = false
			}
		case g.started || !g.tail:
			s.unfinished++
			s.log.Info("spool: unfinished record, never acknowledged", "file", name, "offset", g.from)
		}
	}
	return safe
}

// loadSegments reads all segments, several at a time: on a disk with any
// latency the reading of 100000 heads is waiting, not work.
func (s *Store) loadSegments(l listing, state *replay) error {
	slices.Sort(l.segments)
	results := make([]*segmentScan, len(l.segments))
	errs := make([]error, len(l.segments))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, n := range l.segments {
		slots <- struct{}{}
		wg.Go(func() {
			results[i], errs[i] = s.scanSegment(n, state.ends)
			<-slots
		})
	}
	wg.Wait()
	for _, r := range results {
		if r != nil {
			s.segments[r.seg.number] = r.seg
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, r := range results {
		s.takeIn(r, state, l)
	}
	s.free = l.free
	for _, n := range slices.Concat(l.segments, l.free) {
		s.lastSegment = max(s.lastSegment, n)
	}
	return nil
}

// takeIn makes the messages of a segment known.
func (s *Store) takeIn(r *segmentScan, state *replay, l listing) {
	name := segmentName(r.seg.number)
	if !s.judge(name, r.scanner) {
		r.seg.keep = true
	}
	if r.short {
		s.reportDamage("a segment is cut off", "file", name, "size", r.seg.size)
	}
	dead := state.dead[r.seg.number]
	for u := range dead {
		s.bury(r.seg, u)
	}
	for _, e := range r.entries {
		if dead[e.uid] {
			continue
		}
		if e.off < r.scanner.synced || s.whole(e) {
			s.revive(e, state, l)
			continue
		}
		// The journal may know the message all the same: then this is a copy
		// that compaction had begun, or damage.
		if m := state.messages[e.uid]; s.byUID[e.uid] == nil && m != nil && !m.over() {
			s.revive(e, state, l)
			continue
		}
		s.unfinished++
		s.bury(e.seg, e.uid)
		s.log.Info("spool: unfinished message, never acknowledged", "file", name, "offset", e.off)
	}
}

// revive makes one message known, in the state the journal gives.
func (s *Store) revive(e *entry, state *replay, l listing) {
	if !state.apply(e) {
		s.bury(e.seg, e.uid)
		return
	}
	if twin := s.byUID[e.uid]; twin != nil {
		// Compaction was cut off between the copy and the notice of it.
		s.supersede(twin, e)
		return
	}
	if s.entries[e.id] != nil {
		s.report(s.quarantine(e.seg.file, damage{File: segmentName(e.seg.number), Offset: e.off, Length: e.length, ID: e.id, Why: "a second message of this id"}))
		s.bury(e.seg, e.uid)
		return
	}
	s.insert(e)
	if e.body > 0 && !l.bodies[e.uid] {
		e.damaged = true
		s.reportDamage("the body of a message is missing", "id", e.id, "file", bodyName(e.uid))
	}
}

// supersede keeps the newer of two copies of a message.
func (s *Store) supersede(known, other *entry) {
	if !newer(other, known) {
		s.bury(other.seg, other.uid)
		return
	}
	s.move(known, other.seg, other.off)
}

// checkLost reports messages that the journal knows and no segment has.
func (s *Store) checkLost(state *replay) {
	kept := s.keptSegment()
	for u, m := range state.messages {
		switch {
		case m.found:
		case !m.over():
			s.reportDamage("the record of a message is lost", "id", m.id, "uid", hex.EncodeToString(u[:]))
		case kept != nil:
			// Its record may be in what could not be read this time.
			s.bury(kept, u)
		}
	}
}

func (s *Store) keptSegment() *segment {
	for _, seg := range s.segments {
		if seg.keep {
			return seg
		}
	}
	return nil
}

// firstSnapshot replaces what was replayed. The torn end of a journal is
// never written behind.
func (s *Store) firstSnapshot() error {
	size := max(s.journal.size, s.opt.journal, 2*s.stateSize+2*int64(s.maxBatch()))
	return s.rewriteJournal(aligned(size))
}

// sweep removes what a crash left: half-written files, and bodies of no
// message. After damage a body may belong to a record that is lost, and goes
// to quarantine.
func (s *Store) sweep(l listing) {
	for _, name := range l.unfinished {
		s.discard(name)
	}
	for u := range l.bodies {
		if s.byUID[u] != nil || s.keptSegment() != nil {
			continue // in use, or its record may be in what could not be read
		}
		if s.damages == 0 {
			s.discard(bodyName(u))
			continue
		}
		s.report(s.quarantineBody(u))
	}
}
