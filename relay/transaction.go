package relay

import (
	"context"
	"io"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/intake"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
	"sealpost/smime"
)

// A transaction is one message on its way from MAIL to the answer after DATA.
type transaction struct {
	relay    *Relay
	settings *Settings
	client   *intake.Client
	mail     intake.Mail
	id       string
	arrived  time.Time
	rcpts    []*recipient
}

// A recipient is one accepted RCPT and, in the end, what became of it.
type recipient struct {
	rcpt     intake.Rcpt
	verdict  *Verdict
	decision Decision
	asIs     bool // the message came protected and went out untouched
	sealed   *smime.Sealed
	outcome  *upstream.Outcome
	err      *reply.Error // nil: upstream took the copy, or it is kept
	kept     bool         // the queue has the copy, or the report that it failed
	why      *reply.Error // kept: why it did not go through at once
}

// Rcpt answers RCPT: refused at the door what no rule can accept.
func (t *transaction) Rcpt(ctx context.Context, r intake.Rcpt) error {
	if err := t.settings.MayRelay(t.client.Listener, t.client.Remote.Addr(), t.client.User); err != nil {
		t.logRefusedRcpt(r, Decision{Action: Refused, Err: err})
		return err
	}
	v := t.settings.Decider.Decide(ctx, t.sender(), r.To)
	if err := v.AtRcpt(); err != nil {
		d := Decision{Action: Refused, Err: err}
		if err.Reply.Temporary() {
			d.Action = Deferred
		}
		if len(v.Decisions) > 0 {
			d.Rule = v.Decisions[len(v.Decisions)-1].Rule
		}
		t.logRefusedRcpt(r, d)
		return err
	}
	t.rcpts = append(t.rcpts, &recipient{rcpt: r, verdict: v})
	return nil
}

func (t *transaction) sender() Sender {
	return Sender{Address: t.mail.From, Listener: t.client.Listener, Client: t.client.Remote.Addr().Unmap()}
}

// Data takes the message and answers for it: with one reply, or one for each
// recipient on LMTP.
func (t *transaction) Data(ctx context.Context, content io.Reader) []reply.Reply {
	m := &message{transaction: t, start: t.relay.now()}
	if err := m.process(ctx, content); err != nil {
		refusal := reply.Of(err)
		for _, r := range t.rcpts {
			r.err = refusal
		}
	}
	answers := t.answers()
	m.gathered(answers)
	t.logMessage(m)
	return answers
}

// Close ends the transaction; nothing is held beyond Data.
func (t *transaction) Close() {}

// answers turns the recipients' fates into what the client hears.
func (t *transaction) answers() []reply.Reply {
	if t.client.LMTP {
		out := make([]reply.Reply, len(t.rcpts))
		for i, r := range t.rcpts {
			out[i] = t.single(r)
		}
		return out
	}
	return []reply.Reply{t.joint()}
}

func (t *transaction) single(r *recipient) reply.Reply {
	switch {
	case r.err != nil:
		return r.err.Tagged()
	case r.kept:
		return reply.New(250, reply.Enhanced{2, 0, 0}, "Ok: queued as "+t.id)
	}
	return reply.New(250, reply.Enhanced{2, 0, 0}, r.outcome.Reply.Text+"; queued as "+t.id)
}

// joint is the one answer for all recipients (RFC 5321 section 4.2.5). All
// taken or kept is 250. Nothing taken is upstream's own refusal, a temporary
// one where there is any. Some taken and others not is 451, without a queue:
// the client keeps the message and tries again, so that nobody is left out; the
// others get it twice.
func (t *transaction) joint() reply.Reply {
	var temporary, permanent *recipient
	taken, kept := 0, false
	for _, r := range t.rcpts {
		switch {
		case r.err == nil:
			taken++
			kept = kept || r.kept
		case r.err.Reply.Permanent():
			permanent = first(permanent, r)
		default:
			temporary = first(temporary, r)
		}
	}
	failed := first(temporary, permanent)
	switch {
	case failed == nil && len(t.rcpts) == 1:
		return t.single(t.rcpts[0])
	case failed == nil && kept:
		return reply.New(250, reply.Enhanced{2, 0, 0}, "Ok: queued as "+t.id)
	case failed == nil:
		return reply.New(250, reply.Enhanced{2, 0, 0}, "Ok: upstream took all copies; queued as "+t.id)
	case taken == 0:
		return failed.err.Tagged()
	}
	return reply.Errorf(451, reply.Enhanced{4, 3, 0}, reason.PartlyDelivered,
		"%d of %d recipients were taken by upstream; <%s>: %s", taken, len(t.rcpts), failed.rcpt.To, failed.err.Reply).Tagged()
}

func first(a, b *recipient) *recipient {
	if a != nil {
		return a
	}
	return b
}
