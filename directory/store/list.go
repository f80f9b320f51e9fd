package store

import (
	"context"
	"fmt"
	"strings"

	"sealpost/internal/address"
)

// A Filter says which certificates are listed: those that meet all of what is
// set.
type Filter struct {
	Status  Status
	Origin  Origin
	Domain  string // of an address, as people write it
	Address string // in the form of address.Address.Key
}

// List gives up to limit certificates (at most 10000) in the order in which
// they were added, beginning behind the one with the fingerprint after; the zero
// value begins with the first. Fewer than limit means that there are no more.
func (s *Store) List(ctx context.Context, f Filter, after [32]byte, limit int) ([]Certificate, error) {
	conditions, args, err := f.conditions()
	if err != nil {
		return nil, err
	}
	limit = min(max(limit, 1), 10000)
	var list []Certificate
	err = s.read(ctx, true, func(ctx context.Context, t tx) error {
		from := int64(0)
		if after != ([32]byte{}) {
			r, err := loadOne(ctx, t, after)
			if err != nil {
				return err
			}
			from = r.id
		}
		list = nil
		return t.query(ctx, func(row scan) error {
			var r record
			err := r.scan(row)
			list = append(list, r.Certificate)
			return err
		}, "SELECT "+columnList("", "der")+" FROM certificate WHERE id > $1"+conditions+" ORDER BY id LIMIT $2",
			append([]any{from, int64(limit)}, args...)...)
	})
	return list, err
}

// conditions gives the filter in SQL, its parameters beginning with $3.
func (f Filter) conditions() (text string, args []any, err error) {
	add := func(condition string, arg any) {
		args = append(args, arg)
		text += fmt.Sprintf(" AND "+condition, len(args)+2)
	}
	if f.Status != "" {
		add("status = $%d", number(statuses[:], f.Status))
	}
	if f.Origin != "" {
		add("origin = $%d", number(origins[:], f.Origin))
	}
	if f.Domain != "" {
		domain, err := address.Domain(f.Domain)
		if err != nil {
			return "", nil, err
		}
		// The addresses stand one a line in the certificate's own row: a look at each
		// row costs less than finding the rows of a large domain one by one.
		add(`addresses || $%d LIKE `+likeLine, "\n")
		args = append(args, "%@"+likeEscape.Replace(domain)+"\n%")
		text = strings.Replace(text, likeLine, fmt.Sprintf(`$%d ESCAPE '\'`, len(args)+2), 1)
	}
	if f.Address != "" {
		if !storable(f.Address) {
			return " AND 1 = 0", nil, nil
		}
		add("id IN (SELECT certificate FROM mailbox WHERE address = $%d)", f.Address)
	}
	return text, args, nil
}

const likeLine = "LINE"

var likeEscape = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// Stats is the size of a directory.
type Stats struct {
	Certificates map[Status]int64 // every status has its number
	Addresses    int64            // with a certificate of any status
	Sequence     uint64
	Bytes        int64 // on disk
}

// Stats counts. With a million certificates it takes some hundred milliseconds.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	stats := Stats{Certificates: map[Status]int64{}}
	for _, st := range statuses {
		stats.Certificates[st] = 0
	}
	err := s.read(ctx, true, func(ctx context.Context, t tx) error {
		var seq int64
		err := t.query(ctx, func(row scan) error {
			var status, n int64
			err := row(&status, &n)
			stats.Certificates[word(statuses[:], status)] = n
			return err
		}, "SELECT status, count(*) FROM certificate GROUP BY status")
		if err == nil {
			err = one(ctx, t, "SELECT count(DISTINCT address), (SELECT seq FROM meta) FROM mailbox", &stats.Addresses, &seq)
		}
		stats.Sequence = uint64(seq)
		return err
	})
	if err != nil {
		return stats, err
	}
	ctx, cancel, err := s.alive(ctx, s.opts.Timeout)
	if err == nil {
		defer cancel()
		stats.Bytes, err = s.engine.size(ctx)
	}
	return stats, err
}
