package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// An AuditKind says what a record of the audit log is about.
type AuditKind string

// The kinds.
const (
	AuditIssued       AuditKind = "issued"        // the authority made a certificate
	AuditRevoked      AuditKind = "revoked"       // such a certificate was revoked
	AuditProvisioned  AuditKind = "provisioned"   // a key was made for an address and wrapped
	AuditKeyUsed      AuditKind = "key-used"      // a wrapped key was read
	AuditKeyDeleted   AuditKind = "key-deleted"   // the wrapped copy is gone
	AuditKeyRewrapped AuditKind = "key-rewrapped" // wrapped under another master key
	AuditClaimed      AuditKind = "claimed"       // the owner of the mailbox took his key
	AuditClaimRefused AuditKind = "claim-refused" // somebody failed to prove that he is the owner
	AuditReplaced     AuditKind = "replaced"      // the owner of the mailbox gave a certificate of his own
	AuditRestored     AuditKind = "restored"      // a backup became the database
)

// ErrAudit says that the audit log is not what was written: a record was
// changed, taken out, or put in, or the log was cut off before a known head.
var ErrAudit = errors.New("the audit log has been changed")

// An Audit is one record of the audit log.
//
// The log is a chain: Hash is SHA-256 over the Hash of the record before it (32
// zero bytes for the first) and the record itself. Who changes one record must
// change all that follow, and then the last Hash (the head) is not the one that
// was written elsewhere: the server logs it.
type Audit struct {
	Seq         uint64 // 1 for the first, without a gap; given by the store
	At          time.Time
	Kind        AuditKind
	Address     string   // in the form of address.Address.Key; may be empty
	Fingerprint [32]byte // of the certificate; may be zero
	Actor       string   // who: "token ID", "portal", "operator"
	Detail      string   // words, or JSON; never a secret; at most 1000 bytes are kept
	Hash        [32]byte // given by the store
}

// An AuditState is how far the log has come.
type AuditState struct {
	Records uint64
	Head    [32]byte // the Hash of the last record; zero when there is none
}

// auditPage is how many records are read at once.
const auditPage = 5000

// Record appends one record, in a transaction of its own. Seq, At and Hash are
// given by the store.
func (s *Store) Record(ctx context.Context, a Audit) error {
	return s.write(ctx, func(ctx context.Context, t tx) error { return audit(ctx, t, s.now(), a) })
}

// audit appends a record inside of a writing transaction, so that what was done
// and its record are there together or not at all.
func audit(ctx context.Context, t tx, now time.Time, a Audit) error {
	if _, _, err := t.lock(ctx); err != nil { // whoever appends is alone
		return err
	}
	state, err := auditHead(ctx, t)
	if err != nil {
		return err
	}
	a.Seq, a.At = state.Records+1, now.Truncate(time.Second)
	a.Kind, a.Address = AuditKind(clean(string(a.Kind))), clean(a.Address)
	a.Actor, a.Detail = clean(a.Actor), clean(a.Detail)
	a.Hash = a.chain(state.Head)
	fingerprint := a.Fingerprint[:]
	if a.Fingerprint == ([32]byte{}) {
		fingerprint = []byte{}
	}
	return t.exec(ctx, insertStatement("audit", auditColumns), int64(a.Seq), seconds(a.At), string(a.Kind), a.Address,
		fingerprint, a.Actor, a.Detail, a.Hash[:])
}

var auditColumns = []string{"seq", "at", "kind", "address", "fingerprint", "actor", "detail", "hash"}

// chain is the Hash that a has after a record whose Hash is before.
func (a *Audit) chain(before [32]byte) [32]byte {
	text := make([]byte, 0, 256)
	text = append(text, "sealpost audit 1\n"...)
	text = append(text, before[:]...)
	text = binary.BigEndian.AppendUint64(text, a.Seq)
	text = binary.BigEndian.AppendUint64(text, uint64(seconds(a.At)))
	text = append(text, a.Fingerprint[:]...)
	for _, field := range []string{string(a.Kind), a.Address, a.Actor, a.Detail} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(field)))
		text = append(text, field...)
	}
	return sha256.Sum256(text)
}

// auditHead reads the end of the log.
func auditHead(ctx context.Context, t tx) (state AuditState, err error) {
	err = t.query(ctx, func(row scan) error {
		var seq int64
		var hash []byte
		err := row(&seq, &hash)
		state.Records = uint64(seq)
		copy(state.Head[:], hash)
		return err
	}, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
	return state, err
}

// AuditHead gives how far the log has come, without checking it.
func (s *Store) AuditHead(ctx context.Context) (state AuditState, err error) {
	err = s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		state, err = auditHead(ctx, t)
		return err
	})
	return state, err
}

// AuditLog gives up to limit records (at most 5000) after the one with the number
// after, oldest first; 0 begins with the first.
func (s *Store) AuditLog(ctx context.Context, after uint64, limit int) ([]Audit, error) {
	var list []Audit
	err := s.read(ctx, false, func(ctx context.Context, t tx) (err error) {
		list, err = all(ctx, t, scanAudit,
			"SELECT seq, at, kind, address, fingerprint, actor, detail, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
			int64(after), int64(min(max(limit, 1), auditPage)))
		return err
	})
	return list, err
}

func scanAudit(row scan) (a Audit, err error) {
	var seq, at int64
	var kind string
	var fingerprint, hash []byte
	if err := row(&seq, &at, &kind, &a.Address, &fingerprint, &a.Actor, &a.Detail, &hash); err != nil {
		return a, err
	}
	a.Seq, a.At, a.Kind = uint64(seq), moment(at), AuditKind(kind)
	copy(a.Fingerprint[:], fingerprint)
	copy(a.Hash[:], hash)
	return a, nil
}

// VerifyAudit reads the whole log and checks every hash. With head, one that was
// noted earlier in another place, it must also be the hash of a record: a log
// that was made anew, or cut off before it, is found out. What does not fit is
// ErrAudit with the first record that it is about, and the state is that of the
// good part before it.
func (s *Store) VerifyAudit(ctx context.Context, head *[32]byte) (AuditState, error) {
	var state AuditState
	met := head == nil || *head == [32]byte{}
	for {
		list, err := s.AuditLog(ctx, state.Records, auditPage)
		if err != nil {
			return state, err
		}
		for i := range list {
			a := &list[i]
			switch {
			case a.Seq != state.Records+1:
				return state, fmt.Errorf("%w: record %d is missing", ErrAudit, state.Records+1)
			case a.Hash != a.chain(state.Head):
				return state, fmt.Errorf("%w: record %d does not follow from the one before it", ErrAudit, a.Seq)
			}
			state = AuditState{a.Seq, a.Hash}
			met = met || a.Hash == *head
		}
		if len(list) < auditPage {
			break
		}
	}
	if !met {
		return state, fmt.Errorf("%w: none of its %d records has the hash %x", ErrAudit, state.Records, *head)
	}
	return state, nil
}
