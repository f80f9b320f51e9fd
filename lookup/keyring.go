package lookup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
)

// A KeyMemory keeps what a Keyring knows of each address, under the address's
// Key. A *KeyFile is one.
type KeyMemory interface {
	Load(mailbox string) (KnownKeys, error) // the zero value when nothing is known
	// Change keeps what change makes of what is known, unless it returns false.
	// Meanwhile nobody else changes it. It may be called again, with what is known
	// then.
	Change(mailbox string, change func(*KnownKeys) bool) error
}

// KnownKeys is what is known of one address.
type KnownKeys struct {
	Accepted []KnownKey    `json:"accepted,omitempty"` // in use
	Held     []KnownKey    `json:"held,omitempty"`     // wait for an operator's word
	Retired  []Fingerprint `json:"retired,omitempty"`  // keys that were replaced, the last one last
	Refused  []Fingerprint `json:"refused,omitempty"`  // keys that an operator has turned down, the last one last
}

// A KnownKey is a public key, with the newest certificate that it was seen in.
type KnownKey struct {
	Key    Fingerprint `json:"key"` // SHA-256 of SubjectPublicKeyInfo: a renewed certificate is no new key
	DER    []byte      `json:"der"`
	Since  time.Time   `json:"since"`
	Source string      `json:"source"`
}

// KeyringOptions says what happens when the key of an address changes.
type KeyringOptions struct {
	Hold   bool      // a new key waits for an operator while an accepted one is valid
	Memory KeyMemory // must not be nil
	Log    *slog.Logger
	Clock  func() time.Time // default: time.Now
}

// A Keyring watches over changes of keys that nobody but their source vouches
// for: a certificate with a chain to a trusted root may come and go as it likes.
//
// The first keys of an address are accepted. When another one appears while an
// accepted one is still valid, it takes that one's place, or with Hold waits
// until an operator accepts it. A key that was replaced is not used again,
// whatever a source says that lags behind: meanwhile the accepted one is used,
// which the keyring remembers. When no accepted one is valid any more, the keys
// that there are then are accepted as the first ones were; but never one that an
// operator has turned down.
//
// A Keyring belongs around the chain and inside of the cache.
type Keyring struct {
	source        Source
	opts          KeyringOptions
	changed, held atomic.Uint64
}

// Why a lookup is Unavailable though its sources answered.
var (
	errKeyMemory = errors.New("it cannot be told whether the key has changed")
	errAllTurned = errors.New("the sources have no other key for this address than one that was turned down (sealpost keys forget)")
)

// NewKeyring wraps a source, which should be the whole chain.
func NewKeyring(source Source, opts KeyringOptions) (*Keyring, error) {
	if opts.Memory == nil {
		return nil, errors.New("lookup: a keyring needs a memory")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Keyring{source: source, opts: opts}, nil
}

// KeyringStats counts since the start.
type KeyringStats struct {
	Accepted uint64 // changes of a key that were accepted by themselves
	Held     uint64 // keys that were put on hold
}

// Stats counts.
func (k *Keyring) Stats() KeyringStats { return KeyringStats{k.changed.Load(), k.held.Load()} }

// Lookup asks the source, and holds its answer against what is known.
func (k *Keyring) Lookup(ctx context.Context, addr address.Address) Answer {
	a := k.source.Lookup(ctx, addr)
	if a.Outcome != Found || !slices.ContainsFunc(a.Candidates, watched) {
		return a
	}
	known, err := k.opts.Memory.Load(addr.Key())
	if err != nil {
		return k.forgetful(a, err)
	}
	r := k.review(known, a)
	if r.changed {
		// Once more, on what is known at that moment: an operator's word that came
		// in between counts.
		err := k.opts.Memory.Change(addr.Key(), func(now *KnownKeys) bool {
			r = k.review(*now, a)
			*now = r.known
			return r.changed
		})
		if err != nil {
			return k.forgetful(a, err)
		}
		k.tell(addr, r)
	}
	return r.answer(a)
}

func (k *Keyring) review(known KnownKeys, a Answer) *review {
	r := &review{now: k.opts.Clock(), hold: k.opts.Hold, known: known}
	r.look(a.Candidates)
	return r
}

// forgetful is the answer when the memory fails: the key may be a wrong one.
func (k *Keyring) forgetful(a Answer, err error) Answer {
	out := failed(reason.LookupUnavailable, fmt.Errorf("%w: %w", errKeyMemory, err))
	out.Asked, out.Took = a.Asked, a.Took
	return out
}

func (k *Keyring) tell(addr address.Address, r *review) {
	for _, key := range r.newlyHeld {
		k.held.Add(1)
		k.opts.Log.Warn("the key of an address has changed; the new one waits until somebody accepts it: sealpost keys accept",
			"address", addr.String(), "key", key.Key.String(), "source", key.Source)
	}
	if r.replaced {
		k.changed.Add(1)
		k.opts.Log.Info("the key of an address has changed; the new one is used from now on", "address", addr.String())
	}
}

// watched are the certificates that only their source vouches for.
func watched(c Candidate) bool { return c.Usable && c.Vouch == Itself && !c.Pinned }

// KeyFingerprint is the SHA-256 of SubjectPublicKeyInfo: what two certificates
// for one key have in common.
func KeyFingerprint(c *certificate.Certificate) Fingerprint { return sha256.Sum256(c.RawPublicKey) }

// FromMemory begins Candidate.Where of a certificate that no source offered,
// and that the Keyring remembers.
const FromMemory = "remembered since "

// A review holds one answer against what is known of its address.
type review struct {
	now   time.Time
	hold  bool
	known KnownKeys // before look: as it was; after: as it is to be

	changed   bool // known must be stored
	replaced  bool // a key took the place of another
	newlyHeld []KnownKey
}

// look brings known up to date.
func (r *review) look(candidates []Candidate) {
	seen := seenKeys(candidates)
	if !slices.ContainsFunc(r.known.Accepted, r.valid) {
		r.begin(seen)
		return
	}
	r.refresh(seen)
	newest := r.newest()
	for _, s := range seen {
		switch {
		case has(r.known.Accepted, s.Key), slices.Contains(r.known.Retired, s.Key), r.turnedDown(s.Key):
		case r.hold:
			r.putOnHold(s)
		case !r.offered(seen) && parsed(s).NotBefore.Before(newest):
			// An older key alone, from a source that lags behind: not the owner's new one.
			r.retire(s.Key)
		default:
			r.accept(s)
			r.replaced = true
		}
	}
	if r.replaced {
		r.retireUnseen(seen)
	}
}

// begin forgets the old keys, as nothing that is still in use stands behind
// them, and accepts those there are.
func (r *review) begin(seen []KnownKey) {
	before := r.known
	r.known = KnownKeys{Refused: before.Refused}
	for _, s := range seen {
		if !r.turnedDown(s.Key) {
			r.accept(s)
		}
	}
	r.changed = len(r.known.Accepted)+len(before.Accepted)+len(before.Held)+len(before.Retired) > 0
}

func (r *review) turnedDown(key Fingerprint) bool { return slices.Contains(r.known.Refused, key) }

// seenKeys are the keys that are watched, each with its newest certificate.
func seenKeys(candidates []Candidate) []KnownKey {
	var seen []KnownKey
	for _, c := range candidates {
		if !watched(c) {
			continue
		}
		key := KeyFingerprint(c.Cert)
		i := slices.IndexFunc(seen, func(s KnownKey) bool { return s.Key == key })
		if i < 0 {
			seen = append(seen, KnownKey{Key: key, DER: c.Cert.Raw, Source: c.Source})
		} else if newer(c.Cert, parsed(seen[i])) < 0 {
			seen[i].DER = c.Cert.Raw
		}
	}
	return seen
}

// parsed reads a certificate that was read before. What was damaged since has
// no validity, and so never counts.
func parsed(k KnownKey) *certificate.Certificate {
	c, err := certificate.Parse(k.DER)
	if err != nil || KeyFingerprint(c) != k.Key {
		return &certificate.Certificate{}
	}
	return c
}

func has(list []KnownKey, key Fingerprint) bool {
	return slices.ContainsFunc(list, func(k KnownKey) bool { return k.Key == key })
}

func (r *review) valid(k KnownKey) bool { return r.now.Before(parsed(k).NotAfter) }

// offered reports whether an accepted key is still among those seen: then a new
// one stands beside it, and does not replace it.
func (r *review) offered(seen []KnownKey) bool {
	return slices.ContainsFunc(seen, func(s KnownKey) bool { return has(r.known.Accepted, s.Key) })
}

// newest is when the youngest accepted certificate began to be valid.
func (r *review) newest() (t time.Time) {
	for _, k := range r.known.Accepted {
		t = latest(t, parsed(k).NotBefore)
	}
	return t
}

// refresh takes the newer certificate of a key that is known.
func (r *review) refresh(seen []KnownKey) {
	for _, list := range [][]KnownKey{r.known.Accepted, r.known.Held} {
		for i := range list {
			for _, s := range seen {
				if s.Key == list[i].Key && !bytes.Equal(s.DER, list[i].DER) && newer(parsed(s), parsed(list[i])) < 0 {
					list[i].DER, r.changed = s.DER, true
				}
			}
		}
	}
}

func (r *review) accept(k KnownKey) {
	k.Since = r.now.UTC().Truncate(time.Second)
	r.known.Accepted = append(r.known.Accepted, k)
	r.known.Held = slices.DeleteFunc(r.known.Held, func(h KnownKey) bool { return h.Key == k.Key })
	r.changed = true
}

// The most that is kept of one address, against sources that make keys up.
const (
	maxHeld    = 16
	maxRetired = 64
)

func (r *review) putOnHold(k KnownKey) {
	if has(r.known.Held, k.Key) || len(r.known.Held) >= maxHeld {
		return
	}
	k.Since = r.now.UTC().Truncate(time.Second)
	r.known.Held = append(r.known.Held, k)
	r.newlyHeld = append(r.newlyHeld, k)
	r.changed = true
}

func (r *review) retire(key Fingerprint) {
	r.known.Retired = lastOf(append(r.known.Retired, key))
	r.changed = true
}

// lastOf bounds a list of keys that are not used any more.
func lastOf(keys []Fingerprint) []Fingerprint { return keys[max(0, len(keys)-maxRetired):] }

// retireUnseen ends the use of accepted keys that no source offers any more.
func (r *review) retireUnseen(seen []KnownKey) {
	r.known.Accepted = slices.DeleteFunc(r.known.Accepted, func(k KnownKey) bool {
		gone := !has(seen, k.Key)
		if gone {
			r.retire(k.Key)
		}
		return gone
	})
}

// answer refuses the candidates whose key is not accepted. Where that leaves
// none, the accepted certificates that are remembered take their place.
func (r *review) answer(a Answer) Answer {
	a.Candidates = slices.Clone(a.Candidates)
	usable := false
	for i := range a.Candidates {
		c := &a.Candidates[i]
		if watched(*c) && !has(r.known.Accepted, KeyFingerprint(c.Cert)) {
			no := r.refusal(KeyFingerprint(c.Cert))
			c.Usable, c.Reason, c.Why = false, no.reason, no.why
		}
		usable = usable || c.Usable
	}
	if usable {
		return a
	}
	for _, k := range r.known.Accepted {
		if !r.valid(k) {
			continue
		}
		c := parsed(k)
		a.Candidates = append(a.Candidates, Candidate{
			Cert: c, Source: k.Source, Where: FromMemory + date(k.Since), Usable: true, Vouch: Itself, Until: c.NotAfter,
		})
		usable = true
	}
	if !usable {
		// Nobody has said that there is no key: this must not end in cleartext.
		a.Outcome, a.Reason, a.Err = Unavailable, reason.CertificateSuperseded, errors.Join(errAllTurned, a.Err)
	}
	return a
}

func (r *review) refusal(key Fingerprint) *refusal {
	if r.turnedDown(key) {
		return refuse(reason.CertificateSuperseded, "has a key that an operator has turned down (sealpost keys refuse)")
	}
	if slices.Contains(r.known.Retired, key) {
		return refuse(reason.CertificateSuperseded, "has a key that a newer one has replaced")
	}
	since := time.Time{}
	for _, k := range r.known.Accepted {
		since = latest(since, k.Since)
	}
	return refuse(reason.CertificateKeyChanged, "has another key than the one in use since %s, and waits until somebody accepts it (sealpost keys accept)", date(since))
}
