package relay

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/gather"
	"sealpost/relay/reply"
	"sealpost/relay/spill"
	"sealpost/relay/upstream"
	"sealpost/smime"
	"sealpost/smime/cms"
)

// A message is the content of one transaction while it is sealed and
// forwarded.
type message struct {
	*transaction
	start    time.Time
	received time.Time // end of data
	size     int64
	header   *smime.Header    // without the fields that are for us
	extras   ProvisionRequest // what those fields said
	trace    []byte
	asIs     *smime.Protected // not nil: the content came encrypted
	raw      *spill.Spill     // the message as it came, where some copy needs it
	sealed   map[cms.Cipher]*smime.Envelope
	spills   []*spill.Spill
	signed   *gather.Copy // nil: nothing is learned from the message
}

// process takes the message from the first byte to upstream's answers. Its
// error is one that all recipients share; what befell single ones stands with
// them.
func (m *message) process(ctx context.Context, content io.Reader) error {
	defer m.close()
	counted := &countingReader{r: content}
	msg, err := smime.ReadMessage(counted, m.settings.Limits)
	if err != nil {
		return readError(err)
	}
	extra, refusal := extras(msg.Header)
	msg.Header = msg.Header.Without(OwnField)
	m.header, m.size, m.extras = msg.Header, counted.n, extra
	m.extras.Sender = author(m.header, m.mail.From)
	if refusal != nil {
		return refusal
	}
	m.trace = received(m.client, m.relay.hostname, m.id, m.arrived)
	if loops(msg.Header, m.relay.hostname) {
		return reply.Errorf(554, reply.Enhanced{5, 4, 6}, reason.MailLoop, "Mail loop: too many hops")
	}
	if err := m.decide(); err != nil {
		return err
	}
	if err := m.take(ctx, msg); err != nil {
		return readError(err)
	}
	m.received, m.size = m.relay.now(), counted.n
	m.forward(ctx)
	m.keep(ctx)
	return nil
}

// decide settles what waited for the header. A rule that refuses one recipient
// now refuses the message: nothing has been sent yet, and one reply cannot say
// two things. On LMTP only that recipient is refused.
func (m *message) decide() error {
	for _, r := range m.rcpts {
		r.decision = r.verdict.AtData(fields{m.header})
		if !r.decision.Accepts() {
			r.err = r.decision.Err
		}
	}
	return m.refusal(m.rcpts)
}

// refusal makes the refusal of one of these recipients that of all; nil when
// none was refused, and on LMTP.
func (m *message) refusal(of []*recipient) error {
	var refusal *recipient
	for _, r := range of {
		if r.err != nil && (refusal == nil || refusal.err.Reply.Permanent() && r.err.Reply.Temporary()) {
			refusal = r
		}
	}
	if refusal == nil || m.client.LMTP {
		return nil
	}
	if len(m.rcpts) > 1 {
		refusal.err = refusal.err.Because(refusal.err.Cause)
		refusal.err.Reply.Text += "; nothing was sent to the other recipients either"
	}
	for _, r := range m.rcpts {
		r.err = refusal.err
	}
	return refusal.err
}

// take reads the body to its end into the forms that the copies need.
func (m *message) take(ctx context.Context, msg *smime.Message) error {
	m.gather(msg)
	if smime.Claims(msg.Header) != smime.None {
		protected, err := m.prove(msg)
		if protected || err != nil {
			return err
		}
		msg = &smime.Message{Header: msg.Header, Body: m.rawBody()}
	}
	if err := m.provision(ctx); err != nil {
		return err
	}
	return m.seal(msg)
}

// prove keeps a message that says it is encrypted as it came, and finds out
// whether it is.
func (m *message) prove(msg *smime.Message) (bool, error) {
	m.raw = m.newSpill()
	if _, err := io.WriteString(m.raw, msg.Header.Raw()); err != nil {
		return false, err
	}
	proof := smime.NewProof(msg.Header)
	if _, err := io.Copy(io.MultiWriter(m.raw, proof), msg.Body); err != nil {
		return false, err
	}
	protected, err := proof.Close()
	if err != nil {
		m.relay.log.Info("content is not what its type says: it is sealed", "id", m.id, "claims", smime.Claims(msg.Header).String(), "error", err)
		return false, nil
	}
	m.asIs = protected
	return true, nil
}

// rawBody reads the body back from the spill.
func (m *message) rawBody() io.Reader {
	r, err := m.raw.Reader()
	if err != nil {
		return errReader{err}
	}
	if _, err := io.CopyN(io.Discard, r, int64(len(m.header.Raw()))); err != nil {
		return errReader{err}
	}
	return r
}

// seal encrypts the entity once for each cipher that the recipients need, and
// keeps the message as it came beside it where some copy is passed in the clear.
func (m *message) seal(msg *smime.Message) error {
	targets, clear := m.targets()
	if clear && m.raw == nil {
		m.raw = m.newSpill()
		if _, err := io.WriteString(m.raw, msg.Header.Raw()); err != nil {
			return err
		}
		msg.Body = io.TeeReader(msg.Body, m.raw)
	}
	if len(targets) == 0 {
		_, err := io.Copy(io.Discard, msg.Body)
		return err
	}
	opts := smime.SealOptions{Trace: m.trace, Drop: m.settings.Drop}
	envelopes, err := smime.Seal(msg, opts, targets...)
	if err != nil {
		return err
	}
	m.sealed = make(map[cms.Cipher]*smime.Envelope, len(targets))
	for i, e := range envelopes {
		m.sealed[targets[i].Cipher] = e
	}
	return nil
}

// targets are the ciphers that are needed, each with its store; clear says
// whether some recipient's copy is passed unsealed.
func (m *message) targets() (targets []smime.Target, clear bool) {
	seen := map[cms.Cipher]bool{}
	for _, r := range m.rcpts {
		switch {
		case r.err != nil:
		case r.decision.Action != Sealed:
			clear = true // it is kept as it came, in a spill that is never plain on the disk
		case !seen[r.decision.Cipher]:
			seen[r.decision.Cipher] = true
			targets = append(targets, smime.Target{Cipher: r.decision.Cipher, Store: m.newSpill()})
		}
	}
	return targets, clear
}

func (m *message) newSpill() *spill.Spill {
	s := m.relay.spill.New()
	m.spills = append(m.spills, s)
	return s
}

// close wipes the keys and gives the memory back.
func (m *message) close() {
	for _, e := range m.sealed {
		e.Close()
	}
	for _, s := range m.spills {
		s.Close()
	}
}

// body is what leaves for one recipient. There are three ways out, and each
// wants its proof: sealed by smime, found encrypted by smime, cleared by a rule.
func (m *message) body(r *recipient) (upstream.Body, error) {
	switch {
	case m.asIs != nil:
		return upstream.Protected(m.asIs, traced{m.trace, m.raw}), nil
	case r.decision.Action == Sealed:
		sealed, err := m.sealedCopy(r)
		return upstream.Sealed(sealed), err
	default:
		return upstream.Cleartext(r.decision.Clearance, traced{m.trace, m.raw})
	}
}

// sealedCopy is the recipient's copy, made when it is first asked for.
func (m *message) sealedCopy(r *recipient) (*smime.Sealed, error) {
	if r.sealed != nil {
		return r.sealed, nil
	}
	var err error
	if r.sealed, err = m.sealed[r.decision.Cipher].Copy(r.decision.Keys...); err != nil {
		return nil, reply.Errorf(451, reply.Enhanced{4, 3, 0}, reason.SealingFailed,
			"<%s>: the message could not be sealed, try again later", r.rcpt.To).Because(err)
	}
	return r.sealed, nil
}

// traced is a message as it came, with our trace field on top.
type traced struct {
	trace []byte
	raw   *spill.Spill
}

// Size is the number of bytes of the message.
func (t traced) Size() int64 { return int64(len(t.trace)) + t.raw.Size() }

// WriteTo writes the message.
func (t traced) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(t.trace)
	if err != nil {
		return int64(n), err
	}
	r, err := t.raw.Reader()
	if err != nil {
		return int64(n), err
	}
	k, err := io.Copy(w, r)
	return int64(n) + k, err
}

// readError says what a failure to take the content means to the client.
func readError(err error) error {
	var malformed *smime.MalformedError
	if errors.As(err, &malformed) {
		return reply.Errorf(554, reply.Enhanced{5, 6, 0}, reason.MessageMalformed, "Message is malformed: %s", malformed.Text)
	}
	var full *spill.Error
	if errors.As(err, &full) {
		return reply.Errorf(452, reply.Enhanced{4, 3, 1}, reason.ResourcesLow,
			"No room for the message, try again later").Because(err)
	}
	return err
}

type countingReader struct {
	r io.Reader
	n int64
}

// Read counts what passes.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type errReader struct{ err error }

// Read fails with the error.
func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// oneLine keeps a text from a header or a peer on one line of the log.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
