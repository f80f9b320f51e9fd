package relay

import (
	"io"

	"sealpost/relay/dsn"
	"sealpost/relay/queue"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

// reports are what the sender is told by mail: which recipients failed for good
// after the message had become ours, and whose copies went to a server that
// does not report itself (RFC 3461 section 5.2.2). A null sender is told
// nothing (section 5.2): there is nobody.
func (m *message) reports(failed, relayed []*recipient) []queue.Entry {
	if m.mail.From.IsNull() {
		return nil
	}
	var out []queue.Entry
	var about []dsn.Recipient
	for _, r := range failed {
		if dsn.Wanted(r.rcpt.Notify, dsn.Failed) {
			about = append(about, dsn.Recipient{
				Address: r.rcpt.To, ORcpt: r.rcpt.ORcpt, Action: dsn.Failed, RemoteMTA: remote(r.outcome),
				Status: r.err.Reply.Enhanced, Diagnostic: r.err.Reply, LastAttempt: m.relay.now(), Reason: r.err.Reason,
			})
		}
	}
	out = append(out, m.report(dsn.Failed, about)...)
	about = nil
	for _, r := range relayed {
		about = append(about, dsn.Recipient{
			Address: r.rcpt.To, ORcpt: r.rcpt.ORcpt, Action: dsn.Relayed, RemoteMTA: remote(r.outcome),
			Status: reply.Enhanced{2, 0, 0}, Diagnostic: r.outcome.Reply, LastAttempt: m.relay.now(),
		})
	}
	return append(out, m.report(dsn.Relayed, about)...)
}

// report is one report on its way into the queue; none about nobody.
func (m *message) report(action dsn.Action, about []dsn.Recipient) []queue.Entry {
	if len(about) == 0 {
		return nil
	}
	r := dsn.Report{
		Hostname: m.relay.hostname, ID: m.id + "." + string(action), Now: m.relay.now(), To: m.mail.From, QueueID: m.id,
		EnvID: m.mail.EnvID, Arrived: m.received, ReceivedFrom: m.client.Hello, ClientAddr: m.client.Remote.Addr().Unmap(),
		UTF8: m.mail.UTF8, Header: []byte(m.header.Raw()), Recipients: about,
	}
	text, err := dsn.Compose(r)
	if err != nil {
		m.relay.log.Error("a report could not be written", "id", m.id, "action", string(action), "error", err)
		return nil
	}
	e := queue.Entry{
		Message: queue.Message{ID: r.ID, Kind: queue.Notice, UTF8: r.SMTPUTF8(), Size: int64(len(text))},
		Copies:  []queue.Copy{{To: m.mail.From, Notify: []string{"NEVER"}}},
		Body:    noticeText(text),
	}
	if r.SMTPUTF8() {
		e.Message.Body = "8BITMIME"
	}
	return []queue.Entry{e}
}

// relayed are the recipients whose copy was taken by a server without DSN, and
// whose sender wants to hear of success.
func (m *message) relayed() []*recipient {
	var out []*recipient
	for _, r := range m.rcpts {
		if r.err == nil && r.outcome != nil && r.outcome.DSNDropped && dsn.Wanted(r.rcpt.Notify, dsn.Relayed) {
			out = append(out, r)
		}
	}
	return out
}

func remote(o *upstream.Outcome) string {
	if o == nil {
		return ""
	}
	return o.Server
}

// noticeText is a report on its way into the queue.
type noticeText []byte

// Size is the number of bytes.
func (n noticeText) Size() int64 { return int64(len(n)) }

// WriteTo writes the message.
func (n noticeText) WriteTo(w io.Writer) (int64, error) {
	k, err := w.Write(n)
	return int64(k), err
}
