package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"sealpost/internal/reason"
	"sealpost/relay/dsn"
	"sealpost/relay/policy"
	"sealpost/relay/queue"
	"sealpost/relay/reply"
	"sealpost/relay/spill"
	"sealpost/relay/spool"
	"sealpost/relay/upstream"
	"sealpost/smime"
)

// Deliver brings a copy that waited in the queue to upstream. What leaves is
// proven anew, by the same three ways as at the door; what the spool says
// about itself is not enough.
func (r *Relay) Deliver(ctx context.Context, it queue.Item) (*upstream.Outcome, error) {
	d := &delivery{relay: r, settings: r.settings.Load(), item: it}
	defer d.close()
	body, err := d.body()
	if err != nil {
		return nil, err
	}
	return d.settings.Upstream.Send(ctx, d.envelope(), body)
}

// Resolve asks whether a held copy can be sealed now. It never lets one go in
// any other way.
func (r *Relay) Resolve(ctx context.Context, it queue.Item) (queue.Release, error) {
	m, err := smime.ReadMessage(bytes.NewReader(it.Message.Header), r.settings.Load().Limits)
	if err != nil {
		return nil, err
	}
	from := Sender{Address: it.Message.From, Listener: it.Message.Listener, Client: it.Message.Remote}
	settings := r.settings.Load()
	decision := settings.Decider.Decide(ctx, from, it.Copy.To).AtData(fields{m.Header})
	if decision.Action == Provision {
		if decision, err = r.resolveProvision(ctx, settings, decision.Rule, it, m.Header); err != nil {
			return nil, err
		}
	}
	switch {
	case decision.Action == Sealed:
		return decision, nil
	case decision.Err != nil:
		return nil, decision.Err
	}
	return nil, errNoCertificateYet(it)
}

func errNoCertificateYet(it queue.Item) *reply.Error {
	return reply.Errorf(450, reply.Enhanced{4, 7, 1}, reason.NoCertificate, "<%s>: no usable certificate yet", it.Copy.To)
}

// A delivery is one attempt with what it holds while it lasts.
type delivery struct {
	relay     *Relay
	settings  *Settings
	item      queue.Item
	spills    []*spill.Spill
	envelopes []*smime.Envelope
}

func (d *delivery) close() {
	for _, e := range d.envelopes {
		e.Close()
	}
	for _, s := range d.spills {
		s.Close()
	}
}

func (d *delivery) body() (upstream.Body, error) {
	stored, err := d.load()
	if err != nil {
		return upstream.Body{}, err
	}
	switch d.item.Message.Kind {
	case queue.Sealed:
		sealed, err := smime.Reopen(d.item.Copy.Head, stored)
		if err != nil {
			return upstream.Body{}, damaged(err)
		}
		return upstream.Sealed(sealed), nil
	case queue.AsCame:
		return d.asCame(stored)
	case queue.Clear:
		c, ok := d.settings.Decider.Policy.Clearance(d.item.Copy.Rule)
		if !ok {
			return upstream.Body{}, reply.Errorf(451, reply.Enhanced{4, 7, 1}, reason.PolicyNoRule,
				"<%s>: the rule %q that let this message pass unsealed does not do so any more", d.item.Copy.To, d.item.Copy.Rule)
		}
		return upstream.Cleartext(c, content{stored})
	case queue.Held:
		return d.seal(stored)
	case queue.Notice:
		r, err := stored.Reader()
		if err != nil {
			return upstream.Body{}, err
		}
		notice, err := dsn.Read(r)
		if err != nil {
			return upstream.Body{}, damaged(err)
		}
		return upstream.Notice(notice), nil
	case queue.Invite:
		return invitation(stored)
	}
	return upstream.Body{}, fmt.Errorf("relay: no such kind of message: %q", d.item.Message.Kind)
}

// load reads the body out of the spool, to its true end.
func (d *delivery) load() (*spill.Spill, error) {
	r, err := d.item.OpenBody()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s := d.newSpill()
	_, err = io.Copy(s, r)
	return s, err
}

func (d *delivery) newSpill() *spill.Spill {
	s := d.relay.spill.New()
	d.spills = append(d.spills, s)
	return s
}

// asCame proves once more that the message is encrypted.
func (d *delivery) asCame(stored *spill.Spill) (upstream.Body, error) {
	m, err := open(stored, d.settings.Limits)
	if err != nil {
		return upstream.Body{}, err
	}
	proof := smime.NewProof(m.Header)
	if _, err := io.Copy(proof, m.Body); err != nil {
		return upstream.Body{}, err
	}
	protected, err := proof.Close()
	if err != nil {
		return upstream.Body{}, damaged(err)
	}
	return upstream.Protected(protected, content{stored}), nil
}

// seal makes the copy of a message that was held until now.
func (d *delivery) seal(stored *spill.Spill) (upstream.Body, error) {
	decision, ok := d.item.Release.(Decision)
	if !ok || decision.Action != Sealed {
		return upstream.Body{}, errNoCertificateYet(d.item)
	}
	m, err := open(stored, d.settings.Limits)
	if err != nil {
		return upstream.Body{}, err
	}
	d.envelopes, err = smime.Seal(m, smime.SealOptions{Drop: d.settings.Drop},
		smime.Target{Cipher: decision.Cipher, Store: d.newSpill()})
	if err != nil {
		return upstream.Body{}, err
	}
	sealed, err := d.envelopes[0].Copy(decision.Keys...)
	if err != nil {
		return upstream.Body{}, err
	}
	return upstream.Sealed(sealed), nil
}

func (d *delivery) envelope() upstream.Envelope {
	m, c := &d.item.Message, &d.item.Copy
	return upstream.Envelope{
		From: m.From, Body: m.Body, UTF8: m.UTF8, RequireTLS: m.RequireTLS, Ret: m.Ret, EnvID: m.EnvID,
		XForward: m.Client,
		To:       []upstream.Rcpt{{Address: c.To, Notify: c.Notify, ORcpt: c.ORcpt}},
	}
}

func open(stored *spill.Spill, lim smime.Limits) (*smime.Message, error) {
	r, err := stored.Reader()
	if err != nil {
		return nil, err
	}
	return smime.ReadMessage(r, lim)
}

// damaged says that the stored bytes are not what was written.
func damaged(err error) error { return errors.Join(spool.ErrDamaged, err) }

// content is a whole message in a spill.
type content struct{ *spill.Spill }

// WriteTo writes the message.
func (c content) WriteTo(w io.Writer) (int64, error) {
	r, err := c.Reader()
	if err != nil {
		return 0, err
	}
	return io.Copy(w, r)
}

var _ policy.Header = fields{}
