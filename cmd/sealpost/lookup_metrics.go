package main

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"sealpost/internal/reason"
	"sealpost/lookup"
)

// lookups shows the counters of the rooms that are in use now. A reload begins
// them again, as a restart does.
type lookups struct{ server *server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sealpost_"+name, help, labels, nil)
}

var (
	descLookups  = desc("lookups_total", "Lookups at a source.", "source")
	descFailures = desc("lookup_failures_total", "Lookups that ended without an answer.", "source")
	descStale    = desc("lookup_stale_answers_total", "Answers used past their time because the source did not answer.", "source")
	descSkipped  = desc("lookup_skipped_total", "Lookups that ended without an answer because the source is away and was not asked.", "source")
	descSeconds  = desc("lookup_seconds_total", "Time spent waiting for the source.", "source")
	descUp       = desc("lookup_source_up", "1 when the source is asked, 0 while it counts as away.", "source")
	descSuccess  = desc("lookup_source_last_success_timestamp_seconds", "When the source answered last; 0: not since the start.", "source")
	descHits     = desc("lookup_cache_hits_total", "Lookups answered from memory.")
	descMisses   = desc("lookup_cache_misses_total", "Lookups that had to wait for a source.")
	descEntries  = desc("lookup_cache_entries", "Addresses remembered.")
	descAhead    = desc("lookup_cache_refreshes_total", "Answers that were asked for again before their time was over, because they are in use.")

	descFileHits    = desc("lookup_cache_file_hits_total", "Answers that were found in the cache file.")
	descFileDropped = desc("lookup_cache_file_dropped_total", "Answers that are not in the cache file because the disk did not keep up.")
	descFileEntries = desc("lookup_cache_file_entries", "Addresses in the cache file.")

	descRefused = desc("certificates_refused_total", "Certificates found and not used, by reason.", "reason")
	descChanges = desc("key_changes_total", "Keys that took another's place by themselves (accepted) or were put on hold (held), and what operators have said (confirmed, refused, forgotten).", "result")
	descHeld    = desc("keys_held", "Addresses for which a new key waits until somebody accepts it.")
	descMemory  = desc("spill_memory_bytes", "Memory that messages under way hold.")
	descFiles   = desc("spill_files", "Temporary files of messages under way.")
)

// Describe names the metrics.
func (l lookups) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLookups, descFailures, descSkipped, descSeconds, descUp, descSuccess, descStale, descHits, descMisses, descEntries, descAhead, descFileHits, descFileDropped, descFileEntries, descRefused, descChanges, descHeld, descMemory, descFiles} {
		ch <- d
	}
	for _, d := range slices.Concat(queueDescs, revocationDescs, mirrorDescs) {
		ch <- d
	}
}

// Collect reads the counters.
func (l lookups) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	level := func(d *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	spilled := l.server.spill.Stats()
	level(descMemory, spilled.Memory)
	level(descFiles, spilled.Files)
	l.server.waiting.collect(ch)
	r := l.server.rooms.Load()
	if r == nil || r.chain == nil {
		return
	}
	stale := map[string]uint64{}
	if cache := r.cache.Load(); cache != nil {
		s := cache.Stats()
		counter(descHits, s.Hits)
		counter(descMisses, s.Misses)
		counter(descAhead, s.Ahead)
		level(descEntries, int64(s.Entries))
		stale = s.StaleBySource
	}
	if r.cacheFile != nil {
		s := r.cacheFile.Stats()
		counter(descFileHits, s.Hits)
		counter(descFileDropped, s.Dropped)
		level(descFileEntries, s.Entries)
	}
	collectSources(ch, r.chain, stale)
	l.server.collectKeys(ch, r)
	r.collectRevocation(ch)
	r.collectMirrors(ch)
	refused := map[reason.Token]uint64{}
	for _, t := range r.trusted {
		for token, n := range t.Refused() {
			refused[token] += n
		}
	}
	for token, n := range refused {
		counter(descRefused, n, string(token))
	}
}

func collectSources(ch chan<- prometheus.Metric, chain *lookup.Chain, stale map[string]uint64) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, n float64, source string) {
		ch <- prometheus.MustNewConstMetric(d, kind, n, source)
	}
	for _, s := range chain.Stats() {
		send(descLookups, prometheus.CounterValue, float64(s.Lookups), s.Source)
		send(descFailures, prometheus.CounterValue, float64(s.Failures), s.Source)
		send(descSkipped, prometheus.CounterValue, float64(s.Skipped), s.Source)
		send(descSeconds, prometheus.CounterValue, s.Time.Seconds(), s.Source)
		send(descStale, prometheus.CounterValue, float64(stale[s.Source]), s.Source)
	}
	for _, h := range chain.Health() {
		up, last := 0.0, 0.0
		if h.State == lookup.Closed {
			up = 1
		}
		if !h.LastSuccess.IsZero() {
			last = float64(h.LastSuccess.UnixMilli()) / 1000
		}
		send(descUp, prometheus.GaugeValue, up, h.Source)
		send(descSuccess, prometheus.GaugeValue, last, h.Source)
	}
}

// collectKeys shows zeros where no keys are remembered.
func (s *server) collectKeys(ch chan<- prometheus.Metric, r *rooms) {
	var rings lookup.KeyringStats
	if r.keyring != nil {
		rings = r.keyring.Stats()
	}
	for result, n := range map[string]uint64{
		"accepted": rings.Accepted, "held": rings.Held,
		"confirmed": s.keyWords.confirmed.Load(), "refused": s.keyWords.refused.Load(), "forgotten": s.keyWords.forgotten.Load(),
	} {
		ch <- prometheus.MustNewConstMetric(descChanges, prometheus.CounterValue, float64(n), result)
	}
	if held, err := s.heldKeys(); err == nil {
		ch <- prometheus.MustNewConstMetric(descHeld, prometheus.GaugeValue, float64(held))
	}
}

// heldKeys counts the addresses for which a key waits.
func (s *server) heldKeys() (int, error) {
	if s.known == nil {
		return 0, nil
	}
	return s.known.Held()
}
