package relay

import (
	"context"
	"fmt"
	"net/netip"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/relay/policy"
	"sealpost/relay/reply"
	"sealpost/smime/cms"
)

// An Action is what becomes of one recipient's copy. The words stand in logs,
// metrics and `sealpost explain`.
type Action string

// The actions.
const (
	Sealed   Action = "sealed"
	Passed   Action = "passed"
	Refused  Action = "refused"
	Deferred Action = "deferred"
	Held     Action = "held" // waits, sealed at rest, for a certificate
	// Provision: the directory will be asked to make a key once the header is
	// known. The decision that follows from its answer takes this one's place.
	Provision Action = "provision"
)

// A Decision is what one rule means for one recipient.
type Decision struct {
	Rule         *policy.Rule
	Action       Action
	Certificates []*certificate.Certificate // Sealed: the keys the copy is sealed to
	Keys         []cms.Recipient            // Sealed: the same, ready to use
	Cipher       cms.Cipher                 // Sealed
	Instead      address.Address            // Sealed: whose certificates these are, when not the recipient's own
	Clearance    policy.Clearance           // Passed
	Err          *reply.Error               // Refused, Deferred: the answer to the client. Held: why it is, if not by the rule
	Provisioned  string                     // Sealed: "created" or "known" when the directory was asked for a key
}

// Accepts reports whether the recipient's copy can go out, now or later.
func (d Decision) Accepts() bool {
	return d.Action == Sealed || d.Action == Passed || d.Action == Held || d.Action == Provision
}

// A Verdict is what is known of one recipient at RCPT: one decision for each
// rule that may turn out to be the first match once the header is known.
type Verdict struct {
	Recipient address.Address
	Answer    lookup.Answer // zero when no rule needed it
	Asked     bool          // whether Answer was asked for
	Decisions []Decision    // in the order of the rules
	Open      bool          // the header may match no rule at all
}

// Settled reports that the decision does not depend on the header.
func (v *Verdict) Settled() bool { return len(v.Decisions) == 1 && !v.Open }

// AtRcpt is the answer at RCPT: nil when some rule may accept the recipient.
// When none can, the refusal is temporary if one of them is.
func (v *Verdict) AtRcpt() *reply.Error {
	refusal := errNoRule(v.Recipient)
	for _, d := range v.Decisions {
		if d.Accepts() {
			return nil
		}
		if d.Action == Deferred {
			return d.Err
		}
		refusal = d.Err
	}
	return refusal
}

// AtData is the decision once the header is known.
func (v *Verdict) AtData(h policy.Header) Decision {
	for _, d := range v.Decisions {
		if d.Rule.MatchesHeader(h) {
			return d
		}
	}
	return Decision{Action: Refused, Err: errNoRule(v.Recipient)}
}

// A Sender is what the policy may know of who sends.
type Sender struct {
	Address  address.Address
	Listener string
	Client   netip.Addr
}

// A Decider answers RCPT: policy first, then the directory. It is what both
// `serve` and `explain` run.
type Decider struct {
	Policy          *policy.Policy
	Directory       lookup.Source
	Content         Content
	Keys            cms.KeyOptions
	MaxCertificates int
}

// Decide judges one recipient.
func (d *Decider) Decide(ctx context.Context, from Sender, to address.Address) *Verdict {
	v := &Verdict{Recipient: to}
	rules := d.Policy.Candidates(policy.Request{
		Sender: from.Address, Recipient: to, Listener: from.Listener, Client: from.Client,
	})
	for _, r := range rules {
		if r.Encrypt == policy.Always && !v.Asked {
			v.Answer, v.Asked = d.Directory.Lookup(ctx, to), true
		}
		v.Decisions = append(v.Decisions, d.apply(r, to, v.Answer))
	}
	v.Open = len(rules) == 0 || rules[len(rules)-1].Header != nil
	return v
}

func (d *Decider) apply(r *policy.Rule, to address.Address, answer lookup.Answer) Decision {
	if c, ok := r.Clear(false); ok {
		return Decision{Rule: r, Action: Passed, Clearance: c}
	}
	switch answer.Outcome {
	case lookup.Found:
		return d.seal(r, to, answer)
	case lookup.None:
		if c, ok := r.Clear(true); ok {
			return Decision{Rule: r, Action: Passed, Clearance: c}
		}
		switch r.NoKey {
		case policy.Hold:
			return Decision{Rule: r, Action: Held}
		case policy.Provision:
			return Decision{Rule: r, Action: Provision}
		}
		return Decision{Rule: r, Action: Refused, Err: errNoCertificate(to, answer)}
	default: // never "no key": a lookup that failed says nothing about the recipient
		return Decision{Rule: r, Action: Deferred, Err: errUnavailable(to, answer)}
	}
}

func (d *Decider) seal(r *policy.Rule, to address.Address, answer lookup.Answer) Decision {
	out := Decision{Rule: r, Action: Sealed, Instead: answer.Instead}
	var last error
	for _, c := range answer.Usable(d.MaxCertificates) {
		key, err := cms.NewRecipient(c, d.Keys)
		if err != nil {
			last = err
			continue
		}
		out.Certificates = append(out.Certificates, c)
		out.Keys = append(out.Keys, key)
	}
	if len(out.Keys) == 0 {
		return Decision{Rule: r, Action: Refused, Err: reply.Errorf(550, reply.Enhanced{5, 7, 1}, reason.CertificateKeyKind,
			"<%s>: none of the recipient's certificates has a key that mail can be sealed to", to).Because(last)}
	}
	out.Cipher = d.Content.Choose(out.Certificates, answer)
	return out
}

func errNoRule(to address.Address) *reply.Error {
	return reply.Errorf(550, reply.Enhanced{5, 7, 1}, reason.PolicyNoRule, "<%s>: no policy rule allows mail to this recipient", to)
}

func errUnavailable(to address.Address, answer lookup.Answer) *reply.Error {
	return reply.Errorf(451, reply.Enhanced{4, 4, 3}, reason.LookupUnavailable,
		"<%s>: the certificate directory cannot be asked now, try again later", to).Because(answer.Err)
}

// errNoCertificate names the nearest reason: why the certificate that came
// closest was refused, or that there was none.
func errNoCertificate(to address.Address, answer lookup.Answer) *reply.Error {
	why, text := reason.NoCertificate, "no certificate for this recipient"
	if c, ok := answer.Nearest(); ok {
		why, text = c.Reason, "no usable certificate for this recipient: it "+c.Why
	}
	return reply.Errorf(550, reply.Enhanced{5, 7, 1}, why, "<%s>: %s", to, text)
}

// Content is the configured choice of the content cipher.
type Content struct {
	Auto  bool       // by the recipient's known capabilities
	Fixed cms.Cipher // otherwise
}

// String is the configured word.
func (c Content) String() string {
	if c.Auto {
		return "auto"
	}
	return c.Fixed.String()
}

// Choose takes AES-GCM only where every key of the recipient is known to open
// it (see lookup.Answer.Capable); AES-256-CBC is what every reader opens.
func (c Content) Choose(certs []*certificate.Certificate, answer lookup.Answer) cms.Cipher {
	if !c.Auto {
		return c.Fixed
	}
	for _, cipher := range []cms.Cipher{cms.AES256GCM, cms.AES128GCM} {
		if allCapable(certs, answer, cipher) {
			return cipher
		}
	}
	return cms.AES256CBC
}

func allCapable(certs []*certificate.Certificate, answer lookup.Answer, cipher cms.Cipher) bool {
	for _, c := range certs {
		if !answer.Capable(c, cipher.OID()) {
			return false
		}
	}
	return len(certs) > 0
}

// Describe says in one line what will happen, for `explain`.
func (d Decision) Describe() string {
	switch d.Action {
	case Sealed:
		return fmt.Sprintf("sealed with %s to %d certificate(s)", d.Cipher, len(d.Certificates))
	case Held:
		return "held until there is a certificate"
	case Provision:
		return "sealed to a key that the directory makes"
	case Passed:
		return fmt.Sprintf("passed in the clear, allowed by rule %q", d.Clearance.Rule())
	default:
		return fmt.Sprintf("%s: %s", d.Action, d.Err.Reply)
	}
}
