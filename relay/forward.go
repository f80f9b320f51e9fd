package relay

import (
	"context"
	"strconv"
	"sync"

	"sealpost/internal/reason"
	"sealpost/relay/intake"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

// A parcel is one outgoing copy: recipients of the same treatment, and its
// bytes. A sealed copy has one recipient, so that nobody learns of another;
// what is passed as it is goes to all in one copy.
type parcel struct {
	recipients []*recipient
}

// plan groups the recipients that are still to be served into parcels, in the
// order in which they were named.
func (m *message) plan() []*parcel {
	var out []*parcel
	shared := map[string]*parcel{}
	for _, r := range m.rcpts {
		if r.err != nil || m.waitsForKey(r) {
			continue
		}
		key, alone := m.share(r)
		if p := shared[key]; p != nil && !alone {
			p.recipients = append(p.recipients, r)
			continue
		}
		p := &parcel{recipients: []*recipient{r}}
		out = append(out, p)
		if !alone {
			shared[key] = p
		}
	}
	return out
}

// share names the parcel that a recipient may share with others.
func (m *message) share(r *recipient) (key string, alone bool) {
	switch {
	case m.asIs != nil:
		return "as it came", false
	case r.decision.Action == Passed:
		return "rule " + r.decision.Clearance.Rule(), false
	}
	return "", true
}

// forward sends every parcel. The first goes alone: where upstream is away,
// nobody waits for the others to find out.
func (m *message) forward(ctx context.Context) {
	parcels := m.plan()
	if len(parcels) == 0 {
		return
	}
	if w := m.settings.Waiting; w != nil && w.Trouble {
		if w.Queue.Trouble() {
			for _, p := range parcels {
				p.fail(errUpstreamAway, nil)
			}
			return
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.Patience)
		defer cancel()
	}
	m.send(ctx, parcels[0])
	if away := parcels[0].unreachable(); away != nil {
		for _, p := range parcels[1:] {
			p.fail(away, nil)
		}
		return
	}
	// A few goroutines for all: each has to grow its stack for RSA once.
	rest := make(chan *parcel)
	var wg sync.WaitGroup
	for range min(m.relay.parallel, len(parcels)-1) {
		wg.Go(func() {
			for p := range rest {
				m.send(ctx, p)
			}
		})
	}
	for _, p := range parcels[1:] {
		rest <- p
	}
	close(rest)
	wg.Wait()
}

// send brings one parcel to upstream. Where upstream refuses some of several
// recipients it gets nothing; the others are tried again without them.
func (m *message) send(ctx context.Context, p *parcel) {
	body, err := m.body(p.recipients[0])
	if err != nil {
		p.fail(reply.Of(err), nil)
		return
	}
	for _, r := range p.recipients {
		r.asIs = m.asIs != nil
	}
	for rest := p.recipients; len(rest) > 0; {
		outcome, err := m.settings.Upstream.Send(ctx, m.envelope(rest), body)
		if w := m.settings.Waiting; w != nil {
			w.Queue.Heard(err)
		}
		if err == nil {
			for _, r := range rest {
				r.outcome = outcome
			}
			return
		}
		failure := reply.Of(err)
		accepted := settle(rest, outcome)
		if len(accepted) == len(rest) {
			(&parcel{recipients: rest}).fail(failure, outcome)
			return
		}
		rest = accepted
	}
}

// settle gives the recipients that upstream refused by name their reply, and
// returns the others.
func settle(recipients []*recipient, o *upstream.Outcome) []*recipient {
	if o == nil || len(o.Rcpts) != len(recipients) {
		return recipients
	}
	var accepted []*recipient
	for i, r := range recipients {
		if said := o.Rcpts[i]; said.Code >= 400 {
			r.err, r.outcome = upstreamSaid(said), o
			continue
		}
		accepted = append(accepted, r)
	}
	return accepted
}

func upstreamSaid(said reply.Reply) *reply.Error {
	why := reason.UpstreamRefused
	if said.Temporary() {
		why = reason.UpstreamDeferred
	}
	return &reply.Error{Reply: said, Reason: why}
}

// envelope is the MAIL and RCPT of a parcel.
func (m *message) envelope(to []*recipient) upstream.Envelope {
	e := upstream.Envelope{
		From: m.mail.From, Body: string(m.mail.Body), UTF8: m.mail.UTF8, RequireTLS: m.mail.RequireTLS,
		Ret: m.mail.Ret, EnvID: m.mail.EnvID, XForward: origin(m.client),
	}
	for _, r := range to {
		e.To = append(e.To, upstream.Rcpt{Address: r.rcpt.To, Notify: r.rcpt.Notify, ORcpt: r.rcpt.ORcpt})
	}
	return e
}

// origin is where the message came from, for an upstream that takes XFORWARD:
// what the client in front told us, or that client itself.
func origin(c *intake.Client) upstream.Attributes {
	if x := c.XForward; x != (intake.Attributes{}) {
		return upstream.Attributes(x)
	}
	a := upstream.Attributes{Name: c.Name, Proto: protocol(c), Helo: c.Hello}
	if c.Remote.IsValid() { // a trusted peer may not have told
		a.Addr, a.Port = c.Remote.Addr().Unmap().String(), strconv.Itoa(int(c.Remote.Port()))
	}
	return a
}

func protocol(c *intake.Client) string {
	if c.ESMTP {
		return "ESMTP"
	}
	return "SMTP"
}

// unreachable is the failure of a parcel that no other parcel will escape.
func (p *parcel) unreachable() *reply.Error {
	err := p.recipients[0].err
	if err == nil {
		return nil
	}
	switch err.Reason {
	case reason.UpstreamUnreachable, reason.UpstreamTLS, reason.UpstreamAuth:
		return err
	}
	return nil
}

// errUpstreamAway stands for the attempt that is not made while upstream is
// known to be away. With a queue nobody hears it.
var errUpstreamAway = reply.Errorf(451, reply.Enhanced{4, 4, 1}, reason.UpstreamUnreachable, "Upstream cannot be reached")

func (p *parcel) fail(err *reply.Error, o *upstream.Outcome) {
	for _, r := range p.recipients {
		r.err, r.outcome = err, o
	}
}
