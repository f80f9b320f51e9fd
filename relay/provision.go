package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/relay/policy"
	"sealpost/relay/queue"
	"sealpost/relay/reply"
	"sealpost/smime"
)

// A Provisioner has a directory make a key for somebody who has none, once for
// each address: asked again, it gives the certificate that there is. Its answer
// is judged, as that of a lookup is. The error is a *NotProvisioned when the
// directory says no; every other one means that it cannot be asked now.
type Provisioner interface {
	Provision(ctx context.Context, to address.Address, r ProvisionRequest) (Provisioned, error)
}

// A ProvisionRequest is what goes with the address. Hazard: Secret is one.
type ProvisionRequest struct {
	Secret     string          `json:"secret,omitempty"`     // a second factor for the claim
	References []string        `json:"references,omitempty"` // at most two that the recipient knows
	Language   string          `json:"language,omitempty"`   // BCP 47, for the notice
	Sender     address.Address `json:"sender,omitzero"`      // whom the notice names
}

// String leaves the secret out, so that it gets into no log.
func (r ProvisionRequest) String() string { return "a key for mail of <" + r.Sender.String() + ">" }

// GoString leaves the secret out.
func (r ProvisionRequest) GoString() string { return r.String() }

// Provisioned is the directory's answer.
type Provisioned struct {
	Answer  lookup.Answer
	Created bool // the key was made now
}

// A NotProvisioned is the directory's no.
type NotProvisioned struct {
	Reason    reason.Token
	Why       string // for people, after the address and a colon
	Temporary bool   // it may say yes later
}

// Error says why.
func (e *NotProvisioned) Error() string { return fmt.Sprintf("%s (%s)", e.Why, e.Reason) }

var errNoProvisioner = errors.New("no directory is configured that could make keys")

// provision has keys made for the recipients whose rule wants that. It returns
// the refusal that all recipients share; nothing has been sent yet.
func (m *message) provision(ctx context.Context) error {
	var want []*recipient
	for _, r := range m.rcpts {
		if r.err == nil && r.decision.Action == Provision {
			want = append(want, r)
		}
	}
	if len(want) == 0 {
		return nil
	}
	var wg sync.WaitGroup
	places := make(chan struct{}, m.relay.parallel)
	for _, r := range want {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			r.decision = m.settings.provision(ctx, r.decision.Rule, r.rcpt.To, m.extras, m.relay.metrics)
			if r.decision.Action == Deferred && m.mayHold(r.decision.Err) {
				r.decision.Action = Held
			}
			if !r.decision.Accepts() {
				r.err = r.decision.Err
			}
		})
	}
	wg.Wait()
	return m.refusal(want)
}

// mayHold reports that a message waits here for a directory that cannot be asked
// now. What the directory itself put off is the client's to bring again.
func (m *message) mayHold(err *reply.Error) bool {
	w := m.settings.Waiting
	return w != nil && w.Trouble && err.Reason == reason.ProvisionUnavailable
}

// provision asks for one key, and decides anew with the answer: sealed, refused
// or deferred, and nothing else.
func (s *Settings) provision(ctx context.Context, rule *policy.Rule, to address.Address, r ProvisionRequest, m *Metrics) Decision {
	d := Decision{Rule: rule, Action: Deferred}
	if s.Provisioner == nil {
		d.Err = errNotProvisioned(to, errNoProvisioner)
		return d
	}
	p, err := s.Provisioner.Provision(ctx, to, r)
	var no *NotProvisioned
	switch {
	case errors.As(err, &no) && no.Temporary:
		d.Err = reply.Errorf(451, reply.Enhanced{4, 7, 1}, no.Reason, "<%s>: %s", to, oneLine(no.Why))
	case errors.As(err, &no):
		d.Action, d.Err = Refused, reply.Errorf(550, reply.Enhanced{5, 7, 1}, no.Reason, "<%s>: %s", to, oneLine(no.Why))
	case err != nil:
		d.Err = errNotProvisioned(to, err)
	case p.Answer.Outcome == lookup.Found:
		if d = s.Decider.seal(rule, to, p.Answer); d.Action != Sealed {
			d = Decision{Rule: rule, Action: Deferred, Err: errNotProvisioned(to, d.Err)}
			break
		}
		d.Provisioned = "known"
		if p.Created {
			d.Provisioned = "created"
		}
	default:
		d.Err = errKeyNotUsable(to, p.Answer)
	}
	m.provisioned(d)
	return d
}

func errNotProvisioned(to address.Address, err error) *reply.Error {
	return reply.Errorf(451, reply.Enhanced{4, 4, 3}, reason.ProvisionUnavailable,
		"<%s>: the directory cannot make a key now, try again later", to).Because(err)
}

// errKeyNotUsable is for a key of the directory that our own trust turns down:
// nothing that the sender or the recipient could mend.
func errKeyNotUsable(to address.Address, answer lookup.Answer) *reply.Error {
	cause := answer.Err
	if c, ok := answer.Nearest(); ok {
		cause = errors.Join(cause, fmt.Errorf("the certificate that the directory gave %s (%s)", c.Why, c.Reason))
	}
	return errNotProvisioned(to, cause)
}

// requestOf is what a held message's key is to be made with.
func requestOf(it queue.Item) (ProvisionRequest, error) {
	var r ProvisionRequest
	if it.Message.Extras == nil {
		return r, nil
	}
	err := json.Unmarshal(it.Message.Extras, &r)
	return r, err
}

// resolveProvision asks once more for the key of a held copy.
func (r *Relay) resolveProvision(ctx context.Context, s *Settings, rule *policy.Rule, it queue.Item, h *smime.Header) (Decision, error) {
	request, err := requestOf(it)
	if err != nil {
		return Decision{}, fmt.Errorf("what the key is to be made with: %w", err)
	}
	if request.Sender.IsNull() {
		request.Sender = author(h, it.Message.From)
	}
	return s.provision(ctx, rule, it.Copy.To, request, r.metrics), nil
}
