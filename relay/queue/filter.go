package queue

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/policy"
	"sealpost/relay/spool"
)

// A Filter chooses parcels. All conditions that are set must hold; the zero
// value chooses everything.
type Filter struct {
	// IDs are message ids; ID also means ID.2, ID.3: what came with it.
	IDs []string `json:"ids,omitempty"`
	// Sender and Recipient are globs over the address, without regard to case;
	// "<>" is the null sender.
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	// Domain is the recipient's, in any spelling.
	Domain string `json:"domain,omitempty"`
	// OlderThan and YoungerThan are ages; 0: any.
	OlderThan   time.Duration `json:"older_than,omitempty"`
	YoungerThan time.Duration `json:"younger_than,omitempty"`
	States      []State       `json:"states,omitempty"`
}

// needsRecord says that the filter cannot do without reading the disk.
func (f Filter) needsRecord() bool { return f.Sender != "" || f.Recipient != "" || f.Domain != "" }

func (f Filter) matchInfo(info spool.Info, now time.Time) bool {
	age := now.Sub(info.Arrival)
	return (len(f.IDs) == 0 || slices.ContainsFunc(f.IDs, func(id string) bool {
		return info.ID == id || strings.HasPrefix(info.ID, id+".")
	})) && (f.OlderThan == 0 || age > f.OlderThan) && (f.YoungerThan == 0 || age < f.YoungerThan)
}

func (f Filter) matchState(s State) bool { return len(f.States) == 0 || slices.Contains(f.States, s) }

func (f Filter) matchRecipient(a address.Address) bool {
	if f.Domain != "" {
		domain, err := address.Domain(f.Domain)
		if err != nil {
			domain = strings.ToLower(f.Domain)
		}
		if a.ASCIIDomain() != domain {
			return false
		}
	}
	return matchGlob(f.Recipient, a)
}

// matchGlob tries the address in its two spellings, U-labels and A-labels.
func matchGlob(pattern string, a address.Address) bool {
	if pattern == "" || pattern == "*" {
		return true
	}
	if a.IsNull() {
		return pattern == "<>"
	}
	pattern = strings.ToLower(pattern)
	return policy.Glob(pattern, strings.ToLower(a.Key())) || policy.Glob(pattern, strings.ToLower(a.String()))
}

// A selection is a message of which a filter chose some parcels.
type selection struct {
	info    spool.Info
	parcels []int   // indices of the chosen ones
	message Message // when it was read
	copies  []Copy  // of all parcels, when they were read
	damaged bool    // they could not be read
}

// A view reads a spool for people. live tells of what only a running engine
// knows.
type view struct {
	store *spool.Store
	now   func() time.Time
	live  func(ref spool.Ref, st spool.State) (State, time.Time)
}

// choose gives the messages that have parcels which the filter chooses, the
// oldest first. With read, or where the filter needs it, the records are read.
func (v view) choose(ctx context.Context, f Filter, read bool) iter.Seq2[selection, error] {
	return func(yield func(selection, error) bool) {
		now := v.now()
		for _, id := range v.ids(f, now) {
			if err := ctx.Err(); err != nil {
				yield(selection{}, err)
				return
			}
			info, err := v.store.Info(id)
			if err != nil {
				continue // it has left meanwhile
			}
			s := selection{info: info}
			if read || f.needsRecord() {
				if err := s.read(v.store); errors.Is(err, spool.ErrNotFound) {
					continue
				} else if err != nil {
					yield(selection{}, err)
					return
				}
			}
			s.pick(v, f)
			if len(s.parcels) > 0 && !yield(s, nil) {
				return
			}
		}
	}
}

// ids gives the messages whose id and age the filter chooses, the oldest first.
func (v view) ids(f Filter, now time.Time) []string {
	type aged struct {
		id      string
		arrival time.Time
	}
	var all []aged
	for info := range v.store.All() {
		if f.matchInfo(info, now) {
			all = append(all, aged{info.ID, info.Arrival})
		}
	}
	slices.SortFunc(all, func(a, b aged) int {
		return cmp.Or(a.arrival.Compare(b.arrival), cmp.Compare(a.id, b.id))
	})
	ids := make([]string, len(all))
	for i, a := range all {
		ids[i] = a.id
	}
	return ids
}

// read reads the records of a message. Damage is not an error: a damaged
// message is listed with what is known.
func (s *selection) read(store *spool.Store) error {
	e, err := store.Get(s.info.ID)
	if err == nil {
		err = decode("message", e.Meta, &s.message)
	}
	s.message.ID = s.info.ID
	s.copies = make([]Copy, len(s.info.States))
	for i, p := range e.Parcels {
		if err == nil {
			err = decode("copy", p.Meta, &s.copies[i])
		}
	}
	if errors.Is(err, spool.ErrDamaged) || errors.Is(err, errMeta) {
		s.damaged, err = true, nil
	}
	return err
}

// pick chooses among the parcels that are not done.
func (s *selection) pick(v view, f Filter) {
	if f.Sender != "" && (s.damaged || !matchGlob(f.Sender, s.message.From)) {
		return
	}
	for i, st := range s.info.States {
		if st.Done {
			continue
		}
		state, _ := v.live(spool.Ref{ID: s.info.ID, Parcel: i}, st)
		if !f.matchState(state) || f.needsRecord() && (s.damaged || !f.matchRecipient(s.copies[i].To)) {
			continue
		}
		s.parcels = append(s.parcels, i)
	}
}
