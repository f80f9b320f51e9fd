package relay

import (
	"encoding/json"
	"fmt"
	"io"

	"sealpost/relay/dsn"
	"sealpost/relay/policy"
	"sealpost/relay/queue"
	"sealpost/relay/spill"
	"sealpost/relay/upstream"
)

// invitations tell the recipients for whom there is no key that a message
// waits for them. What is kept is what the notice will say, not a message: so
// nothing else can leave this way. A null sender's recipients get none.
func (m *message) invitations(kept []*recipient) []queue.Entry {
	if w := m.settings.Waiting; !w.Invite || m.mail.From.IsNull() {
		return nil
	}
	var out []queue.Entry
	for _, r := range kept {
		if !m.waitsForKey(r) || r.decision.Rule.NoKey == policy.Provision { // the directory writes to them
			continue
		}
		w := dsn.Waiting{
			Hostname: m.relay.hostname, ID: fmt.Sprintf("%s.waiting%d", m.id, len(out)+1), Now: m.relay.now(),
			From: m.mail.From, To: r.rcpt.To, Until: m.received.Add(m.settings.Waiting.HoldExpire),
		}
		what, err := json.Marshal(w)
		if err != nil {
			m.relay.log.Error("a notice could not be written", "id", m.id, "error", err)
			continue
		}
		out = append(out, queue.Entry{
			Message: queue.Message{ID: w.ID, Kind: queue.Invite, UTF8: w.SMTPUTF8(), Body: "8BITMIME", Size: int64(len(what))},
			Copies:  []queue.Copy{{To: w.To, Notify: []string{"NEVER"}}},
			Body:    noticeText(what),
		})
	}
	return out
}

// invitation writes the notice that was kept.
func invitation(stored *spill.Spill) (upstream.Body, error) {
	r, err := stored.Reader()
	if err != nil {
		return upstream.Body{}, err
	}
	what, err := io.ReadAll(r)
	if err != nil {
		return upstream.Body{}, err
	}
	var w dsn.Waiting
	if err := json.Unmarshal(what, &w); err != nil {
		return upstream.Body{}, damaged(err)
	}
	notice, err := w.Compose()
	if err != nil {
		return upstream.Body{}, damaged(err)
	}
	return upstream.Notice(notice), nil
}
