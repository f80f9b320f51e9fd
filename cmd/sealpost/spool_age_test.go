package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/relay/spool"
)

// openSpool opens the spool of an installation that does not run.
func (in *installation) openSpool(t testing.TB, dir string, now func() time.Time) *spool.Store {
	t.Helper()
	key, err := spool.LoadKey(filepath.Join(in.dir, "spool.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := spool.Open(spool.Options{Dir: dir, Identity: key, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored is a message as it lies in the spool, to be put again.
func stored(t testing.TB, s *spool.Store, info spool.Info) spool.Entry {
	t.Helper()
	e := spool.Entry{ID: info.ID, Private: info.Private}
	var err error
	if e.Meta, err = s.Meta(info.ID); err != nil {
		t.Fatal(err)
	}
	for i, state := range info.States {
		meta, err := s.Parcel(spool.Ref{ID: info.ID, Parcel: i})
		if err != nil {
			t.Fatal(err)
		}
		e.Parcels = append(e.Parcels, spool.Parcel{Meta: meta, State: state})
	}
	r, err := s.OpenBody(info.ID)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	e.Body = inMemory(body)
	return e
}

// age makes everything in the spool as old as if it had waited that much
// longer. Nothing may run.
func (in *installation) age(t testing.TB, by time.Duration) {
	t.Helper()
	dir := filepath.Join(in.dir, "spool")
	young := in.openSpool(t, dir, nil)
	old := in.openSpool(t, dir+".old", func() time.Time { return time.Now().Add(-by) })
	for info := range young.All() {
		e := stored(t, young, info)
		for i := range e.Parcels {
			e.Parcels[i].State.Next = e.Parcels[i].State.Next.Add(-by)
		}
		if err := old.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*spool.Store{young, old} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+".old", dir); err != nil {
		t.Fatal(err)
	}
}

// inMemory is a body in memory.
type inMemory []byte

func (m inMemory) Size() int64 { return int64(len(m)) }

func (m inMemory) WriteTo(w io.Writer) (int64, error) { return bytes.NewReader(m).WriteTo(w) }
