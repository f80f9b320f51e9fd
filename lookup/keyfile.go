package lookup

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Errors of a KeyFile, to be found with errors.Is.
var (
	ErrKeyFileInUse = errors.New("is in use by another process")
	ErrNoKeys       = errors.New("nothing is known of this address")
	ErrNothingHeld  = errors.New("no such key waits for this address")
	ErrSeveralHeld  = errors.New("several keys wait for this address")
)

// A KeyFile is a KeyMemory on disk. What Store was given is durable when it
// returns. The file holds addresses and certificates; its mode is 0600.
type KeyFile struct{ db *bolt.DB }

var (
	bucketKeys = []byte("keys") // mailbox -> KnownKeys
	bucketHeld = []byte("held") // mailboxes for which a key waits
)

// OpenKeyFile opens the file or makes it. One process has it at a time: for the
// others the error is ErrKeyFileInUse, after a second.
func OpenKeyFile(path string) (*KeyFile, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = ErrKeyFileInUse
	}
	if err == nil {
		err = db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucketKeys)
			if err == nil {
				_, err = tx.CreateBucketIfNotExists(bucketHeld)
			}
			return err
		})
	}
	if err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("the file of known keys %s: %w", path, err)
	}
	return &KeyFile{db}, nil
}

// Close closes the file.
func (f *KeyFile) Close() error { return f.db.Close() }

// Load gives what is known of a mailbox; the zero value when that is nothing.
func (f *KeyFile) Load(mailbox string) (known KnownKeys, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		known, err = loadKeys(tx, mailbox)
		return err
	})
	return known, err
}

func loadKeys(tx *bolt.Tx, mailbox string) (known KnownKeys, err error) {
	data := tx.Bucket(bucketKeys).Get([]byte(mailbox))
	if data == nil {
		return known, nil
	}
	if err := json.Unmarshal(data, &known); err != nil {
		return known, fmt.Errorf("what is known of %s is damaged: %w", mailbox, err)
	}
	return known, nil
}

// Change keeps what change makes of what is known of a mailbox. Several at once
// share one write.
func (f *KeyFile) Change(mailbox string, change func(*KnownKeys) bool) error {
	return f.db.Batch(func(tx *bolt.Tx) error {
		known, err := loadKeys(tx, mailbox)
		if err != nil || !change(&known) {
			return err
		}
		return storeKeys(tx, mailbox, known)
	})
}

func storeKeys(tx *bolt.Tx, mailbox string, known KnownKeys) error {
	data, err := json.Marshal(known)
	if err != nil {
		return err
	}
	held := tx.Bucket(bucketHeld)
	if len(known.Held) > 0 {
		err = held.Put([]byte(mailbox), nil)
	} else {
		err = held.Delete([]byte(mailbox))
	}
	return errors.Join(err, tx.Bucket(bucketKeys).Put([]byte(mailbox), data))
}

// update changes what is known of a mailbox, for an operator.
func (f *KeyFile) update(mailbox string, change func(*KnownKeys) error) (known KnownKeys, err error) {
	err = f.db.Update(func(tx *bolt.Tx) error {
		if tx.Bucket(bucketKeys).Get([]byte(mailbox)) == nil {
			return ErrNoKeys
		}
		if known, err = loadKeys(tx, mailbox); err != nil {
			return err
		}
		if err := change(&known); err != nil {
			return err
		}
		return storeKeys(tx, mailbox, known)
	})
	return known, err
}

// Accept takes keys that wait into use, in the place of those that are, and
// gives what is known then. Without names, one key must wait. The error is
// ErrNoKeys, ErrNothingHeld when one that is named does not wait, ErrSeveralHeld,
// or one of the file; then nothing is changed.
func (f *KeyFile) Accept(mailbox string, keys ...Fingerprint) (KnownKeys, error) {
	return f.update(mailbox, func(k *KnownKeys) error {
		chosen, err := k.takeHeld(keys)
		if err != nil {
			return err
		}
		for _, old := range k.Accepted {
			k.Retired = lastOf(append(k.Retired, old.Key))
		}
		k.Accepted = chosen
		k.Retired = slices.DeleteFunc(k.Retired, func(key Fingerprint) bool { return has(k.Accepted, key) })
		return nil
	})
}

// Refuse turns keys down that wait: they are not used, and not asked about
// again. Names and errors are as with Accept.
func (f *KeyFile) Refuse(mailbox string, keys ...Fingerprint) (KnownKeys, error) {
	return f.update(mailbox, func(k *KnownKeys) error {
		chosen, err := k.takeHeld(keys)
		for _, no := range chosen {
			k.Refused = lastOf(append(k.Refused, no.Key))
		}
		return err
	})
}

// takeHeld takes keys out of those that wait: the ones named, or the only one.
// A name is the SHA-256 of the key or of its certificate.
func (k *KnownKeys) takeHeld(names []Fingerprint) (taken []KnownKey, err error) {
	switch {
	case len(k.Held) == 0:
		return nil, ErrNothingHeld
	case len(names) == 0 && len(k.Held) > 1:
		return nil, ErrSeveralHeld
	case len(names) == 0:
		names = []Fingerprint{k.Held[0].Key}
	}
	for _, name := range names {
		i := slices.IndexFunc(k.Held, func(h KnownKey) bool { return h.Key == name || sha256.Sum256(h.DER) == name })
		if i < 0 {
			return nil, ErrNothingHeld
		}
		taken = append(taken, k.Held[i])
		k.Held = slices.Delete(k.Held, i, i+1)
	}
	return taken, nil
}

// Forget drops all that is known of a mailbox: the next keys that a source has
// are accepted as the first ones were. The error is ErrNoKeys, or one of the file.
func (f *KeyFile) Forget(mailbox string) error {
	return f.db.Update(func(tx *bolt.Tx) error {
		keys := tx.Bucket(bucketKeys)
		if keys.Get([]byte(mailbox)) == nil {
			return ErrNoKeys
		}
		return errors.Join(keys.Delete([]byte(mailbox)), tx.Bucket(bucketHeld).Delete([]byte(mailbox)))
	})
}

// Held counts the addresses for which a key waits.
func (f *KeyFile) Held() (n int, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(bucketHeld).Stats().KeyN
		return nil
	})
	return n, err
}

// A KnownMailbox is an address with what is known of it.
type KnownMailbox struct {
	Mailbox string
	KnownKeys
}

// All goes over the mailboxes behind one, in their order ("" stands before the
// first): those for which a key waits, or all. It goes on after one whose
// record is damaged.
func (f *KeyFile) All(behind string, heldOnly bool) iter.Seq2[KnownMailbox, error] {
	return func(yield func(KnownMailbox, error) bool) {
		for from := append([]byte(behind), 0); ; {
			some, err := f.page(from, heldOnly)
			if err != nil {
				yield(KnownMailbox{}, err)
				return
			}
			for _, one := range some {
				if !yield(one.KnownMailbox, one.err) {
					return
				}
				from = append([]byte(one.Mailbox), 0)
			}
			if len(some) < keyPage {
				return
			}
		}
	}
}

// keyPage is how many mailboxes are read at once: the file grows while somebody
// reads.
const keyPage = 100

type readMailbox struct {
	KnownMailbox
	err error
}

func (f *KeyFile) page(from []byte, heldOnly bool) (some []readMailbox, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketKeys)
		if heldOnly {
			bucket = tx.Bucket(bucketHeld)
		}
		c := bucket.Cursor()
		for k, _ := c.Seek(from); k != nil && len(some) < keyPage; k, _ = c.Next() {
			known, err := loadKeys(tx, string(k))
			some = append(some, readMailbox{KnownMailbox{string(k), known}, err})
		}
		return nil
	})
	return some, err
}
