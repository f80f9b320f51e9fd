// Package keydb is the directory's HTTP API as it stands on the wire, and the
// client for it. The directory writes these types, lookup and mirrors read
// them; the OpenAPI file that the directory serves describes the same.
//
// Reading is strict about what matters (whose answer it is, that nothing is
// missing, that bytes are the ones that were meant) and passes over members
// that it does not know, so that the API can grow.
package keydb

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/certificate"
)

// The paths of the API.
const (
	PathCertificates = "/v1/certificates"       // GET ?email=, POST, DELETE /{sha256}
	PathBatch        = "/v1/certificates:batch" // POST
	PathMessages     = "/v1/messages"           // POST
	PathChanges      = "/v1/changes"            // GET ?since=&limit=&wait=
	PathKeys         = "/v1/keys"               // POST
)

// The media types of the API.
const (
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json" // RFC 9457
	TypeFeed    = "application/x-ndjson"
	TypeMessage = "message/rfc822"
)

// Bounds that both sides know.
const (
	MaxBatch      = 1000             // addresses in one batch
	MaxChanges    = 10000            // changes in one page of the feed
	MaxLine       = 4 << 20          // bytes of one line of the feed
	MaxPerAnswer  = 100              // certificates of one address
	MaxWait       = 60 * time.Second // that a client may let the feed wait for a change
	MaxSecret     = 256              // bytes of the secret of a provisioning request
	MaxReference  = 128              // bytes of one of its references
	MaxReferences = 2                // of them
)

// Errors of reading.
var (
	ErrFormat  = errors.New("the answer is not the JSON of the directory API")
	ErrAddress = errors.New("the answer is for another address")
	ErrHash    = errors.New("a certificate does not have the SHA-256 that is said of it")
)

// A Fingerprint is the SHA-256 of a certificate's DER, in hex on the wire.
type Fingerprint [32]byte

// String is the hex form.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// MarshalText writes the hex form.
func (f Fingerprint) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, f[:]), nil }

// UnmarshalText reads the hex form, in upper or lower case.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(f) || len(text)%2 != 0 {
		return ErrHash
	}
	if _, err := hex.Decode(f[:], text); err != nil {
		return ErrHash
	}
	return nil
}

// A Certificate is one certificate with what the directory knows of it. DER is
// the truth; all else is told for convenience.
type Certificate struct {
	DER          []byte      `json:"der"`                    // base64 with padding (RFC 4648 section 4)
	SHA256       Fingerprint `json:"sha256,omitzero"`        // of DER
	Addresses    []string    `json:"addresses,omitempty"`    // that it is stored for, in their normal form
	NotBefore    time.Time   `json:"not_before,omitzero"`    // RFC 3339
	NotAfter     time.Time   `json:"not_after,omitzero"`     //
	Key          string      `json:"key,omitempty"`          // "RSA 2048", "EC P-256"
	Origin       string      `json:"origin,omitempty"`       // how the directory came by it: import, harvest, api, issued
	Capabilities []string    `json:"capabilities,omitempty"` // OIDs in order of preference, learned from signed mail (RFC 8551 section 2.5.2)
	FirstSeen    time.Time   `json:"first_seen,omitzero"`    //
	LastSeen     time.Time   `json:"last_seen,omitzero"`     //
}

// NewCertificate fills in what stands in the certificate itself.
func NewCertificate(c *certificate.Certificate) Certificate {
	return Certificate{
		DER: c.Raw, SHA256: c.Fingerprint(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: c.KeyName,
	}
}

// check holds a certificate from the wire to what matters, and completes it.
func (c *Certificate) check() error {
	if len(c.DER) == 0 {
		return fmt.Errorf("%w: a certificate without der", ErrFormat)
	}
	hash := fingerprint(c.DER)
	if c.SHA256 != (Fingerprint{}) && c.SHA256 != hash {
		return ErrHash
	}
	c.SHA256 = hash
	return nil
}

// OIDs are the capabilities, without those that are no object identifiers.
func (c Certificate) OIDs() []asn1.ObjectIdentifier {
	var all []asn1.ObjectIdentifier
	for _, s := range c.Capabilities {
		if oid, ok := parseOID(s); ok {
			all = append(all, oid)
		}
	}
	return all
}

func parseOID(s string) (asn1.ObjectIdentifier, bool) {
	const maxArcs = 32
	if strings.Count(s, ".") >= maxArcs {
		return nil, false
	}
	var oid asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || len(arc) > 1 && arc[0] == '0' {
			return nil, false
		}
		oid = append(oid, int(n))
	}
	return oid, len(oid) >= 2 && oid[0] <= 2
}
