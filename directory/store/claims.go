package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrNoNotice says that there is no such notice.
var ErrNoNotice = errors.New("there is no such notice")

// A NoticeKind says why a notice was written.
type NoticeKind string

// The kinds.
const (
	NoticeFirst    NoticeKind = "first"    // a key was made
	NoticeReminder NoticeKind = "reminder" // somebody writes again, and the key is not claimed
	NoticeAgain    NoticeKind = "again"    // the recipient asked for it
)

// A Notice is a letter to somebody for whom a key was made, and what became of
// it. With what it says a key can be claimed once.
type Notice struct {
	ID          string // random; no secret
	Fingerprint [32]byte
	Address     string // in the form of address.Address.Key
	Kind        NoticeKind
	References  []string // that tell the recipient whose mail it is
	Language    string
	Sender      string
	Created     time.Time
	Expires     time.Time // until when it can be used
	Due         time.Time // when to send it; zero: sent, or given up
	Attempts    int       // to send it
	Sent        time.Time // zero: not yet
	Trouble     string    // why the last attempt to send it failed
	Used        time.Time // zero: not yet
	Tries       int       // wrong codes that came with its link
	Guesses     int       // wrong codes that came with the address
	Answers     int       // answers to the second question
}

// Open reports whether the notice can be used at a moment, as far as its own
// state goes.
func (n *Notice) Open(now time.Time) bool { return n.Used.IsZero() && now.Before(n.Expires) }

const noticeColumns = "id, fingerprint, address, kind, notes, created, expires, due, attempts, sent, trouble, used, tries, guesses, answers"

// AddNotice stores a notice if want, which is given all earlier ones of the same
// key, the oldest first, says so; however many nodes ask at once, each sees what
// the others have stored. It is due at once unless Due says otherwise.
func (s *Store) AddNotice(ctx context.Context, n *Notice, want func(before []Notice) bool) (added bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t tx) error {
		added = false
		if _, _, err := t.lock(ctx); err != nil {
			return err
		}
		before, err := readNotices(ctx, t, " WHERE fingerprint = $1 ORDER BY created, id", n.Fingerprint[:])
		if err != nil || !want(before) {
			return err
		}
		added = true
		return insertNotice(ctx, t, n, s.now())
	})
	return added && err == nil, err
}

func insertNotice(ctx context.Context, t tx, n *Notice, now time.Time) error {
	due := n.Due
	if due.IsZero() {
		due = now
	}
	var notes string
	k := keyNotes{nil, clean(n.Language), clean(n.Sender)}
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
	return t.exec(ctx, "INSERT INTO notice ("+noticeColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, '', 0, 0, 0, 0)",
		n.ID, n.Fingerprint[:], clean(n.Address), string(n.Kind), notes, now.Unix(), seconds(n.Expires), seconds(due))
}

// Notice gives one, or ErrNoNotice.
func (s *Store) Notice(ctx context.Context, id string) (Notice, error) {
	var n Notice
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		n, err = oneNotice(ctx, t, id)
		return err
	})
	return n, err
}

// Notices gives all of an address, the oldest first.
func (s *Store) Notices(ctx context.Context, addr string) (list []Notice, err error) {
	if !storable(addr) {
		return nil, nil
	}
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = readNotices(ctx, t, " WHERE address = $1 ORDER BY created, id", addr)
		return err
	})
	return list, err
}

// DueNotices gives up to limit that are to be sent now, those that have waited
// longest first.
func (s *Store) DueNotices(ctx context.Context, limit int) (list []Notice, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = readNotices(ctx, t, " WHERE due > 0 AND due <= $1 ORDER BY due, id LIMIT $2", s.now().Unix(), int64(max(limit, 1)))
		return err
	})
	return list, err
}

// TakeNotice counts an attempt to send a notice before it is made, and has others
// leave it alone until the time until, when it is due again. ErrNoNotice: another
// node has taken it.
func (s *Store) TakeNotice(ctx context.Context, id string, until time.Time) (Notice, error) {
	var n Notice
	err := s.write(ctx, func(ctx context.Context, t tx) (err error) {
		if _, _, err := t.lock(ctx); err != nil {
			return err
		}
		if n, err = oneNotice(ctx, t, id); err != nil {
			return err
		}
		if n.Due.IsZero() || n.Due.After(s.now()) {
			return ErrNoNotice
		}
		n.Attempts++
		n.Due = until
		return t.exec(ctx, "UPDATE notice SET attempts = attempts + 1, due = $2 WHERE id = $1", id, seconds(until))
	})
	return n, err
}

// NoticeSent says that a mail server has taken it.
func (s *Store) NoticeSent(ctx context.Context, id string) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		return t.exec(ctx, "UPDATE notice SET sent = $2, due = 0, trouble = '' WHERE id = $1", id, s.now().Unix())
	})
}

// NoticeFailed says why it could not be sent, and when to try again; zero: never.
func (s *Store) NoticeFailed(ctx context.Context, id string, again time.Time, why string) error {
	return s.write(ctx, func(ctx context.Context, t tx) error {
		return t.exec(ctx, "UPDATE notice SET due = $2, trouble = $3 WHERE id = $1", id, seconds(again), clean(why))
	})
}

// Unannounced gives up to limit keys that nobody has claimed and that no notice
// was ever stored for. It reads the whole table: it is for what was left over
// when a node died between the two.
func (s *Store) Unannounced(ctx context.Context, limit int) (list []Key, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = readKeys(ctx, t, false, " WHERE claimed = 0 AND deleted = 0 AND fingerprint NOT IN (SELECT fingerprint FROM notice)"+
			" ORDER BY created, fingerprint LIMIT $1", int64(max(limit, 1)))
		return err
	})
	return list, err
}

// Unreminded gives up to limit keys that nobody has claimed and none of whose
// notices was used, whose last one was stored before a moment and waits no more,
// and which had fewer reminders than most. It reads the whole table.
func (s *Store) Unreminded(ctx context.Context, before time.Time, most, limit int) (list []Key, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = readKeys(ctx, t, false, " WHERE claimed = 0 AND deleted = 0 AND fingerprint IN (SELECT fingerprint FROM notice GROUP BY fingerprint"+
			" HAVING max(created) <= $1 AND max(due) = 0 AND max(used) = 0 AND sum(CASE WHEN kind = 'reminder' THEN 1 ELSE 0 END) < $2) ORDER BY created, fingerprint LIMIT $3",
			before.Unix(), int64(most), int64(max(limit, 1)))
		return err
	})
	return list, err
}

func oneNotice(ctx context.Context, t tx, id string) (Notice, error) {
	if !storable(id) {
		return Notice{}, ErrNoNotice
	}
	list, err := readNotices(ctx, t, " WHERE id = $1", id)
	if err == nil && len(list) == 0 {
		err = ErrNoNotice
	}
	if err != nil {
		return Notice{}, err
	}
	return list[0], nil
}

func readNotices(ctx context.Context, t tx, condition string, args ...any) ([]Notice, error) {
	return all(ctx, t, scanNotice, "SELECT "+noticeColumns+" FROM notice"+condition, args...)
}

func scanNotice(row scan) (n Notice, err error) {
	var fingerprint []byte
	var kind, text string
	var created, expires, due, attempts, sent, used, tries, guesses, answers int64
	if err := row(&n.ID, &fingerprint, &n.Address, &kind, &text, &created, &expires, &due, &attempts, &sent, &n.Trouble, &used,
		&tries, &guesses, &answers); err != nil {
		return n, err
	}
	copy(n.Fingerprint[:], fingerprint)
	n.Kind = NoticeKind(kind)
	n.Created, n.Expires, n.Due = moment(created), moment(expires), moment(due)
	n.Sent, n.Used = moment(sent), moment(used)
	n.Attempts, n.Tries, n.Guesses, n.Answers = int(attempts), int(tries), int(guesses), int(answers)
	if text == "" {
		return n, nil
	}
	var k keyNotes
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return n, fmt.Errorf("the notes of the notice %s: %w", n.ID, err)
	}
	n.References, n.Language, n.Sender = k.References, k.Language, k.Sender
	return n, nil
}
