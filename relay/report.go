package relay

import (
	"io"

	"sealpost/relay/dsn"
	"sealpost/relay/queue"
	"sealpost/relay/upstream"
)

// failures is the report that the sender gets about recipients who failed for
// good after the message had become ours. A null sender gets none (RFC 3461
// section 5.2): there is nobody to tell.
func (m *message) failures(failed []*recipient) []queue.Entry {
	if m.mail.From.IsNull() {
		return nil
	}
	report := dsn.Report{
		Hostname: m.relay.hostname, ID: m.id + ".failed", Now: m.relay.now(), To: m.mail.From, QueueID: m.id,
		EnvID: m.mail.EnvID, Arrived: m.received, ReceivedFrom: m.client.Hello, ClientAddr: m.client.Remote.Addr().Unmap(),
		UTF8: m.mail.UTF8, Header: []byte(m.header.Raw()),
	}
	for _, r := range failed {
		if dsn.Wanted(r.rcpt.Notify, dsn.Failed) {
			report.Recipients = append(report.Recipients, dsn.Recipient{
				Address: r.rcpt.To, ORcpt: r.rcpt.ORcpt, Action: dsn.Failed, RemoteMTA: remote(r.outcome),
				Status: r.err.Reply.Enhanced, Diagnostic: r.err.Reply, LastAttempt: m.relay.now(), Reason: r.err.Reason,
			})
		}
	}
	if len(report.Recipients) == 0 {
		return nil
	}
	text, err := dsn.Compose(report)
	if err != nil {
		m.relay.log.Error("a report could not be written", "id", m.id, "error", err)
		return nil
	}
	return []queue.Entry{{
		Message: queue.Message{ID: report.ID, Kind: queue.Notice, UTF8: report.SMTPUTF8(), Size: int64(len(text))},
		Copies:  []queue.Copy{{To: m.mail.From, Notify: []string{"NEVER"}}},
		Body:    noticeText(text),
	}}
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
