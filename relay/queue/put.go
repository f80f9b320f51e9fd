package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sealpost/relay/spool"
)

// ErrEntry is the error of Put for an entry that no queue can take. It is a
// mistake of the caller.
var ErrEntry = errors.New("queue: not a complete entry")

// maxID leaves room for the ids of reports about the message.
const maxID = 44

// Put takes the messages of one transaction and returns when they are durable:
// all of them, or with an error none. Errors are those of spool.Store.Put,
// above all spool.ErrFull. Nothing is delivered before all are durable.
func (e *Engine) Put(ctx context.Context, entries ...Entry) error {
	for i, entry := range entries {
		if err := e.write(ctx, entry); err != nil {
			e.takeBack(entries[:i])
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping {
		return nil // they are the next process's
	}
	for _, entry := range entries {
		info, err := e.store.Info(entry.Message.ID)
		if err != nil {
			continue // an operator was faster
		}
		e.admit(newMessage(info), info.States)
	}
	e.kick()
	return nil
}

// takeBack removes what was put before a later part was refused. What cannot
// be removed stays unscheduled; the next start will deliver it, and the client
// that was told to come again has sent it twice.
func (e *Engine) takeBack(entries []Entry) {
	for _, entry := range entries {
		if err := e.store.Delete(context.Background(), entry.Message.ID); err != nil && !errors.Is(err, spool.ErrNotFound) {
			e.log.Error("queue: a refused message could not be taken back", "id", entry.Message.ID, "error", err)
		}
	}
}

// write puts one message into the spool.
func (e *Engine) write(ctx context.Context, entry Entry) error {
	if err := entry.check(); err != nil {
		return err
	}
	if entry.Message.Arrived.IsZero() {
		entry.Message.Arrived = e.wall()
	}
	entry.Message.Arrived = entry.Message.Arrived.UTC()
	out := spool.Entry{ID: entry.Message.ID, Private: entry.Message.Kind != Sealed, Body: entry.Body}
	var err error
	if out.Meta, err = json.Marshal(entry.Message); err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	for _, c := range entry.Copies {
		meta, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrEntry, err)
		}
		out.Parcels = append(out.Parcels, spool.Parcel{Meta: meta, State: e.begin(entry.Message.Kind, c)})
	}
	return e.store.Put(ctx, out)
}

// begin is the state in which a copy starts out.
func (e *Engine) begin(k Kind, c Copy) spool.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := spool.State{Next: e.wall()}
	var s status
	if k == Held {
		s = needsKey
	}
	if c.Said != nil {
		s |= tried
		st.Note = note{Through: k != Held}.after(c.Said, nil).encode()
		st.Next = st.Next.Add(e.firstWait(k, c))
	}
	st.Status = byte(s)
	return st
}

// firstWait is the wait after an attempt that the relay made. Where upstream
// is away there is none: the copy stands in line until it is back.
func (e *Engine) firstWait(k Kind, c Copy) time.Duration {
	switch {
	case k == Held:
		return vary(e.times.HoldRecheck)
	case e.health.away && judge(context.Background(), c.Said) == unreachable:
		return 0
	}
	return vary(e.times.interval(1))
}

func (e Entry) check() error {
	m := e.Message
	switch {
	case len(m.ID) == 0 || len(m.ID) > maxID || strings.ContainsFunc(m.ID, notInID) || strings.Trim(m.ID, ".") != m.ID || strings.Contains(m.ID, ".."):
		return fmt.Errorf("%w: id %q", ErrEntry, m.ID)
	case !m.Kind.valid():
		return fmt.Errorf("%w: kind %q", ErrEntry, m.Kind)
	case len(e.Copies) == 0 || e.Body == nil:
		return fmt.Errorf("%w: %s: no copies or no body", ErrEntry, m.ID)
	}
	for _, c := range e.Copies {
		if c.To.IsNull() {
			return fmt.Errorf("%w: %s: a copy without recipient", ErrEntry, m.ID)
		}
	}
	return nil
}

// notInID is what reports cannot have in their ids.
func notInID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
}
