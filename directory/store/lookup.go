package store

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	byAddressQuery     = "SELECT m.address, " + columnList("c.", "c.der") + " FROM mailbox m JOIN certificate c ON c.id = m.certificate WHERE m.address = ANY($1)"
	activeQuery        = byAddressQuery + " AND c.status = 0"
	byFingerprintQuery = "SELECT " + columnList("", "der") + " FROM certificate WHERE fingerprint = ANY($1)"
)

// Lookup gives for each address, in the form of address.Address.Key, the
// certificates that are active and valid now, best first. An address that is not
// known gives an empty list.
func (s *Store) Lookup(ctx context.Context, keys []string) ([][]Certificate, error) {
	if s.pooling == nil || len(keys) != 1 {
		return s.active(ctx, keys)
	}
	found, err := s.pooling.lookup(ctx, keys[0])
	if err != nil {
		return nil, err
	}
	return [][]Certificate{found}, nil
}

func (s *Store) active(ctx context.Context, keys []string) ([][]Certificate, error) {
	now := s.now()
	found, err := s.byAddress(ctx, activeQuery, keys)
	for i, list := range found {
		found[i] = slices.DeleteFunc(list, func(c Certificate) bool { return !c.ValidAt(now) })
	}
	return found, err
}

// Show gives all that is stored for an address, whatever its status, the best
// first.
func (s *Store) Show(ctx context.Context, key string) ([]Certificate, error) {
	found, err := s.byAddress(ctx, byAddressQuery, []string{key})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (s *Store) byAddress(ctx context.Context, query string, keys []string) ([][]Certificate, error) {
	found := make([][]Certificate, len(keys))
	place := make(map[string]int, len(keys))
	wanted := make([]string, 0, len(keys))
	for i, k := range keys {
		if _, ok := place[k]; !ok && storable(k) {
			place[k] = i
			wanted = append(wanted, k)
		}
	}
	_, oneByOne := s.engine.(*sqliteEngine) // the other answers all in one statement
	err := s.read(ctx, oneByOne && len(wanted) > 1, func(ctx context.Context, t tx) error {
		clear(found)
		return t.perKey(ctx, func(row scan) error {
			var r record
			var key string
			if err := r.scan(row, &key); err != nil {
				return err
			}
			found[place[key]] = append(found[place[key]], r.Certificate)
			return nil
		}, query, wanted)
	})
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		if first, ok := place[k]; ok && first != i { // asked for twice
			found[i] = slices.Clone(found[first])
		}
		sortBestFirst(found[i])
	}
	return found, nil
}

// storable reports a text that the database can hold; what it cannot hold is
// not in there.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// ByFingerprint gives one certificate by the SHA-256 of its DER, or ErrNotFound.
func (s *Store) ByFingerprint(ctx context.Context, fingerprint [32]byte) (Certificate, error) {
	var found *record
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		found, err = loadOne(ctx, t, fingerprint)
		return err
	})
	if err != nil {
		return Certificate{}, err
	}
	return found.Certificate, nil
}

func loadOne(ctx context.Context, t tx, fingerprint [32]byte) (*record, error) {
	var found *record
	err := t.perKey(ctx, func(row scan) error {
		found = new(record)
		return found.scan(row)
	}, byFingerprintQuery, [][]byte{stem(fingerprint)})
	if err == nil && (found == nil || found.Cert.Fingerprint() != fingerprint) {
		err = ErrNotFound
	}
	return found, err
}
