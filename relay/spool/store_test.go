package spool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

func TestPutAndReadBack(t *testing.T) {
	for name, fs := range map[string]FS{"disk": nil, "memory": newMemFS()} {
		t.Run(name, func(t *testing.T) {
			opt := small(t, fs)
			s := mustOpen(t, opt)
			var all []Entry
			for n := range 60 {
				e := message(fmt.Sprintf("id%d", n), n)
				mustPut(t, s, e)
				all = append(all, e)
			}
			for range 2 {
				for _, e := range all {
					if err := same(s, e); err != nil {
						t.Fatal(err)
					}
				}
				mustClose(t, s)
				s = mustOpen(t, opt)
			}
			mustClose(t, s)
		})
	}
}

func TestStatesSurvive(t *testing.T) {
	ctx := context.Background()
	opt := small(t, newMemFS())
	s := mustOpen(t, opt)
	e := message("one", 2)
	mustPut(t, s, e)
	next := clock().Add(time.Hour)
	update := State{Status: 7, Next: next, Note: []byte("450 later")}
	for _, err := range []error{
		s.RecordAttempt(ctx, clock(), Ref{"one", 0}, Ref{"one", 1}),
		s.RecordAttempt(ctx, clock().Add(time.Minute), Ref{"one", 1}),
		s.Update(ctx, Ref{"one", 1}, update),
		s.Done(ctx, Ref{"one", 2}),
		s.Done(ctx, Ref{"one", 2}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	first := e.Parcels[0].State
	want := []State{
		{Status: 1, Attempts: 1, Last: clock(), Next: first.Next, Note: first.Note},
		{Status: 7, Attempts: 2, Last: clock().Add(time.Minute), Next: next, Note: update.Note},
		{Status: 1, Next: first.Next, Note: first.Note, Done: true},
	}
	for i := range 3 {
		info, err := s.Info("one")
		if err != nil || !reflect.DeepEqual(info.States, want) {
			t.Fatalf("round %d: %v\n got %+v\nwant %+v", i, err, info.States, want)
		}
		mustClose(t, s)
		s = mustOpen(t, opt)
	}
	if err := s.Done(ctx, Ref{"one", 0}, Ref{"one", 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("one"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the last Done: %v", err)
	}
	if st := s.Stats(); st.Messages != 0 || st.Parcels != 0 || st.Used != 0 {
		t.Errorf("an empty store has %+v", st)
	}
	mustClose(t, s)
}

// TestClockJumps: times are kept as they are given, whatever the clock does.
func TestClockJumps(t *testing.T) {
	opt := small(t, newMemFS())
	times := []time.Time{clock(), clock().AddDate(-60, 0, 0), clock().AddDate(200, 0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), clock()}
	now := 0
	opt.Now = func() time.Time { return times[now] }
	s := mustOpen(t, opt)
	for now = range times {
		e := message(fmt.Sprint(now), 1)
		e.Parcels[0].State.Next = times[now].Add(time.Hour)
		mustPut(t, s, e)
	}
	for now = range times {
		mustClose(t, s)
		s = mustOpen(t, opt)
	}
	for i, want := range times {
		info, err := s.Info(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			want = moment(math.MaxInt64).Add(-time.Hour)
			if info.Arrival.Before(want) || info.States[0].Next.Before(want) {
				t.Errorf("the year 9999 became %v", info)
			}
			continue
		}
		if !info.Arrival.Equal(want) || !info.States[0].Next.Equal(want.Add(time.Hour)) {
			t.Errorf("%v became %+v", want, info)
		}
	}
	if got := s.Stats().Oldest; !got.Equal(times[1]) {
		t.Errorf("oldest arrival %v", got)
	}
	mustClose(t, s)
}

func TestRefusals(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, small(t, newMemFS()))
	mustPut(t, s, message("here", 1))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	huge := message("huge", 1)
	huge.Meta = make([]byte, 1<<20)
	wordy := message("wordy", 1)
	wordy.Parcels[0].State.Note = make([]byte, MaxNote+1)
	for what, c := range map[string]struct{ got, want error }{
		"same id":         {s.Put(ctx, message("here", 1)), ErrExists},
		"cancelled":       {s.Put(cancelled, message("new", 1)), context.Canceled},
		"huge meta":       {s.Put(ctx, huge), ErrTooLarge},
		"huge note":       {s.Put(ctx, wordy), ErrTooLarge},
		"unknown done":    {s.Done(ctx, Ref{"gone", 0}), ErrNotFound},
		"unknown parcel":  {s.Done(ctx, Ref{"here", 9}), ErrNotFound},
		"negative parcel": {s.Done(ctx, Ref{"here", -1}), ErrNotFound},
		"unknown delete":  {s.Delete(ctx, "here", "gone"), ErrNotFound},
		"unknown note":    {s.Update(ctx, Ref{"gone", 0}, State{}), ErrNotFound},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	for what, e := range map[string]Entry{
		"no id": {Parcels: make([]Parcel, 1), Body: text("x")}, "no parcels": {ID: "a", Body: text("x")}, "no body": {ID: "a", Parcels: make([]Parcel, 1)},
		"short body": {ID: "a", Parcels: make([]Parcel, 1), Body: liar{text("1234"), 5}}, "long body": {ID: "b", Parcels: make([]Parcel, 1), Body: liar{text("1234"), 3}},
		"long file": {ID: "c", Parcels: make([]Parcel, 1), Body: liar{bodyOf("c", largeBody), largeBody - 1}},
	} {
		if s.Put(ctx, e) == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	mustClose(t, s)
	if err := s.Put(ctx, message("late", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Done(ctx, Ref{"here", 0}); !errors.Is(err, ErrClosed) {
		t.Errorf("Done after Close: %v", err)
	}
}

// liar is a body of another size than it says.
type liar struct {
	text
	size int64
}

func (l liar) Size() int64 { return l.size }
