package queue

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// desk is what an operator has, online and offline.
type desk interface {
	List(ctx context.Context, f Filter) iter.Seq2[Row, error]
	Show(ctx context.Context, id string) (Detail, error)
	Retry(ctx context.Context, f Filter) (Changed, error)
	Hold(ctx context.Context, f Filter) (Changed, error)
	Release(ctx context.Context, f Filter) (Changed, error)
	Delete(ctx context.Context, f Filter) (Changed, error)
}

// atDesk runs a test online and offline, with a spool of messages that wait.
func atDesk(t *testing.T, f func(w *world, d desk)) {
	t.Helper()
	fill := func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org", "ben@other.example"))
		w.sleep(time.Hour)
		w.put(mail("B1", "carl@example.org"), held("B1.2", "dora@example.org"))
		e := mail("C1", "Anna@Example.ORG")
		e.Message.From = mustAddress("")
		e.Copies[0].Said = reply.Errorf(450, reply.Enhanced{4, 2, 0}, reason.UpstreamDeferred, "not now")
		w.put(e)
		w.sleep(10 * time.Second)
	}
	t.Run("online", func(t *testing.T) {
		inWorld(t, Options{}, func(w *world) {
			fill(w)
			f(w, w.engine)
		})
	})
	t.Run("offline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.start()
			fill(w)
			w.stop()
			w.open()
			f(w, NewOffline(w.store, w.opt.Now))
			if err := w.store.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

func listed(t *testing.T, d desk, f Filter) string {
	t.Helper()
	var all []string
	for row, err := range d.List(context.Background(), f) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range row.Recipients {
			all = append(all, row.QueueID+" "+strings.Split(r.Address, "@")[0])
		}
	}
	return strings.Join(all, ",")
}

func TestFilters(t *testing.T) {
	atDesk(t, func(w *world, d desk) {
		const everything = "A1 anna,A1 ben,B1 carl,B1.2 dora,C1 Anna"
		for _, c := range []struct {
			f    Filter
			want string
		}{
			{Filter{}, everything},
			{Filter{IDs: []string{"B1"}}, "B1 carl,B1.2 dora"},
			{Filter{IDs: []string{"B1.2", "C1", "nothing"}}, "B1.2 dora,C1 Anna"},
			{Filter{Recipient: "anna@*"}, "A1 anna,C1 Anna"},
			{Filter{Recipient: "BEN@OTHER.example"}, "A1 ben"},
			{Filter{Domain: "Example.org"}, "A1 anna,B1 carl,B1.2 dora,C1 Anna"},
			{Filter{Domain: "other.example", Recipient: "anna@*"}, ""},
			{Filter{Domain: "not a domain"}, ""},
			{Filter{Sender: "<>"}, "C1 Anna"},
			{Filter{Sender: "*@bank.example"}, "A1 anna,A1 ben,B1 carl,B1.2 dora"},
			{Filter{OlderThan: time.Minute}, "A1 anna,A1 ben"},
			{Filter{YoungerThan: time.Minute}, "B1 carl,B1.2 dora,C1 Anna"},
			{Filter{States: []State{NoKey}}, "B1.2 dora"},
			{Filter{States: []State{NoKey, Deferred}}, everything},
			{Filter{States: []State{Hold}}, ""},
		} {
			if got := listed(t, d, c.f); got != c.want {
				t.Errorf("%+v: %s, want %s", c.f, got, c.want)
			}
		}
	})
}

func TestHoldAndRelease(t *testing.T) {
	atDesk(t, func(w *world, d desk) {
		ctx := context.Background()
		for _, c := range []struct {
			do   func(context.Context, Filter) (Changed, error)
			f    Filter
			want Changed
			held string
		}{
			{d.Hold, Filter{Domain: "example.org"}, Changed{4, 4}, "A1 anna,B1 carl,B1.2 dora,C1 Anna"},
			{d.Hold, Filter{}, Changed{1, 1}, "A1 anna,A1 ben,B1 carl,B1.2 dora,C1 Anna"},
			{d.Retry, Filter{}, Changed{}, "A1 anna,A1 ben,B1 carl,B1.2 dora,C1 Anna"},
			{d.Release, Filter{IDs: []string{"B1"}}, Changed{2, 2}, "A1 anna,A1 ben,C1 Anna"},
			{d.Release, Filter{IDs: []string{"B1"}}, Changed{}, "A1 anna,A1 ben,C1 Anna"},
			{d.Delete, Filter{Recipient: "ben@*"}, Changed{1, 1}, "A1 anna,C1 Anna"},
		} {
			got, err := c.do(ctx, c.f)
			if err != nil || got != c.want {
				t.Errorf("%+v: %+v, want %+v: %v", c.f, got, c.want, err)
			}
			if got := listed(t, d, Filter{States: []State{Hold}}); got != c.held {
				t.Errorf("after %+v on hold: %s, want %s", c.f, got, c.held)
			}
		}
		if got := listed(t, d, Filter{States: []State{NoKey}}); got != "B1.2 dora" {
			t.Errorf("no key: %s", got)
		}
		if n, err := d.Delete(ctx, Filter{IDs: []string{"B1", "C1"}}); err != nil || n != (Changed{3, 3}) {
			t.Errorf("Delete: %+v, %v", n, err)
		}
		if got := listed(t, d, Filter{}); got != "A1 anna" {
			t.Errorf("left: %s", got)
		}
	})
}

// What is on hold is not tried, over restarts, and does not expire.
func TestOnHoldForLong(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org"))
		w.put(mail("A2", "450@example.org"))
		w.sleep(time.Minute)
		if _, err := w.engine.Hold(w.t.Context(), Filter{}); err != nil {
			t.Fatal(err)
		}
		w.upstream.setAway(false)
		for range 3 {
			w.sleep(20 * 24 * time.Hour)
			w.restart()
		}
		if s := w.engine.Stats(); s.Queues[Hold].Messages != 2 || s.Counts.Attempts != 0 || len(w.upstream.reports()) != 0 {
			t.Fatalf("%+v", s)
		}
		if _, err := w.engine.Release(w.t.Context(), Filter{}); err != nil {
			t.Fatal(err)
		}
		w.sleep(10 * time.Minute)
		w.empty()
		if w.upstream.count("A1", "anna@example.org") != 1 || len(w.upstream.reports()) != 1 {
			t.Errorf("taken %v", w.upstream.taken)
		}
	})
}

// An order that meets a delivery under way counts for what comes after it.
func TestOrdersDuringDelivery(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		failing := func(Item) error { return errSaid(450) }
		w.upstream.set(func() { w.upstream.took, w.upstream.behave = time.Minute, failing })
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Second)
		if got := listed(t, w.engine, Filter{States: []State{Active}}); got != "A1 anna" {
			t.Fatalf("active: %s", got)
		}
		if n, err := w.engine.Hold(w.t.Context(), Filter{}); err != nil || n.Parcels != 1 {
			t.Errorf("Hold: %+v, %v", n, err)
		}
		w.sleep(10 * time.Minute)
		if got := listed(t, w.engine, Filter{States: []State{Hold}}); got != "A1 anna" || w.upstream.attempts() != 1 {
			t.Errorf("on hold: %s, %d attempts", got, w.upstream.attempts())
		}
		w.restart()
		if got := listed(t, w.engine, Filter{States: []State{Hold}}); got != "A1 anna" {
			t.Errorf("on hold after a restart: %s", got)
		}
		if _, err := w.engine.Release(w.t.Context(), Filter{}); err != nil {
			t.Error(err)
		}
		w.sleep(time.Second)
		if n, err := w.engine.Delete(w.t.Context(), Filter{}); err != nil || n.Parcels != 1 {
			t.Errorf("Delete: %+v, %v", n, err)
		}
		w.sleep(time.Hour)
		w.empty()
	})
}

// Retry does not wait for the next probe.
func TestRetryProbesAtOnce(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Hour)
		w.upstream.setAway(false)
		if n, err := w.engine.Retry(w.t.Context(), Filter{IDs: []string{"A1"}}); err != nil || n != (Changed{1, 1}) {
			t.Errorf("%+v, %v", n, err)
		}
		w.sleep(time.Second)
		w.empty()
	})
}

// TestRowHasPostfixsMembers holds the listing to `postqueue -j`.
func TestRowHasPostfixsMembers(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		e := mail("A1", "450@example.org")
		e.Message.Client = upstream.Attributes{Name: "mailer.bank.example", Addr: "192.0.2.7", Helo: "mailer"}
		w.put(e)
		w.sleep(time.Second)
		var members map[string]any
		for row := range w.engine.List(w.t.Context(), Filter{}) {
			data, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &members); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{
			"queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender", "recipients",
			"rule", "next_attempt_time", "reason",
		} {
			if _, ok := members[name]; !ok {
				t.Errorf("no member %q", name)
			}
		}
		r := members["recipients"].([]any)[0].(map[string]any)
		if r["address"] != "450@example.org" || r["delay_reason"] != "450 4.1.1 said 450" {
			t.Errorf("recipient %v", r)
		}
		if members["queue_name"] != "deferred" || members["sender"] != sender || members["message_size"] != 300. || members["rule"] != "statements" {
			t.Errorf("row %v", members)
		}
		next := time.Unix(int64(members["next_attempt_time"].(float64)), 0)
		if d := next.Sub(w.engine.wall()); d < 30*time.Second || d > 2*time.Minute {
			t.Errorf("next attempt in %v", d)
		}
		d, err := w.engine.Show(w.t.Context(), "A1")
		if err != nil || d.Client != "mailer.bank.example[192.0.2.7]" || d.Details[0].Server != "mx.example:25" || d.Details[0].LastAttemptTime == 0 {
			t.Errorf("%+v, %v", d, err)
		}
		if data, _ := json.Marshal(d); strings.Contains(string(data), "Statement A1") || strings.Contains(string(data), "head for") {
			t.Errorf("Show tells content: %s", data)
		}
		if _, err := w.engine.Show(w.t.Context(), "A9"); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("unknown id: %v", err)
		}
	})
}

func TestStates(t *testing.T) {
	for i, s := range States() {
		if s.rank() != i {
			t.Errorf("%s has rank %d", s, s.rank())
		}
		if got, err := ParseState(string(s)); got != s || err != nil {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	if _, err := ParseState("frozen"); !errors.Is(err, ErrState) {
		t.Errorf("error %v", err)
	}
	inWorld(t, Options{}, func(w *world) {
		got := slices.Sorted(maps.Keys(w.engine.Stats().Queues))
		if want := slices.Sorted(slices.Values(States())); !slices.Equal(got, want) {
			t.Errorf("queues %v, want %v from the start", got, want)
		}
	})
}
