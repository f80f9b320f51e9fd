package queue

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/dsn"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
)

// A note is what the queue keeps of a parcel's past in spool.State.Note.
type note struct {
	Reply  reply.Reply  `json:"reply,omitzero"` // the latest answer
	Reason reason.Token `json:"reason,omitempty"`
	Remote string       `json:"remote,omitempty"` // who gave it
	// Through: the relay tried once before the message was put.
	Through bool `json:"through,omitempty"`
	// Released is when a key was found for a copy that was held.
	Released time.Time `json:"released,omitzero"`
	// Action and Status are those of the report that is owed.
	Action dsn.Action     `json:"action,omitempty"`
	Status reply.Enhanced `json:"status,omitzero"`
}

// maxNoteText keeps a note within spool.MaxNote, however its text is escaped.
const maxNoteText = 400

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

func (n note) encode() []byte {
	n.Reply.Text = clip(n.Reply.Text, maxNoteText)
	n.Remote = clip(n.Remote, 128)
	n.Reason = reason.Token(clip(string(n.Reason), 64))
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// A struct of strings and numbers always encodes; a note is no reason to
	// stop delivering in any case.
	if enc.Encode(n) != nil || b.Len() > spool.MaxNote {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}

// readNote reads a note as far as it can be understood: it is history only,
// and never a reason not to deliver.
func readNote(data []byte) note {
	var n note
	if json.Unmarshal(data, &n) != nil {
		return note{}
	}
	return n
}

// after is the note once an attempt has ended with an error.
func (n note) after(err error, o *upstream.Outcome) note {
	said := reply.Of(err)
	n.Reply, n.Reason, n.Remote = said.Reply, said.Reason, ""
	if o != nil {
		n.Remote = o.Server
	}
	return n
}
