package spool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// modelled is a message in the model: what was put, and its states now.
type modelled struct {
	entry  Entry
	states []State
}

// TestModel compares the store with a map, over random calls and restarts.
func TestModel(t *testing.T) {
	key, dir, runs := mustKey(t), t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		opt := Options{
			Dir: "", Identity: key, SegmentSize: 16 << 10, Limit: 1 << 20, Reserve: 1, FS: newMemFS(), Now: clock,
		}
		runs++
		opt.Dir = filepath.Join(dir, fmt.Sprint(runs))
		s, err := Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine{s: s, opt: opt, want: map[string]*modelled{}}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"put":     m.put,
			"attempt": m.attempt,
			"update":  m.update,
			"done":    m.done,
			"delete":  m.delete,
			"reopen":  m.reopen,
		})
		if err := m.s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

type machine struct {
	s    *Store
	opt  Options
	want map[string]*modelled
	next int
}

func (m *machine) ref(t *rapid.T) Ref {
	return Ref{fmt.Sprint(rapid.IntRange(0, 7).Draw(t, "id")), rapid.IntRange(0, 2).Draw(t, "parcel")}
}

// known gives the model of a ref, nil when a call must give ErrNotFound.
func (m *machine) known(t *rapid.T, ref Ref, err error) *modelled {
	w := m.want[ref.ID]
	if w == nil || ref.Parcel >= len(w.states) {
		if !errors.Is(err, ErrNotFound) {
			t.Fatalf("%v: %v, want ErrNotFound", ref, err)
		}
		return nil
	}
	if err != nil {
		t.Fatalf("%v: %v", ref, err)
	}
	return w
}

func (m *machine) put(t *rapid.T) {
	id := fmt.Sprint(rapid.IntRange(0, 7).Draw(t, "id"))
	m.next++
	e := message(id, m.next)
	err := m.s.Put(context.Background(), e)
	if m.want[id] != nil {
		if !errors.Is(err, ErrExists) {
			t.Fatalf("%s again: %v", id, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &modelled{entry: e}
	for _, p := range e.Parcels {
		w.states = append(w.states, p.State)
	}
	m.want[id] = w
}

func (m *machine) attempt(t *rapid.T) {
	ref := m.ref(t)
	if w := m.known(t, ref, m.s.RecordAttempt(context.Background(), clock(), ref)); w != nil {
		w.states[ref.Parcel].Attempts++
		w.states[ref.Parcel].Last = clock()
	}
}

func (m *machine) update(t *rapid.T) {
	ref := m.ref(t)
	st := State{Status: rapid.Byte().Draw(t, "status"), Next: clock(), Note: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "note")}
	if w := m.known(t, ref, m.s.Update(context.Background(), ref, st)); w != nil {
		p := &w.states[ref.Parcel]
		p.Status, p.Next, p.Note = st.Status, st.Next, st.Note
	}
}

func (m *machine) done(t *rapid.T) {
	ref := m.ref(t)
	w := m.known(t, ref, m.s.Done(context.Background(), ref))
	if w == nil {
		return
	}
	w.states[ref.Parcel].Done = true
	for _, st := range w.states {
		if !st.Done {
			return
		}
	}
	delete(m.want, ref.ID)
}

func (m *machine) delete(t *rapid.T) {
	ref := m.ref(t)
	ref.Parcel = 0
	if m.known(t, ref, m.s.Delete(context.Background(), ref.ID)) != nil {
		delete(m.want, ref.ID)
	}
}

func (m *machine) reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(m.opt)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

func (m *machine) check(t *rapid.T) {
	if st := m.s.Stats(); st.Messages != len(m.want) || st.Damages != 0 || st.Unfinished != 0 {
		t.Fatalf("stats %+v, %d messages expected", st, len(m.want))
	}
	for id, w := range m.want {
		if err := same(m.s, w.entry); err != nil {
			t.Fatal(err)
		}
		info, err := m.s.Info(id)
		if err != nil || !reflect.DeepEqual(info.States, w.states) {
			t.Fatalf("%s: %v\n got %+v\nwant %+v", id, err, info.States, w.states)
		}
	}
}
