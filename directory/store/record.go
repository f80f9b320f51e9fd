package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sealpost/internal/certificate"
)

// A record is a row of the table certificate.
type record struct {
	Certificate
	id          int64
	fingerprint [32]byte
	stored      bool // it is in the database already
	dirty       bool // and differs from what is there
	announced   bool // in the feed, when it is written
}

// linkColumns are those of the table mailbox.
var linkColumns = []string{"address", "certificate"}

// stem is what of a fingerprint is stored. It stands in the row and in the index,
// so half of it saves three per cent of the file; and nobody finds two
// certificates that share the first 16 bytes. The whole is computed from the DER.
func stem(fingerprint [32]byte) []byte { return fingerprint[:16] }

// columnNames are those of the table certificate in the order of record.row.
var columnNames = []string{"id", "fingerprint", "status", "origin", "not_after", "first_seen", "last_seen", "seq",
	"addresses", "notes", "der"}

// columnList is what record.scan reads: as little as it can, since in SQLite each
// column of a short query costs. There is an expression of its own for the DER.
func columnList(prefix, der string) string {
	list := []string{"id", "status", "origin", "first_seen", "last_seen", "seq", "addresses", "notes"}
	return prefix + strings.Join(list, ", "+prefix) + ", " + der
}

// notes are what most certificates have nothing of.
type notes struct {
	Why          string   `json:"why,omitempty"`
	MessageID    string   `json:"message_id,omitempty"`
	Signer       string   `json:"signer,omitempty"`
	Verdict      string   `json:"verdict,omitempty"`
	SignedAt     int64    `json:"signed_at,omitempty"` // seconds since 1970
	Capabilities []string `json:"capabilities,omitempty"`
}

// notes gives the record's in the form in which they are stored.
func (r *record) notes() string {
	e := r.Evidence
	if r.Why == "" && e == (Evidence{}) && len(r.Capabilities) == 0 {
		return ""
	}
	text, err := json.Marshal(notes{r.Why, e.MessageID, e.Signer, e.Verdict, seconds(e.At), r.Capabilities})
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

func (r *record) readNotes(text string) error {
	if text == "" {
		return nil
	}
	var n notes
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return fmt.Errorf("the notes of certificate %d: %w", r.id, err)
	}
	r.Why, r.Capabilities = n.Why, n.Capabilities
	r.Evidence = Evidence{n.MessageID, n.Signer, n.Verdict, moment(n.SignedAt)}
	return nil
}

// scan reads a row of columnList, after the columns that stand in front of it. A
// row without DER gets no Cert.
func (r *record) scan(row scan, before ...any) error {
	var der []byte
	var status, origin, first, last, seq int64
	var addresses, text string
	dest := append(make([]any, 0, 12), before...)
	dest = append(dest, &r.id, &status, &origin, &first, &last, &seq, &addresses, &text, &der)
	if err := row(dest...); err != nil {
		return err
	}
	r.Status, r.Origin = word(statuses[:], status), word(origins[:], origin)
	r.FirstSeen, r.LastSeen = moment(first), moment(last)
	r.Seq = uint64(seq)
	r.Addresses = strings.Split(addresses, "\n")
	r.stored = true
	if err := r.readNotes(text); err != nil || der == nil {
		return err
	}
	cert, err := certificate.Parse(der)
	if err != nil { // one that an earlier version could read: kept, shown, never given out
		cert = &certificate.Certificate{Raw: der}
	}
	r.Cert = cert
	return nil
}

// row is a new row of the table.
func (r *record) row() []any {
	return []any{r.id, stem(r.fingerprint), number(statuses[:], r.Status), number(origins[:], r.Origin),
		r.Cert.NotAfter.Unix(), seconds(r.FirstSeen), seconds(r.LastSeen), int64(r.Seq),
		strings.Join(r.Addresses, "\n"), r.notes(), r.Cert.Raw}
}

const updateRecord = `UPDATE certificate SET status = $2, first_seen = $3, last_seen = $4, seq = $5, addresses = $6, notes = $7 WHERE id = $1`

// changes are the arguments of updateRecord.
func (r *record) changes() []any {
	return []any{r.id, number(statuses[:], r.Status), seconds(r.FirstSeen), seconds(r.LastSeen), int64(r.Seq),
		strings.Join(r.Addresses, "\n"), r.notes()}
}

// seconds is t in the database, where 0 stands for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// clean makes a text from outside fit for the database, which refuses NUL and
// what is not UTF-8; and for an operator's terminal, which need not see controls.
func clean(s string) string {
	const most = 1000 // bytes; a Message-ID has at most 998
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
