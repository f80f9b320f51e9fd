package queue

import (
	"context"
	"fmt"
	"iter"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
)

// A Row is one message in a listing, with the members of Postfix's
// `postqueue -j` first. Times are in seconds since 1970, 0 for none.
type Row struct {
	QueueName    State          `json:"queue_name"` // the liveliest of its recipients' states
	QueueID      string         `json:"queue_id"`
	ArrivalTime  int64          `json:"arrival_time"`
	MessageSize  int64          `json:"message_size"` // as it came, in bytes
	ForcedExpire bool           `json:"forced_expire"`
	Sender       string         `json:"sender"` // "" is the null sender
	Recipients   []RowRecipient `json:"recipients"`

	// Rule, Reason: the first recipient's that has one. NextAttemptTime: the
	// earliest of all.
	Rule            string       `json:"rule"`
	NextAttemptTime int64        `json:"next_attempt_time"`
	Reason          reason.Token `json:"reason"`
	Kind            Kind         `json:"kind"`
	// Damaged: its record cannot be read; what could not be known is empty.
	Damaged bool `json:"damaged"`
}

// A RowRecipient is one recipient in a listing.
type RowRecipient struct {
	Address         string       `json:"address"`
	DelayReason     string       `json:"delay_reason,omitempty"` // the latest answer
	State           State        `json:"state"`
	Rule            string       `json:"rule"`
	NextAttemptTime int64        `json:"next_attempt_time"`
	Reason          reason.Token `json:"reason"`
	Attempts        int          `json:"attempts"`
}

// A Detail is all that is shown of one message. It never holds content.
type Detail struct {
	Row
	MessageID  string            `json:"message_id"`
	Client     string            `json:"client"` // name[address], as in Postfix's log
	Hello      string            `json:"helo"`
	EnvID      string            `json:"envid"`
	SMTPUTF8   bool              `json:"smtputf8"`
	RequireTLS bool              `json:"requiretls"`
	Stored     int64             `json:"stored"` // in the spool, in bytes
	Details    []DetailRecipient `json:"details"`
}

// A DetailRecipient is what a Detail adds to each of the Recipients, in their
// order.
type DetailRecipient struct {
	Parcel          int      `json:"parcel"`
	Cipher          string   `json:"cipher"`
	Certificates    string   `json:"certificates"`
	Notify          []string `json:"notify"`
	ORcpt           string   `json:"orcpt"`
	LastAttemptTime int64    `json:"last_attempt_time"`
	Server          string   `json:"server"` // that gave the latest answer
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// list gives a row for each message that the filter chooses.
func (v view) list(ctx context.Context, f Filter) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for s, err := range v.choose(ctx, f, true) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			if !yield(v.row(s), nil) {
				return
			}
		}
	}
}

func (v view) row(s selection) Row {
	r := Row{
		QueueID: s.info.ID, ArrivalTime: unix(s.info.Arrival), MessageSize: s.message.Size, Sender: s.message.From.String(),
		Kind: s.message.Kind, Damaged: s.damaged || s.info.Damaged, Recipients: []RowRecipient{},
	}
	if s.damaged {
		r.MessageSize = s.info.Stored
	}
	for _, i := range s.parcels {
		p := v.rowRecipient(s, i)
		r.Recipients = append(r.Recipients, p)
		if r.Rule == "" {
			r.Rule = p.Rule
		}
		if r.Reason == "" {
			r.Reason = p.Reason
		}
		if r.NextAttemptTime == 0 || p.NextAttemptTime != 0 && p.NextAttemptTime < r.NextAttemptTime {
			r.NextAttemptTime = p.NextAttemptTime
		}
	}
	for _, state := range States() {
		for _, p := range r.Recipients {
			if r.QueueName == "" && p.State == state {
				r.QueueName = state
			}
		}
	}
	return r
}

func (v view) rowRecipient(s selection, i int) RowRecipient {
	st := s.info.States[i]
	n := readNote(st.Note)
	state, next := v.live(spool.Ref{ID: s.info.ID, Parcel: i}, st)
	p := RowRecipient{State: state, NextAttemptTime: unix(next), Reason: n.Reason, Attempts: st.Attempts}
	if s.copies != nil {
		p.Address, p.Rule = s.copies[i].To.String(), s.copies[i].Rule
	}
	if n.Reply != (reply.Reply{}) {
		p.DelayReason = n.Reply.String()
	}
	return p
}

// show gives all that is known of one message.
func (v view) show(id string) (Detail, error) {
	info, err := v.store.Info(id)
	if err != nil {
		return Detail{}, err
	}
	s := selection{info: info}
	if err := s.read(v.store); err != nil {
		return Detail{}, err
	}
	s.pick(v, Filter{})
	m := s.message
	d := Detail{
		Row: v.row(s), MessageID: m.MessageID, Hello: m.Client.Helo, EnvID: m.EnvID,
		SMTPUTF8: m.UTF8, RequireTLS: m.RequireTLS, Stored: info.Stored,
	}
	if m.Client.Addr != "" {
		name := m.Client.Name
		if name == "" {
			name = "unknown"
		}
		d.Client = fmt.Sprintf("%s[%s]", name, m.Client.Addr)
	}
	for _, i := range s.parcels {
		c, st := s.copies[i], info.States[i]
		d.Details = append(d.Details, DetailRecipient{
			Parcel: i, Cipher: c.Cipher, Certificates: c.Certificates, Notify: c.Notify, ORcpt: c.ORcpt,
			LastAttemptTime: unix(st.Last), Server: readNote(st.Note).Remote,
		})
	}
	return d, nil
}
