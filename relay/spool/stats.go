package spool

import "time"

// Stats is the store at one moment, for metrics.
type Stats struct {
	// Messages waiting, and the parcels of them that are not done.
	Messages, Parcels int
	// Used is what messages take in bytes, Limit how much they may.
	Used, Limit int64
	// Allocated is what segments, bodies and journal take on the disk, in bytes.
	Allocated int64
	// Oldest is the earliest arrival among the messages; zero when there is none.
	Oldest time.Time
	// Quarantined counts the notes in quarantine, Damages what was found
	// damaged or lost since Open, Unfinished the torn ends Open dropped.
	Quarantined, Damages, Unfinished int
	// Foreign counts files in the directory that are not the spool's.
	Foreign int
	// Commits and Failures count group commits since Open.
	Commits, Failures int64
}

// Stats looks at all messages: some milliseconds for 100000 of them.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Messages: len(s.entries), Parcels: s.open,
		Used: s.used, Limit: s.opt.Limit,
		Allocated:   2*s.journal.size + int64(len(s.free))*s.opt.SegmentSize,
		Quarantined: s.quarantined, Damages: s.damages, Unfinished: s.unfinished,
		Foreign: s.foreign, Commits: s.commits, Failures: s.failures,
	}
	for _, seg := range s.segments {
		st.Allocated += seg.size
	}
	for _, e := range s.entries {
		st.Allocated += e.body
		if st.Oldest.IsZero() || e.arrival.Before(st.Oldest) {
			st.Oldest = e.arrival
		}
	}
	return st
}
