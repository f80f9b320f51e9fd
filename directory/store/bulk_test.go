package store_test

import (
	"slices"
	"testing"

	"sealpost/directory/store"
)

func TestBulk(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s, m := w.open(t), newMould(t, w.ca)
		bulk, err := s.Bulk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list := m.list(t, 300)
		twice := m
		twice.name = func(int) string { return mouldName(7) }
		list = append(list, store.New{Cert: twice.cert(t, 1000), Origin: store.OriginImport}, list[3])
		var added []store.Added
		for batch := range slices.Chunk(list, 100) {
			a, err := bulk.Add(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			added = append(added, a...)
		}
		if added[3].Known || !added[301].Known || added[301].Status != store.StatusActive {
			t.Errorf("%+v, %+v", added[3], added[301])
		}
		if err := bulk.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		stats, err := s.Stats(t.Context())
		if err != nil || stats.Certificates[store.StatusActive] != 301 || stats.Addresses != 300 || stats.Bytes == 0 {
			t.Errorf("%+v, %v", stats, err)
		}
		f := newFollower()
		f.follow(t, s, 10000)
		if len(f.has) != 300 || len(f.has[mouldName(7)]) != 2 {
			t.Errorf("%d addresses in the feed, %d certificates of the one that has two", len(f.has), len(f.has[mouldName(7)]))
		}
		compare(t, s, f)
		// All is there that Add relies on, and the next one goes on from here.
		if a := add(t, s, store.New{Cert: twice.cert(t, 1000)}, store.New{Cert: w.cert(t, anna)}); !a[0].Known || a[1].Known {
			t.Errorf("%+v", a)
		}
		f.follow(t, s, 10)
		compare(t, s, f)
	})
}

// What needs to see what came before ends the way without indexes.
func TestBulkWithSupersede(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		s := w.open(t)
		bulk, err := s.Bulk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first, second := w.cert(t, anna), w.cert(t, anna)
		for _, n := range []store.New{{Cert: first, Origin: store.OriginImport}, {Cert: second, Origin: store.OriginImport, Supersede: true}} {
			if _, err := bulk.Add(t.Context(), []store.New{n}); err != nil {
				t.Fatal(err)
			}
		}
		if err := bulk.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantActive(t, s, anna, second)
	})
}

// An import that is given up leaves an empty directory, in which all works.
func TestBulkGivenUp(t *testing.T) {
	w := newWorld(t, kinds[0])
	s := w.open(t)
	bulk, err := s.Bulk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bulk.Add(t.Context(), []store.New{{Cert: w.cert(t, anna), Origin: store.OriginImport}}); err != nil {
		t.Fatal(err)
	}
	if !bulk.Pending() {
		t.Error("it is in the directory already")
	}
	if err := bulk.Close(); err != nil {
		t.Fatal(err)
	}
	wantActive(t, s, anna)
	c := w.cert(t, anna)
	add(t, s, store.New{Cert: c})
	wantActive(t, s, anna, c)
	if a := add(t, s, store.New{Cert: c}); !a[0].Known {
		t.Error("the index is gone")
	}
	// Into a directory that has something, Bulk is Add; one that another process
	// has open is filled too.
	if bulk, err = s.Bulk(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, err := bulk.Add(t.Context(), []store.New{{Cert: c, Origin: store.OriginImport}}); err != nil || !a[0].Known || bulk.Pending() {
		t.Errorf("%+v, %v", a, err)
	}
}

// While another process has the file open, the write-ahead log stays.
func TestBulkBesideAnother(t *testing.T) {
	w := newWorld(t, kinds[0])
	s, other := w.open(t), w.open(t)
	wantActive(t, other, anna)
	bulk, err := s.Bulk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := w.cert(t, anna)
	if _, err := bulk.Add(t.Context(), []store.New{{Cert: c, Origin: store.OriginImport}}); err != nil {
		t.Fatal(err)
	}
	wantActive(t, other, anna) // as before, and not kept waiting
	if err := bulk.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*store.Store{s, other} {
		wantActive(t, s, anna, c)
	}
}
