package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
)

// Errors of escrowed keys. That there is none for a certificate is ErrNotFound.
var (
	ErrKeyDeleted = errors.New("the escrowed key was deleted")
	ErrNoKey      = errors.New("a certificate is stored with its wrapped key, the name of its keeper and its address, or not at all")
)

// A Key is a private key in escrow: made here for somebody who had none, and
// wrapped under a master key that is not in the database.
type Key struct {
	Fingerprint [32]byte // SHA-256 of its certificate
	Address     string   // in the form of address.Address.Key
	Wrapped     []byte   // only in what UseKey and Rewrap give
	Keeper      string   // names the master key
	Created     time.Time
	Secret      string   // what else must be known to claim it: argon2id in PHC form; empty: nothing
	References  []string // that tell the recipient whose mail it is; at most two
	Language    string   // of the notice; may be empty
	Sender      string   // who wrote first; may be empty
	Claimed     time.Time
	Deleted     time.Time
	Expires     time.Time // when it will be deleted; zero: never
}

// A NewKey is what Provision stores.
type NewKey struct {
	Cert       *certificate.Certificate
	Address    address.Address
	Wrapped    []byte
	Keeper     string
	Secret     string
	References []string
	Language   string
	Sender     string
	Expires    time.Time
	Actor      string // for the audit log
	// Usable says whether mail can be sealed to a certificate that is active and
	// valid now. Default: to every one.
	Usable func(Certificate) bool
}

// Provisioned is what an address has after Provision.
type Provisioned struct {
	Certificates []Certificate // usable ones, best first; never empty
	Created      bool          // the one of the NewKey; else those that were there before
}

var keyColumns = []string{"fingerprint", "address", "wrapped", "keeper", "secret", "notes", "created", "claimed", "deleted", "expires"}

// keyNotes is what the column notes holds.
type keyNotes struct {
	References []string `json:"references,omitempty"`
	Language   string   `json:"language,omitempty"`
	Sender     string   `json:"sender,omitempty"`
}

// Provision stores a certificate and its wrapped key, together or not at all,
// unless the address has a usable certificate already: then that is the answer,
// and the new one is forgotten. However many ask at the same moment, on however
// many nodes, there is one.
func (s *Store) Provision(ctx context.Context, n NewKey) (Provisioned, error) {
	if n.Cert == nil || len(n.Wrapped) == 0 || n.Keeper == "" || n.Address.IsNull() {
		return Provisioned{}, ErrNoKey
	}
	entries, err := s.entries([]New{{Cert: n.Cert, Addresses: []address.Address{n.Address}, Origin: OriginIssued}})
	if err != nil {
		return Provisioned{}, err
	}
	if !entries[0].ValidAt(s.now()) {
		return Provisioned{}, ErrExpired
	}
	var p Provisioned
	err = s.update(ctx, func(ctx context.Context, b *book) error {
		p = Provisioned{}
		key := n.Address.Key()
		if err := b.loadAddresses(ctx, []string{key}); err != nil {
			return err
		}
		if p.Certificates = b.usable(key, n.Usable); len(p.Certificates) > 0 {
			return nil
		}
		if err := b.loadFor(ctx, entries); err != nil {
			return err
		}
		if added := b.enter(&entries[0]); added.Known {
			return fmt.Errorf("a certificate that was just issued is stored already: %x", added.Fingerprint)
		}
		p.Created = true
		return b.keepKey(ctx, &n, key)
	})
	if err != nil {
		return Provisioned{}, err
	}
	if p.Created {
		p.Certificates = []Certificate{entries[0].Certificate}
	}
	return p, nil
}

// usable gives the certificates of an address, which was loaded, that mail can be
// sealed to now.
func (b *book) usable(key string, usable func(Certificate) bool) []Certificate {
	var list []Certificate
	for _, r := range b.byAddress[key] {
		if r.Status == StatusActive && r.ValidAt(b.now) && (usable == nil || usable(r.Certificate)) {
			list = append(list, r.Certificate)
		}
	}
	sortBestFirst(list)
	return list
}

// keepKey writes the row of a new key, and its two records.
func (b *book) keepKey(ctx context.Context, n *NewKey, key string) error {
	var notes string
	k := keyNotes{Language: clean(n.Language), Sender: clean(n.Sender)}
	for _, r := range n.References {
		k.References = append(k.References, clean(r))
	}
	if len(k.References) > 0 || k.Language != "" || k.Sender != "" {
		text, err := json.Marshal(k)
		if err != nil {
			panic(err) // strings
		}
		notes = string(text)
	}
	fingerprint := n.Cert.Fingerprint()
	err := b.tx.exec(ctx, insertStatement("escrow", keyColumns), fingerprint[:], key, n.Wrapped, n.Keeper, n.Secret, notes,
		b.now.Unix(), int64(0), int64(0), seconds(n.Expires))
	if err != nil {
		return err
	}
	record := Audit{Kind: AuditIssued, Address: key, Fingerprint: fingerprint, Actor: n.Actor,
		Detail: fmt.Sprintf("serial %x, valid until %s", n.Cert.Serial, n.Cert.NotAfter.UTC().Format(time.RFC3339))}
	if err := audit(ctx, b.tx, b.now, record); err != nil {
		return err
	}
	record.Kind, record.Detail = AuditProvisioned, "wrapped by "+n.Keeper
	return audit(ctx, b.tx, b.now, record)
}

// KeyOf tells about the key of a certificate: everything but the key itself. The
// error is ErrNotFound when none was ever in escrow, and ErrKeyDeleted, with what
// is still known of it, when it was deleted.
func (s *Store) KeyOf(ctx context.Context, fingerprint [32]byte) (Key, error) {
	var k Key
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		k, err = oneKey(ctx, t, fingerprint, false)
		return err
	})
	return k, err
}

// KeysOf tells about the keys of an address, deleted ones too, the newest first.
func (s *Store) KeysOf(ctx context.Context, addr string) ([]Key, error) {
	if !storable(addr) {
		return nil, nil
	}
	var list []Key
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = readKeys(ctx, t, false, " WHERE address = $1 ORDER BY created DESC, fingerprint", addr)
		return err
	})
	return list, err
}

// UseKey gives the wrapped key of a certificate, and records that it did: there
// is no other way to it that leaves no trace. Errors are those of KeyOf.
func (s *Store) UseKey(ctx context.Context, fingerprint [32]byte, actor, why string) (Key, error) {
	var k Key
	err := s.write(ctx, func(ctx context.Context, t tx) (err error) {
		if k, err = oneKey(ctx, t, fingerprint, true); err != nil {
			return err
		}
		return audit(ctx, t, s.now(), Audit{Kind: AuditKeyUsed, Address: k.Address, Fingerprint: fingerprint, Actor: actor, Detail: why})
	})
	if err != nil {
		return Key{}, err
	}
	return k, nil
}

// oneKey reads a row, with the wrapped key only where it is asked for.
func oneKey(ctx context.Context, t tx, fingerprint [32]byte, whole bool) (Key, error) {
	list, err := readKeys(ctx, t, whole, " WHERE fingerprint = $1", fingerprint[:])
	switch {
	case err != nil:
		return Key{}, err
	case len(list) == 0:
		return Key{}, ErrNotFound
	case !list[0].Deleted.IsZero():
		return list[0], ErrKeyDeleted
	}
	return list[0], nil
}

func readKeys(ctx context.Context, t tx, whole bool, condition string, args ...any) ([]Key, error) {
	column := "NULL"
	if whole {
		column = "wrapped"
	}
	return all(ctx, t, scanKey,
		"SELECT fingerprint, address, keeper, secret, notes, created, claimed, deleted, expires, "+column+" FROM escrow"+condition, args...)
}

func scanKey(row scan) (k Key, err error) {
	var fingerprint, wrapped []byte
	var text string
	var created, claimed, deleted, expires int64
	if err := row(&fingerprint, &k.Address, &k.Keeper, &k.Secret, &text, &created, &claimed, &deleted, &expires, &wrapped); err != nil {
		return k, err
	}
	copy(k.Fingerprint[:], fingerprint)
	k.Created, k.Claimed, k.Deleted, k.Expires = moment(created), moment(claimed), moment(deleted), moment(expires)
	k.Wrapped = wrapped
	if text == "" {
		return k, nil
	}
	var n keyNotes
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return k, fmt.Errorf("the notes of the key %x: %w", fingerprint, err)
	}
	k.References, k.Language, k.Sender = n.References, n.Language, n.Sender
	return k, nil
}
