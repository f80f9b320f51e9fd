package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/queue"
	"sealpost/relay/reply"
	"sealpost/relay/spool"
	"sealpost/smime"
	"sealpost/smime/cms"
)

// A Queue keeps what was answered for and not yet taken by upstream. Put
// returns when that is durable; after an error nothing of it was kept.
// queue.Engine is the one that `serve` uses.
type Queue interface {
	Put(ctx context.Context, entries ...queue.Entry) error
	Trouble() bool   // upstream is known to be away
	Heard(err error) // how a copy went that did not wait
}

// Waiting says what waits in the queue instead of being refused for now.
type Waiting struct {
	Queue    Queue
	Patience time.Duration // how long a client waits for upstream's own answer
	Trouble  bool          // on_trouble: spool; otherwise only held messages wait
	// Invite tells a recipient, once for each message, that it is held, and
	// until when.
	Invite     bool
	HoldExpire time.Duration
}

// errNotKept is what a held recipient's client hears unless the queue has the
// message: nothing is answered for that is not durable.
var errNotKept = reply.Errorf(451, reply.Enhanced{4, 3, 0}, reason.NoCertificate,
	"There is no certificate yet, and the message cannot be kept now, try again later")

// waitsForKey reports a recipient whose message is held until there is a key.
func (m *message) waitsForKey(r *recipient) bool { return r.decision.Action == Held && m.asIs == nil }

// keep puts into the queue what upstream did not take for now and what is held
// until there is a key. From the first copy that was taken or kept the message
// is ours: what failed for good is then told by a report, as is what went to a
// server that does not report itself.
func (m *message) keep(ctx context.Context) {
	w := m.settings.Waiting
	var keep, failed []*recipient
	ours, clients := false, false // whose the message is after this
	for _, r := range m.rcpts {
		switch {
		case m.waitsForKey(r):
			r.err = errNotKept
			keep = append(keep, r)
		case r.err == nil:
			ours = true
		case r.err.Reply.Permanent():
			failed = append(failed, r)
		case w != nil && w.Trouble:
			keep = append(keep, r)
		default:
			clients = true // it comes again, with all recipients
		}
	}
	if w == nil || ctx.Err() != nil || clients && !m.client.LMTP {
		return
	}
	// A client that has an answer for each recipient hears of failures itself.
	if m.client.LMTP || !ours && len(keep) == 0 {
		failed = nil
	}
	relayed := m.relayed()
	if len(keep)+len(failed)+len(relayed) == 0 {
		return
	}
	entries, err := m.entries(keep)
	if err == nil {
		err = w.Queue.Put(ctx, append(append(entries, m.reports(failed, relayed)...), m.invitations(keep)...)...)
	}
	if err != nil && len(relayed) > 0 {
		m.relay.log.Error("no report that the message was relayed", "id", m.id, "error", err)
	}
	m.settle(keep, failed, err)
}

// settle notes what the queue said.
func (m *message) settle(keep, failed []*recipient, err error) {
	if err != nil {
		full := reply.Errorf(452, reply.Enhanced{4, 3, 1}, reason.ResourcesLow,
			"No room for the message, try again later").Because(err)
		for _, r := range keep {
			r.err = full
		}
		return
	}
	for _, r := range append(keep, failed...) {
		r.kept, r.why, r.err = true, r.err, nil
		if m.waitsForKey(r) {
			r.why = r.decision.Err
		}
	}
}

// entries are the messages to keep: one for each body that copies share.
func (m *message) entries(rcpts []*recipient) ([]queue.Entry, error) {
	var out []queue.Entry
	index := map[string]int{}
	for _, r := range rcpts {
		kind, cipher := m.kind(r)
		key := fmt.Sprint(kind, cipher)
		i, ok := index[key]
		if !ok {
			body, err := m.stored(kind, cipher)
			if err != nil {
				return nil, err
			}
			i = len(out)
			index[key] = i
			out = append(out, queue.Entry{Message: m.record(kind, i), Body: body})
		}
		c, err := m.copyOf(r, kind)
		if err != nil {
			return nil, err
		}
		out[i].Copies = append(out[i].Copies, c)
	}
	return out, nil
}

func (m *message) kind(r *recipient) (queue.Kind, cms.Cipher) {
	switch {
	case m.asIs != nil:
		return queue.AsCame, 0
	case m.waitsForKey(r):
		return queue.Held, 0
	case r.decision.Action == Passed:
		return queue.Clear, 0
	}
	return queue.Sealed, r.decision.Cipher
}

func (m *message) stored(kind queue.Kind, cipher cms.Cipher) (spool.Content, error) {
	if kind != queue.Sealed {
		return traced{m.trace, m.raw}, nil
	}
	return ciphertext{m.sealed[cipher]}, nil
}

// record is what the queue keeps of the message as a whole.
func (m *message) record(kind queue.Kind, n int) queue.Message {
	id := m.id
	if n > 0 {
		id = fmt.Sprintf("%s.%d", m.id, n+1)
	}
	out := queue.Message{
		ID: id, Kind: kind, From: m.mail.From, Arrived: m.received, Size: m.size, MessageID: m.messageID(),
		Client: origin(m.client), Listener: m.client.Listener, Remote: m.client.Remote.Addr().Unmap(),
		Ret: m.mail.Ret, EnvID: m.mail.EnvID, Body: string(m.mail.Body), UTF8: m.mail.UTF8,
		RequireTLS: m.mail.RequireTLS, Header: []byte(m.header.Raw()),
	}
	if kind == queue.Held {
		out.Extras, _ = json.Marshal(m.extras) // texts only: it cannot fail
	}
	return out
}

func (m *message) copyOf(r *recipient, kind queue.Kind) (queue.Copy, error) {
	c := queue.Copy{To: r.rcpt.To, Notify: r.rcpt.Notify, ORcpt: r.rcpt.ORcpt, Rule: ruleName(r.decision)}
	c.Said = r.err
	if kind == queue.Held {
		c.Said = r.decision.Err
	}
	if kind != queue.Sealed {
		return c, nil
	}
	c.Cipher, c.Certificates = r.decision.Cipher.String(), fingerprints(r.decision.Certificates)
	sealed, err := m.sealedCopy(r)
	if err != nil {
		return c, err
	}
	c.Head, err = sealed.Head()
	return c, err
}

// ciphertext is what the copies of a sealed message share.
type ciphertext struct{ *smime.Envelope }

// Size is the number of bytes of the ciphertext.
func (c ciphertext) Size() int64 { return c.Envelope.CiphertextSize() }

// WriteTo writes the ciphertext.
func (c ciphertext) WriteTo(w io.Writer) (int64, error) {
	r, err := c.Ciphertext()
	if err != nil {
		return 0, err
	}
	return io.Copy(w, r)
}
