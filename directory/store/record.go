package store

import (
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
}

// columnNames are those of the table certificate in the order of record.scan.
var columnNames = []string{"id", "fingerprint", "status", "origin", "not_before", "not_after", "first_seen", "last_seen",
	"seq", "addresses", "why", "message_id", "signer", "verdict", "signed_at", "capabilities", "der"}

// columnList is columnNames for a SELECT, with an expression of its own for the DER.
func columnList(prefix, der string) string {
	n := len(columnNames) - 1
	return prefix + strings.Join(columnNames[:n], ", "+prefix) + ", " + der
}

// scan reads a row, after the columns that stand in front of it. A row without
// DER gets no Cert.
func (r *record) scan(row scan, before ...any) error {
	var fingerprint, der []byte
	var status, origin, notBefore, notAfter, first, last, seq, signed int64
	var addresses, capabilities string
	dest := append(make([]any, 0, 20), before...)
	dest = append(dest, &r.id, &fingerprint, &status, &origin, &notBefore, &notAfter, &first, &last, &seq,
		&addresses, &r.Why, &r.Evidence.MessageID, &r.Evidence.Signer, &r.Evidence.Verdict, &signed, &capabilities, &der)
	if err := row(dest...); err != nil {
		return err
	}
	copy(r.fingerprint[:], fingerprint)
	r.Status, r.Origin = word(statuses[:], status), word(origins[:], origin)
	r.FirstSeen, r.LastSeen, r.Evidence.At = moment(first), moment(last), moment(signed)
	r.Seq = uint64(seq)
	r.Addresses = strings.Split(addresses, "\n")
	r.Capabilities = strings.Fields(capabilities)
	r.stored = true
	if der == nil {
		return nil
	}
	cert, err := certificate.Parse(der)
	if err != nil { // one that an earlier version could read: kept, and of no use
		cert = &certificate.Certificate{Raw: der, NotBefore: moment(notBefore), NotAfter: moment(notAfter)}
	}
	r.Cert = cert
	return nil
}

// row is the reverse of scan.
func (r *record) row() []any {
	return []any{r.id, r.fingerprint[:], number(statuses[:], r.Status), number(origins[:], r.Origin),
		r.Cert.NotBefore.Unix(), r.Cert.NotAfter.Unix(), seconds(r.FirstSeen), seconds(r.LastSeen), int64(r.Seq),
		strings.Join(r.Addresses, "\n"), r.Why, r.Evidence.MessageID, r.Evidence.Signer, r.Evidence.Verdict,
		seconds(r.Evidence.At), strings.Join(r.Capabilities, " "), r.Cert.Raw}
}

const updateRecord = `UPDATE certificate SET status = $2, first_seen = $3, last_seen = $4, seq = $5, addresses = $6, why = $7,
message_id = $8, signer = $9, verdict = $10, signed_at = $11, capabilities = $12 WHERE id = $1`

// changes are the arguments of updateRecord.
func (r *record) changes() []any {
	return []any{r.id, number(statuses[:], r.Status), seconds(r.FirstSeen), seconds(r.LastSeen), int64(r.Seq),
		strings.Join(r.Addresses, "\n"), r.Why, r.Evidence.MessageID, r.Evidence.Signer, r.Evidence.Verdict,
		seconds(r.Evidence.At), strings.Join(r.Capabilities, " ")}
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
