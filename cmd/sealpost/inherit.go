package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"

	"sealpost/config"
	"sealpost/lookup"
)

// openCacheFile opens the file that outlives the rooms, if there is one.
func (s *server) openCacheFile() (err error) {
	c := &s.config.Lookup.Cache
	if c.File == "" || len(s.config.Lookup.Sources) == 0 {
		return nil
	}
	s.cacheFile, err = lookup.OpenCacheFile(lookup.CacheFileOptions{Path: string(c.File), Entries: c.FileEntries, Log: s.log})
	return err
}

// verdictSettings is everything in a configuration that a verdict on a
// certificate depends on: the sources and how they are asked, whom to trust, and
// what is in the files of roots. Under other settings nothing counts that was
// found before. How long a source may take, and with which token it is asked,
// changes no verdict.
func verdictSettings(cfg *config.Config, roots []*x509.Certificate) ([]byte, error) {
	all := struct {
		Mode    string
		Sources []config.Source
		Trust   config.Trust
		Files   [][]byte
	}{cfg.Lookup.Mode, slices.Clone(cfg.Lookup.Sources), cfg.Trust, nil}
	for _, root := range roots {
		all.Files = append(all.Files, root.Raw)
	}
	for i := range all.Sources {
		s := &all.Sources[i]
		s.Timeout = 0
		for _, path := range s.TLSRoots {
			data, err := os.ReadFile(string(path))
			if err != nil {
				return nil, fmt.Errorf("lookup source %s: tls_roots: %w", s.Name, err)
			}
			all.Files = append(all.Files, data)
		}
	}
	return json.Marshal(all)
}

// inherit takes over what was looked up before a reload: a new TLS certificate
// must not make an outage of the directory felt. With the same settings the very
// cache goes on, and asks the new sources from now on. With other times or sizes
// its answers count as past their time, for use while the sources do not answer.
// Where sources, trust or a root have changed, nothing of what was found under
// the old ones counts.
func (r *rooms) inherit(old *rooms, before, now *config.Lookup) {
	if r.revoker != nil && old.revoker != nil {
		r.revoker.Inherit(old.revoker) // what an authority has signed counts under any configuration
	}
	mine, theirs := r.cache.Load(), old.cache.Load()
	if theirs == nil {
		return
	}
	same := bytes.Equal(old.verdicts, r.verdicts)
	if mine != nil && same && reflect.DeepEqual(before, now) {
		theirs.Exchange(r.source, r.isWithdrawn)
		old.handedOn = true
		r.cache.Store(theirs)
		r.settings.Decider.Directory = r.standIns(theirs)
		mine.Close()
		return
	}
	if mine != nil && same {
		mine.Inherit(theirs)
	}
	theirs.LeaveFile()
}
