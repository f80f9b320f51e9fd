package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"sealpost/internal/address"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// A Kind says what a message's body is. Every kind but Sealed is sealed to the
// spool's own key before it reaches the disk.
type Kind string

// The kinds of messages.
const (
	Sealed Kind = "sealed"  // the ciphertext that all copies share; each has its own Head
	Clear  Kind = "clear"   // the whole message, which a rule lets pass in the clear
	AsCame Kind = "as-came" // the whole message, which came encrypted
	Held   Kind = "held"    // the whole message, to be sealed when there is a key
	Notice Kind = "notice"  // a message of our own: a delivery status notification
	Invite Kind = "invite"  // what a notice to a recipient without a key says, not yet written
)

func (k Kind) valid() bool {
	switch k {
	case Sealed, Clear, AsCame, Held, Notice, Invite:
		return true
	}
	return false
}

// A Message is what concerns all copies of one message. It is kept as JSON in
// the spool, sealed at rest.
type Message struct {
	// ID names the message in the spool. Where one transaction needs several
	// messages they are named ID, ID.2, ID.3: a Filter for ID finds them all.
	ID   string          `json:"-"`
	Kind Kind            `json:"kind"`
	From address.Address `json:"from"` // the zero value is the null sender
	// Arrived is the end of the data; the zero value is when it was put.
	Arrived   time.Time           `json:"arrived"`
	Size      int64               `json:"size"` // as it came, in bytes
	MessageID string              `json:"message_id,omitempty"`
	Client    upstream.Attributes `json:"client,omitzero"` // for XFORWARD and reports
	// Listener and Remote are where it came in, for rules that ask.
	Listener   string     `json:"listener,omitempty"`
	Remote     netip.Addr `json:"remote,omitzero"`
	Ret        string     `json:"ret,omitempty"`   // RFC 3461
	EnvID      string     `json:"envid,omitempty"` // RFC 3461, decoded
	Body       string     `json:"body,omitempty"`  // BODY= of a copy that leaves as it came
	UTF8       bool       `json:"smtputf8,omitempty"`
	RequireTLS bool       `json:"requiretls,omitempty"`
	// Header is what a report may return: it was never secret.
	Header []byte `json:"header,omitempty"`
	// Extras are, for a Held message, what its Resolver needs beside the header;
	// the queue only carries them. They may be secret: nothing shows them.
	Extras json.RawMessage `json:"extras,omitempty"`
}

// A Copy is one recipient's copy of a message.
type Copy struct {
	To     address.Address `json:"to"`
	Notify []string        `json:"notify,omitempty"` // RFC 3461: NEVER, or some of SUCCESS, FAILURE, DELAY
	ORcpt  string          `json:"orcpt,omitempty"`  // as in upstream.Rcpt
	Rule   string          `json:"rule"`             // the policy rule that decided
	// Head goes before a Sealed message's body; the queue only keeps it.
	Head         []byte `json:"head,omitempty"`
	Cipher       string `json:"cipher,omitempty"`
	Certificates string `json:"certificates,omitempty"` // fingerprints, for people
	// Said is why the copy did not go through at once; nil means that it was
	// not tried. It decides when the first attempt is made, and is not kept.
	Said *reply.Error `json:"-"`
}

// An Entry is a message as it is put into the queue.
type Entry struct {
	Message Message
	Copies  []Copy // at least one
	Body    spool.Content
}

// An Item is one copy while it is delivered or asked about.
type Item struct {
	ID       string
	Parcel   int
	Message  Message
	Copy     Copy
	Attempts int // deliveries tried before this one
	// Release is what the Resolver gave for a Held message.
	Release Release

	store *spool.Store
}

// A Release says how a Held copy may go now. It is made and read by the
// relay; the queue only carries it from the Resolver to the Deliverer.
type Release any

// OpenBody reads the message's body, as it was put. Only io.EOF means that it
// came whole; damage is spool.ErrDamaged. The reader must be closed.
func (it Item) OpenBody() (io.ReadCloser, error) { return it.store.OpenBody(it.ID) }

// errMeta is what a newer or foreign version wrote.
var errMeta = errors.New("queue: the message's record cannot be understood")

func decode(what string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", errMeta, what, err)
	}
	return nil
}

// readMessage reads what concerns all copies. Its ID is set even with an error.
func readMessage(s *spool.Store, id string) (Message, error) {
	m := Message{ID: id}
	data, err := s.Meta(id)
	if err == nil {
		err = decode("message", data, &m)
	}
	return m, err
}

func readCopy(s *spool.Store, ref spool.Ref) (Copy, error) {
	var c Copy
	data, err := s.Parcel(ref)
	if err == nil {
		err = decode("copy", data, &c)
	}
	return c, err
}

// readItem reads all that is known of a parcel. With an error the Item holds
// what could be read.
func readItem(s *spool.Store, ref spool.Ref) (Item, error) {
	it := Item{ID: ref.ID, Parcel: ref.Parcel, store: s}
	var errMessage, errCopy error
	it.Message, errMessage = readMessage(s, ref.ID)
	it.Copy, errCopy = readCopy(s, ref)
	return it, errors.Join(errMessage, errCopy)
}
