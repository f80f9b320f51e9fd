package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// A New is a certificate to be added.
type New struct {
	Cert         *certificate.Certificate
	Addresses    []address.Address // default: those that its subjectAltName names
	Origin       Origin
	Evidence     Evidence
	Capabilities []string // dotted OIDs, in order of preference; nil: nothing is known
	// Supersede: this is the key that its owner uses now. It takes the place of
	// active ones with another key, or with Options.HoldKeyChange waits for an
	// operator's word. Without, it stands beside them.
	Supersede bool
}

// An Added says what became of a New.
type Added struct {
	Fingerprint [32]byte
	Status      Status
	Known       bool       // it was in the directory before
	Superseded  [][32]byte // those whose place it took
}

// AddressesOf gives the addresses that the certificate's subjectAltName names,
// those that can be read, each once.
func AddressesOf(c *certificate.Certificate) []address.Address {
	var list []address.Address
	for _, s := range c.Addresses {
		if a, err := address.Parse(s); err == nil && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// Add enters certificates, all of them or, on an error, none; it has returned
// when they are durable. A batch of a few thousand is many times faster than as
// many calls.
//
// One that is known already is not entered again: its LastSeen and Evidence
// become those of the new sighting if that is later, and addresses are added to
// it. A revoked one stays revoked, whatever is added. One that was superseded is
// active again when Supersede says that its owner uses it, and none that took its
// place was seen later.
func (s *Store) Add(ctx context.Context, list []New) ([]Added, error) {
	entries, err := s.entries(list)
	if err != nil {
		return nil, err
	}
	var added []Added
	err = s.update(ctx, func(ctx context.Context, b *book) error {
		if err := b.loadFor(ctx, entries); err != nil {
			return err
		}
		added = make([]Added, len(entries))
		for i := range entries {
			added[i] = b.enter(&entries[i])
		}
		for i := range added { // a later one of the batch may have changed it
			added[i].Status = b.byFingerprint[added[i].Fingerprint].Status
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// An entry is a New in the form in which it is stored.
type entry struct {
	record
	supersede bool
}

// entries prepares what can be prepared without keeping others from writing.
func (s *Store) entries(list []New) ([]entry, error) {
	now := s.now()
	entries := make([]entry, len(list))
	for i := range list {
		if err := entries[i].prepare(&list[i], now); err != nil {
			return nil, fmt.Errorf("certificate %d of %d: %w", i+1, len(list), err)
		}
	}
	return entries, nil
}

func (e *entry) prepare(n *New, now time.Time) error {
	addresses := n.Addresses
	if addresses == nil {
		addresses = AddressesOf(n.Cert)
	}
	if len(addresses) == 0 {
		return ErrNoAddress
	}
	if len(addresses) > MaxAddresses {
		return ErrAddresses
	}
	if !slices.Contains(origins[:], n.Origin) {
		return fmt.Errorf("%q is no origin", n.Origin)
	}
	for _, a := range addresses {
		e.Addresses = append(e.Addresses, a.Key())
	}
	slices.Sort(e.Addresses)
	e.Addresses = slices.Compact(e.Addresses)
	e.fingerprint = n.Cert.Fingerprint()
	e.Cert, e.Origin, e.supersede = n.Cert, n.Origin, n.Supersede
	e.Evidence = Evidence{clean(n.Evidence.MessageID), clean(n.Evidence.Signer), clean(n.Evidence.Verdict),
		n.Evidence.At.Truncate(time.Second)}
	for _, c := range n.Capabilities {
		if storable(c) {
			e.Capabilities = append(e.Capabilities, c)
		}
	}
	seen := now
	if at := e.Evidence.At; !at.IsZero() && at.Before(now) {
		seen = at
	}
	e.FirstSeen, e.LastSeen = seen, seen
	e.Status = StatusActive
	if now.After(n.Cert.NotAfter) {
		e.Status = StatusExpired
	}
	return nil
}

// loadFor brings into the book what the entries may meet.
func (b *book) loadFor(ctx context.Context, entries []entry) error {
	fingerprints := make([][]byte, len(entries))
	for i := range entries {
		fingerprints[i] = stem(entries[i].fingerprint)
	}
	if err := b.loadFingerprints(ctx, fingerprints); err != nil {
		return err
	}
	var keys []string
	for i := range entries {
		if e := &entries[i]; e.supersede {
			keys = append(keys, e.Addresses...)
			if known := b.byFingerprint[e.fingerprint]; known != nil {
				keys = append(keys, known.Addresses...)
			}
		}
	}
	if keys == nil {
		return nil
	}
	slices.Sort(keys)
	return b.loadAddresses(ctx, slices.Compact(keys))
}

// enter adds one entry, or brings what is known up to date.
func (b *book) enter(e *entry) Added {
	r := b.byFingerprint[e.fingerprint]
	a := Added{Fingerprint: e.fingerprint, Known: r != nil}
	active := map[*record]bool{}
	if e.supersede {
		for _, addr := range e.Addresses {
			for _, o := range b.byAddress[addr] {
				active[o] = o.Status == StatusActive
			}
		}
	}
	if r == nil {
		r = &e.record
		b.add(r)
		if e.supersede && r.Status == StatusActive {
			b.settle(r)
		}
	} else {
		b.again(r, e)
	}
	for o, was := range active {
		if was && o != r && o.Status == StatusSuperseded {
			a.Superseded = append(a.Superseded, o.fingerprint)
		}
	}
	return a
}

// again brings a known certificate up to date with a new sighting of it.
func (b *book) again(r *record, e *entry) {
	if r.Status == StatusRevoked {
		return
	}
	b.join(r, e.Addresses)
	if e.LastSeen.Before(r.FirstSeen) {
		r.FirstSeen, r.dirty = e.LastSeen, true
	}
	later := e.LastSeen.After(r.LastSeen)
	if later {
		sameDay := r.LastSeen.Unix()/86400 == e.LastSeen.Unix()/86400
		r.LastSeen, r.dirty = e.LastSeen, true
		if !sameDay {
			b.announce(r)
		}
	}
	// What a message says counts against what an earlier one said, not against an import.
	if !e.Evidence.At.IsZero() && e.Evidence.At.After(r.Evidence.At) {
		r.Evidence, r.dirty = e.Evidence, true
		b.learn(r, e.Capabilities)
	} else if e.Evidence.At.IsZero() && r.Evidence.At.IsZero() {
		b.learn(r, e.Capabilities)
	}
	if e.supersede && later && !b.now.After(r.Cert.NotAfter) && (r.Status == StatusActive || r.Status == StatusSuperseded) {
		b.settle(r)
	}
}

// join adds addresses to a known certificate.
func (b *book) join(r *record, addresses []string) {
	grown := false
	for _, a := range addresses {
		if i, found := slices.BinarySearch(r.Addresses, a); !found && len(r.Addresses) < MaxAddresses {
			r.Addresses = slices.Insert(slices.Clip(r.Addresses), i, a)
			b.links = append(b.links, link{a, r})
			grown = true
		}
	}
	if grown {
		b.list(r)
		b.announce(r)
	}
}

// learn takes over capabilities; nil says nothing.
func (b *book) learn(r *record, capabilities []string) {
	if capabilities != nil && !slices.Equal(r.Capabilities, capabilities) {
		r.Capabilities = capabilities
		b.announce(r)
	}
}
