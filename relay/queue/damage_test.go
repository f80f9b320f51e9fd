package queue

import (
	"strings"
	"testing"
	"time"

	"sealpost/relay/spool"
)

// A damaged body: the sender is told, the rest goes on.
func TestDamagedBody(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org", "ben@example.org"))
		w.put(mail("A2", "anna@example.org"))
		w.sleep(time.Second)
		if !w.disk.spoil(bodyOf("A1")) {
			t.Fatal("no body on the disk")
		}
		w.upstream.setAway(false)
		w.sleep(time.Hour)
		w.empty()
		if w.upstream.count("A2", "anna@example.org") != 1 || w.upstream.count("A1", "anna@example.org") != 0 {
			t.Errorf("taken %v", w.upstream.taken)
		}
		reports := w.upstream.reports()
		if len(reports) != 1 {
			t.Fatalf("%d reports", len(reports))
		}
		for _, want := range []string{"anna@example.org", "ben@example.org", "Action: failed", "Status: 5.3.0"} {
			if !strings.Contains(string(reports[0].content), want) {
				t.Errorf("the report lacks %q:\n%s", want, reports[0].content)
			}
		}
		if w.store.Stats().Quarantined == 0 || !strings.Contains(w.log.String(), "damaged") {
			t.Error("nothing is in quarantine, or nothing was logged")
		}
	})
}

// TestDamageAnywhere turns bytes all over a record. Whatever it hits, the
// message leaves the spool: delivered whole, reported, or at least logged; and
// the next one is delivered.
func TestDamageAnywhere(t *testing.T) {
	hit := map[string]int{}
	length := 1
	for off := 0; off < length; off += 23 {
		inWorld(t, Options{}, func(w *world) {
			w.upstream.setAway(true)
			e := mail("A1", "anna@example.org", "ben@example.org")
			w.put(e)
			w.put(mail("A2", "carl@example.org"))
			w.sleep(time.Second)
			info, err := w.store.Info("A1")
			if err != nil {
				t.Fatal(err)
			}
			length = int(info.Stored)
			w.disk.spoilAt(off)
			w.upstream.setAway(false)
			w.sleep(time.Hour)
			w.empty()
			if n := w.upstream.count("A2", "carl@example.org"); n != 1 {
				t.Errorf("byte %d: the next message came %d times", off, n)
			}
			told, logged := len(w.upstream.reports()) > 0, strings.Contains(w.log.String(), "nobody can be told")
			both := w.upstream.count("A1", "anna@example.org") + w.upstream.count("A1", "ben@example.org")
			switch {
			case told:
				hit["told"]++
			case logged:
				hit["logged"]++
			case both == 2:
				hit["whole"]++
			default:
				t.Errorf("byte %d: the message vanished", off)
			}
		})
	}
	if hit["told"] == 0 || hit["logged"] == 0 {
		t.Errorf("not every kind of damage was met: %v", hit)
	}
}

// A record that is whole and not understood is no damage: another version may
// know it. An operator must look.
func TestUnknownRecordIsKept(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.stop()
		w.open()
		for id, e := range map[string]spool.Entry{
			"N1": {Meta: []byte(`{"kind":"sealed","from":["of another shape"]}`), Parcels: []spool.Parcel{{Meta: []byte(`{}`)}}},
			"N2": {Meta: []byte(`{"kind":"sealed"}`), Parcels: []spool.Parcel{{Meta: []byte(`not JSON`)}}},
		} {
			e.ID, e.Body = id, text(bodyOf(id))
			if err := w.store.Put(w.t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Hour)
		if w.upstream.count("A1", "anna@example.org") != 1 {
			t.Error("the next message is not delivered")
		}
		if s := w.engine.Stats(); s.Queues[Hold].Messages != 2 || s.Counts.Frozen != 2 {
			t.Errorf("%+v", s)
		}
		for row, err := range w.engine.List(w.t.Context(), Filter{States: []State{Hold}}) {
			if err != nil || !row.Damaged || row.QueueName != Hold {
				t.Errorf("%+v, %v", row, err)
			}
		}
	})
}

// A note that is not understood is history lost, not a message.
func TestForeignNote(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.upstream.setAway(true)
		w.put(mail("A1", "anna@example.org"))
		w.sleep(time.Second)
		err := w.store.Update(w.t.Context(), spool.Ref{ID: "A1"}, spool.State{Note: []byte("{not a note")})
		if err != nil {
			t.Fatal(err)
		}
		w.upstream.setAway(false)
		w.restart()
		w.sleep(time.Minute)
		w.empty()
	})
}
