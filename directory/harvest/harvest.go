package harvest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/lookup"
	"sealpost/smime"
	"sealpost/smime/cms"
)

// Bounds on when a signature may have been made.
const (
	defaultMaxAge = 30 * 24 * time.Hour
	skew          = 15 * time.Minute // by which clocks may differ
)

// Options say whom a Harvester believes.
type Options struct {
	// Trust judges the certificates. lookup.PKI asks for chains to trusted roots;
	// lookup.Itself is trust on first use: nobody vouches for the sender. Purpose
	// and Clock are set here.
	Trust lookup.TrustOptions
	// MaxAge is how long ago a signature may have been made; default 30 days. An
	// old message that is played back would bring an old key back.
	MaxAge  time.Duration
	MaxSize int64            // bytes of a message; 0 is smime.DefaultSignedSize
	Clock   func() time.Time // default: time.Now
}

// A Harvester learns certificates from signed mail. It keeps nothing between
// messages, and may be used by many goroutines at once.
type Harvester struct {
	opts Options
}

// ErrLater says that a message may teach something, but that it is not known
// now whether its certificates were withdrawn (Options.Trust.Hard).
var ErrLater = errors.New("whether the certificate was revoked is not known now, and has to be")

// New makes a Harvester. The error is that of lookup.NewTrusted: trust by PKI
// needs roots.
func New(opts Options) (*Harvester, error) {
	if opts.MaxAge <= 0 {
		opts.MaxAge = defaultMaxAge
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	opts.Trust.Clock = opts.Clock
	if _, err := lookup.NewTrusted(bundle(nil), opts.Trust); err != nil {
		return nil, err
	}
	return &Harvester{opts}, nil
}

// Read reads a raw message and gives what it teaches. It teaches something only
// when all of this holds:
//
//   - the message as a whole is signed (smime.ReadSigned), every signature in it
//     verifies, and exactly one was made with a certificate for the address in
//     its From field (smime.From);
//   - that certificate is trusted, valid now, and may sign mail;
//   - the signature says when it was made, and that is not in the future, not
//     before the certificate began, and not longer ago than MaxAge;
//   - a certificate to encrypt to is found, for the same address, and is
//     trusted, valid now and strong enough: see choose.
//
// Otherwise the error is a *Refusal; or ErrLater; or it is r's.
func (h *Harvester) Read(ctx context.Context, r io.Reader) (Learned, error) {
	learned, err := h.read(ctx, r)
	var no *Refusal
	if errors.As(err, &no) && no.Reason == reason.RevocationUnknown {
		return Learned{}, fmt.Errorf("%w: %s", ErrLater, no.Why)
	}
	return learned, err
}

func (h *Harvester) read(ctx context.Context, r io.Reader) (Learned, error) {
	m, err := smime.ReadSigned(r, smime.SignedOptions{MaxSize: h.opts.MaxSize})
	if err != nil {
		return Learned{}, unread(err)
	}
	if len(m.Signers) == 0 || !m.ContentType.Equal(oidData) {
		return Learned{}, refuse(reason.MessageNotSigned, "The message holds certificates, but is not signed.")
	}
	from, err := smime.From(m.Header)
	if err != nil {
		return Learned{}, &Refusal{reason.FromAmbiguous, "It is not clear beyond doubt who sent the message: " + err.Error() + ".", err}
	}
	signed, err := h.signature(ctx, m, from)
	if err != nil {
		return Learned{}, err
	}
	chosen, err := h.choose(ctx, m.Certificates, signed, from)
	if err != nil {
		return Learned{}, err
	}
	return Learned{
		Address: from, Certificate: chosen.cert, Chain: chainOf(chosen.cert, m.Certificates),
		Capabilities: capabilities(signed.by),
		MessageID:    messageID(m.Header), Signer: printable(signed.own.Subject),
		Verdict: h.vouched() + "; " + chosen.how, SigningTime: signed.by.SigningTime,
	}, nil
}

// A signature is the one that counts, with the certificate that made it.
type signature struct {
	by  *cms.Signer
	own *certificate.Certificate
}

// signature verifies all signatures and finds the one that is the sender's.
func (h *Harvester) signature(ctx context.Context, m *smime.Signed, from address.Address) (signature, error) {
	verdicts, err := h.judge(ctx, lookup.Sign, from, m.Certificates)
	if err != nil {
		return signature{}, err
	}
	var all, mine []signature
	for _, s := range m.Signers {
		c, err := m.Verify(s)
		if err != nil {
			return signature{}, unverified(err)
		}
		all = append(all, signature{s, c})
		if why := verdicts[c].Reason; why != reason.CertificateAddress && why != reason.CertificateCA {
			mine = append(mine, signature{s, c})
		}
	}
	if len(mine) > 1 {
		return signature{}, refuse(reason.SignersSeveral, "The message has several signatures by its sender.")
	}
	one := all[0]
	if len(mine) == 1 {
		one = mine[0]
	}
	if v := verdicts[one.own]; !v.Usable {
		return signature{}, unusable("The certificate that signed ", v)
	}
	return one, h.checkTime(one)
}

func (h *Harvester) checkTime(s signature) error {
	now, at := h.opts.Clock(), s.by.SigningTime
	const token = reason.SignatureTime
	switch {
	case at.IsZero():
		return refuse(token, "The signature does not say when it was made.")
	case at.After(now.Add(skew)):
		return refuse(token, "The signature says that it will be made in the future.")
	case at.Before(s.own.NotBefore.Add(-skew)):
		return refuse(token, "The signature says that it was made before the signer's certificate.")
	case at.Before(now.Add(-h.opts.MaxAge)):
		return refuse(reason.SignatureOld, "The signature was made longer ago than is accepted here.")
	}
	return nil
}

// verdicts tells of each certificate what was thought of it.
type verdicts map[*certificate.Certificate]lookup.Candidate

// judge has all certificates of a message judged for one purpose.
func (h *Harvester) judge(ctx context.Context, purpose lookup.Purpose, addr address.Address, all []*certificate.Certificate) (verdicts, error) {
	opts := h.opts.Trust
	opts.Purpose = purpose
	trusted, err := lookup.NewTrusted(bundle(all), opts)
	if err != nil {
		return nil, err
	}
	v := verdicts{}
	for _, c := range trusted.Lookup(ctx, addr).Candidates {
		v[c.Cert] = c
	}
	return v, nil
}

// A bundle is the certificates of one message as a source.
type bundle []*certificate.Certificate

// Lookup gives all of them, whatever the address: who judges them looks at that.
func (b bundle) Lookup(context.Context, address.Address) lookup.Answer {
	a := lookup.Answer{Outcome: lookup.Found}
	for _, c := range b {
		a.Candidates = append(a.Candidates, lookup.Candidate{Cert: c, Source: "message"})
	}
	return a
}

func (h *Harvester) vouched() string {
	if h.opts.Trust.Vouch == lookup.Itself {
		return "trust on first use"
	}
	return "chain to a trusted root"
}

// unread maps errors of reading.
func unread(err error) error {
	var malformed *smime.MalformedError
	var format *cms.FormatError
	switch {
	case errors.Is(err, smime.ErrNotSigned):
		return &Refusal{reason.MessageNotSigned, "The message is not signed with S/MIME as a whole.", err}
	case errors.Is(err, smime.ErrSignedTooLarge):
		return &Refusal{reason.MessageTooLarge, "The message is too large.", err}
	case errors.As(err, &malformed):
		return &Refusal{reason.MessageMalformed, "The message cannot be read for certain: " + err.Error() + ".", err}
	case errors.As(err, &format):
		return &Refusal{reason.SignatureInvalid, "The signature is damaged.", err}
	}
	return err
}

// unverified maps errors of verification.
func unverified(err error) error {
	switch {
	case errors.Is(err, cms.ErrWeakDigest):
		return &Refusal{reason.SignatureWeak, "The signature uses MD5 or SHA-1, which can be forged.", err}
	case errors.Is(err, cms.ErrUnsupported):
		return &Refusal{reason.SignatureUnsupported, "The signature uses an algorithm that is not known here.", err}
	case errors.Is(err, cms.ErrDigest):
		return &Refusal{reason.SignatureMismatch, "The message was changed after it was signed.", err}
	case errors.Is(err, cms.ErrNoSigner):
		return &Refusal{reason.SignerMissing, "The certificate that signed is not in the message.", err}
	}
	return &Refusal{reason.SignatureInvalid, "The signature does not verify.", err}
}

func refuse(token reason.Token, why string) *Refusal { return &Refusal{Reason: token, Why: why} }

// unusable says what is wrong with a certificate.
func unusable(which string, c lookup.Candidate) *Refusal {
	return refuse(c.Reason, which+printable(c.Why)+".")
}

// capabilities gives each once.
func capabilities(s *cms.Signer) []string {
	var all []string
	for _, oid := range s.Capabilities {
		if id := oid.String(); !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}
