package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"sealpost/internal/address"
	"sealpost/relay/dsn"
	"sealpost/relay/spool"
)

// reported is a parcel as a report speaks of it.
type reported struct {
	p    *parcel
	note note
	copy Copy
	dsn.Recipient
}

// reportEnds reports the parcels of a message that failed or were relayed to
// a server that does not report itself, and then takes them out of the spool.
func (e *Engine) reportEnds(m *message) {
	ended := e.inLane(m, failed)
	if len(ended) == 0 {
		return
	}
	msg, err := readMessage(e.store, m.id)
	switch {
	case errors.Is(err, spool.ErrDamaged), errors.Is(err, errMeta):
		e.unreported(m, ended, "its sender is not known any more")
		return
	case err == nil && msg.From.IsNull():
		e.unreported(m, ended, "it has the null sender")
		return
	}
	for _, action := range []dsn.Action{dsn.Failed, dsn.Relayed} {
		var these []reported
		if err == nil {
			these, err = e.describe(ended, action)
		}
		if err == nil && len(these) > 0 {
			err = e.reportEnd(m, msg, action, these)
		}
	}
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		e.log.Error("queue: a report could not be put into the spool; it is tried again", "id", m.id, "error", err)
		e.mu.Lock()
		m.retryAt = e.elapsed() + again
		e.mu.Unlock()
	}
}

// reportEnd puts one report into the spool and only then ends its parcels.
func (e *Engine) reportEnd(m *message, msg Message, action dsn.Action, all []reported) error {
	parcels := make([]*parcel, len(all))
	var wanted []reported
	for i, r := range all {
		parcels[i] = r.p
		if dsn.Wanted(r.copy.Notify, action) {
			wanted = append(wanted, r)
		}
	}
	if len(wanted) > 0 {
		if err := e.putReport(m, msg, action, wanted); err != nil {
			return err
		}
	}
	e.finish(parcels...)
	return nil
}

// unreported ends parcels whose failure nobody can be told.
func (e *Engine) unreported(m *message, ended []*parcel, why string) {
	e.log.Error("queue: a message has failed and nobody can be told", "id", m.id, "parcels", len(ended), "why", why)
	e.mu.Lock()
	e.counts.Unreported++
	e.mu.Unlock()
	e.finish(ended...)
}

// describe reads what a report says of those parcels whose action it is.
func (e *Engine) describe(parcels []*parcel, action dsn.Action) ([]reported, error) {
	info, err := e.store.Info(parcels[0].msg.id)
	if err != nil {
		return nil, err
	}
	var all []reported
	for _, p := range parcels {
		e.mu.Lock()
		n := readNote(p.note)
		e.mu.Unlock()
		if n.Action == "" {
			n.Action = dsn.Failed // a note that was lost is no reason to be silent
		}
		if action != dsn.Delayed && n.Action != action {
			continue
		}
		c, err := readCopy(e.store, p.ref())
		if errors.Is(err, spool.ErrDamaged) || errors.Is(err, errMeta) {
			c.To, err = e.unknownRecipient()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, reported{p, n, c, dsn.Recipient{
			Address: c.To, ORcpt: c.ORcpt, Action: action, Status: n.Status, RemoteMTA: n.Remote,
			Diagnostic: n.Reply, LastAttempt: info.States[p.index].Last, Reason: n.Reason,
		}})
	}
	return all, nil
}

// unknownRecipient stands in a report for one whose record was lost: a report
// must name somebody (RFC 3464 section 2.3.2).
func (e *Engine) unknownRecipient() (address.Address, error) {
	return address.Parse("unknown-recipient@" + e.hostname)
}

// reportDelay tells the sender, once, that a message waits.
func (e *Engine) reportDelay(m *message, late []*parcel) {
	msg, err := readMessage(e.store, m.id)
	if err == nil && !msg.From.IsNull() {
		var all, wanted []reported
		all, err = e.describe(late, dsn.Delayed)
		for _, r := range all {
			if !dsn.Wanted(r.copy.Notify, dsn.Delayed) {
				continue
			}
			e.mu.Lock()
			r.WillRetryUntil = e.end(r.p)
			e.mu.Unlock()
			wanted = append(wanted, r)
		}
		if err == nil && len(wanted) > 0 {
			err = e.putReport(m, msg, dsn.Delayed, wanted)
		}
	}
	if err != nil {
		e.log.Warn("queue: the delay of a message could not be reported", "id", m.id, "error", err)
		return // lookAtAge has set when to look again
	}
	e.mu.Lock()
	m.parcels[0].status |= noticed
	e.age(m)
	e.mu.Unlock()
	_ = e.save(&m.parcels[0]) // save has logged it; then the notice comes twice
}

// putReport writes a report and puts it into the queue. Its id follows from
// what it reports: after a crash the same report is not put twice.
func (e *Engine) putReport(m *message, msg Message, action dsn.Action, about []reported) error {
	r := dsn.Report{
		Hostname: e.hostname, ID: reportID(m.id, action, about), Now: e.wall(), To: msg.From, EnvID: msg.EnvID,
		Arrived: msg.Arrived, ReceivedFrom: msg.Client.Helo, UTF8: msg.UTF8, Header: msg.Header,
	}
	r.QueueID, _, _ = strings.Cut(m.id, ".")
	r.ClientAddr, _ = netip.ParseAddr(msg.Client.Addr) // the zero value is left out
	for _, p := range about {
		r.Recipients = append(r.Recipients, p.Recipient)
	}
	content, err := e.compose(r)
	if err != nil {
		return err
	}
	entry := Entry{
		Message: Message{ID: r.ID, Kind: Notice, Size: int64(len(content)), UTF8: r.SMTPUTF8(), MessageID: "<" + r.ID + "@" + e.hostname + ">"},
		Copies:  []Copy{{To: msg.From, Notify: []string{"NEVER"}}},
		Body:    text(content),
	}
	if r.SMTPUTF8() {
		entry.Message.Body = "8BITMIME"
	}
	err = e.Put(context.Background(), entry)
	if err != nil && !errors.Is(err, spool.ErrExists) {
		return err
	}
	e.log.Info("queue: report", "id", m.id, "report", r.ID, "action", string(action), "recipients", len(about))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.report(action)
	return nil
}

func reportID(id string, action dsn.Action, about []reported) string {
	h := sha256.New()
	fmt.Fprint(h, action)
	for _, r := range about {
		fmt.Fprint(h, " ", r.p.index)
	}
	return id + "-" + hex.EncodeToString(h.Sum(nil)[:5])
}

// text is a body in memory.
type text []byte

func (t text) Size() int64 { return int64(len(t)) }

// WriteTo writes all of it.
func (t text) WriteTo(w io.Writer) (int64, error) { return bytes.NewReader(t).WriteTo(w) }
