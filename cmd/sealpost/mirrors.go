package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/lookup/keydb"
	"sealpost/lookup/mirror"
)

// mirrors are the open mirrors of a server. Their files outlive a reload: new
// rooms use the mirror that the old ones have open.
type mirrors struct {
	changed func(addresses []string)

	mu   sync.Mutex
	open map[string]*sharedMirror // by file
}

func newMirrors(changed func([]string)) *mirrors {
	return &mirrors{changed: changed, open: map[string]*sharedMirror{}}
}

// A sharedMirror is one that several rooms use.
type sharedMirror struct {
	*mirror.Mirror
	file string
	log  *slog.Logger
	uses int // guarded by mirrors.mu

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	feed mirror.Feed // of the newest rooms; nil: not followed yet
}

// take opens a mirror, or gives the one that is open.
func (m *mirrors) take(file string, log *slog.Logger) (*sharedMirror, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.open[file]; s != nil {
		s.uses++
		return s, nil
	}
	opened, err := mirror.Open(mirror.Options{File: file, Changed: m.changed, Log: log})
	if err != nil {
		return nil, err
	}
	s := &sharedMirror{Mirror: opened, file: file, log: log, uses: 1}
	s.ctx, s.stop = context.WithCancel(context.Background())
	m.open[file] = s
	return s, nil
}

// release closes a mirror that nobody uses any more.
func (m *mirrors) release(s *sharedMirror) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.uses--; s.uses > 0 {
		return
	}
	delete(m.open, s.file)
	s.stop()
	s.done.Wait()
	if err := s.Mirror.Close(); err != nil {
		s.log.Error("mirror not closed well", "file", s.file, "error", err)
	}
}

// follow keeps the mirror up to date from this feed, from its next page on.
func (s *sharedMirror) follow(feed mirror.Feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.feed == nil
	s.feed = feed
	if first {
		s.done.Go(func() {
			if err := s.Follow(s.ctx, s); s.ctx.Err() == nil {
				s.log.Error("the mirror is not kept up to date any more", "file", s.file, "error", err)
			}
		})
	}
}

// Changes asks the feed of the newest rooms.
func (s *sharedMirror) Changes(ctx context.Context, cursor string, limit int, wait time.Duration) (keydb.Page, error) {
	s.mu.Lock()
	feed := s.feed
	s.mu.Unlock()
	return feed.Changes(ctx, cursor, limit, wait)
}

var (
	descMirrorEntries  = desc("mirror_entries", "Addresses in the mirror of a directory.", "source")
	descMirrorSequence = desc("mirror_sequence", "Number of the last change of the directory that the mirror has.", "source")
	descMirrorComplete = desc("mirror_complete", "1 when the mirror is complete and without damage, 0 while it is not.", "source")
	descMirrorContact  = desc("mirror_last_contact_timestamp_seconds", "When the mirror last heard of its directory; 0: never.", "source")

	mirrorDescs = []*prometheus.Desc{descMirrorEntries, descMirrorSequence, descMirrorComplete, descMirrorContact}
)

func (r *rooms) collectMirrors(ch chan<- prometheus.Metric) {
	for _, m := range r.mirrored {
		s := m.shared.State()
		complete, contact := 0.0, 0.0
		if s.Complete && !s.Damaged {
			complete = 1
		}
		if !s.LastContact.IsZero() {
			contact = float64(s.LastContact.Unix())
		}
		for d, n := range map[*prometheus.Desc]float64{
			descMirrorEntries: float64(s.Entries), descMirrorSequence: float64(s.Sequence), descMirrorComplete: complete, descMirrorContact: contact,
		} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, m.name)
		}
	}
}
