package store

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"sealpost/internal/certificate"
)

// Origin says how a certificate came into the directory.
type Origin string

// The origins.
const (
	OriginImport  Origin = "import"  // by an operator, in bulk
	OriginHarvest Origin = "harvest" // from a signed message
	OriginAPI     Origin = "api"     // published over the API
	OriginIssued  Origin = "issued"  // by the directory's own CA
)

// Status is where a certificate stands in its life. Only active ones are given
// to those who want to write to somebody.
type Status string

// The statuses. Revoked is for good.
const (
	StatusActive     Status = "active"
	StatusHeld       Status = "held"       // a changed key that waits for an operator's word
	StatusSuperseded Status = "superseded" // a newer key took its place
	StatusRevoked    Status = "revoked"
	StatusExpired    Status = "expired"
)

// origins and statuses in the order of their numbers in the database. Numbers,
// because a million words take ten million bytes. Append only.
var (
	origins  = [...]Origin{OriginImport, OriginHarvest, OriginAPI, OriginIssued}
	statuses = [...]Status{StatusActive, StatusHeld, StatusSuperseded, StatusRevoked, StatusExpired}
)

// number is the place of v in list, -1 when it is not there.
func number[T comparable](list []T, v T) int64 { return int64(slices.Index(list, v)) }

// word is the reverse of number; what a later version wrote reads as "".
func word[T any](list []T, n int64) (v T) {
	if n >= 0 && n < int64(len(list)) {
		v = list[n]
	}
	return v
}

// Evidence says by which signed message a certificate was learned. All of it
// may be empty.
type Evidence struct {
	MessageID string
	Signer    string    // who signed it
	Verdict   string    // what the check of the signature said
	At        time.Time // when it was signed, to the second
}

// A Certificate is one certificate and all that is known of it.
type Certificate struct {
	Cert      *certificate.Certificate // as far as it can be read; its DER is the truth
	Addresses []string                 // in the form of address.Address.Key, sorted
	Origin    Origin
	Status    Status
	Why       string // words that explain Status, for an operator
	// FirstSeen and LastSeen bound the time in which somebody vouched for it: when
	// it was added, or when the message that it was learned from was signed.
	FirstSeen, LastSeen time.Time
	Evidence            Evidence
	Capabilities        []string // dotted OIDs learned from signed mail, in order of preference
	Seq                 uint64   // of its last change
}

// ValidAt reports whether t lies in the validity period.
func (c *Certificate) ValidAt(t time.Time) bool {
	return !t.Before(c.Cert.NotBefore) && !t.After(c.Cert.NotAfter)
}

// bestFirst orders what one address has: the newest first, since that is what
// its owner set up last; then the one last seen. The fingerprint makes the order
// the same everywhere.
func bestFirst(a, b Certificate) int {
	return cmp.Or(b.Cert.NotBefore.Compare(a.Cert.NotBefore), b.LastSeen.Compare(a.LastSeen),
		bytes.Compare(a.Cert.Raw, b.Cert.Raw))
}

func sortBestFirst(list []Certificate) { slices.SortFunc(list, bestFirst) }
