package relay

import (
	"io"

	"sealpost/relay/reply"
	"sealpost/smime"
)

// gather begins a copy of a message that says it is signed, where the listener
// has certificates learned from such mail. The copy takes what passes by; it
// cannot hold it up.
func (m *message) gather(msg *smime.Message) {
	if !m.settings.Gather[m.client.Listener] || !smime.ClaimsSigned(msg.Header) {
		return
	}
	if m.signed = m.relay.gatherer.Begin(); m.signed == nil {
		return
	}
	_, _ = io.WriteString(m.signed, msg.Header.Raw()) // never fails
	msg.Body = io.TeeReader(msg.Body, m.signed)
}

// gathered hands the copy over if the client heard that the message was
// accepted, for one recipient at least.
func (m *message) gathered(answers []reply.Reply) {
	for _, a := range answers {
		if a.Code/100 == 2 {
			m.signed.Offer()
			return
		}
	}
	m.signed.Drop()
}
