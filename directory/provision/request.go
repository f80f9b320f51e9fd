package provision

import (
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// A Request asks for the certificates of an address, and for a key when there are
// none. Only Address is needed.
type Request struct {
	Address    address.Address
	Secret     string   // what else the recipient must know to claim the key; only its slow hash is kept
	References []string // for the notice; at most keydb.MaxReferences
	Language   string   // of the notice
	Sender     string   // mail address of who writes
	Actor      string   // who asks, for the audit log: "token ID", "relay"
}

// String leaves the secret out, so that it gets into no log.
func (r Request) String() string { return "provision " + r.Address.String() }

// GoString leaves the secret out.
func (r Request) GoString() string { return r.String() }

// A Refusal is the decision to make no key. Every other error is trouble, and
// says nothing about the address.
type Refusal struct {
	Reason     reason.Token  // ProvisionExcluded, ProvisionRole, ProvisionRate
	Why        string        // one sentence for people
	RetryAfter time.Duration // 0: it holds until the configuration changes
}

func (r *Refusal) Error() string { return r.Why + " [" + string(r.Reason) + "]" }

// A Notice is told when somebody wants to write to an address whose key is in
// escrow and was not claimed yet.
type Notice struct {
	Address     address.Address
	Fingerprint [32]byte // of the certificate
	References  []string
	Language    string
	Sender      string
	Created     bool // the key was made just now
}
