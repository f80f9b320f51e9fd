package dsn

import (
	"fmt"
	"strings"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// Diagnostic texts together have at most allDiagnostics octets, and one no more
// than maxDiagnostic in at most maxReplyLines lines; however many recipients
// there are, each has minDiagnostic.
const (
	allDiagnostics = 256 << 10
	maxDiagnostic  = 1024
	minDiagnostic  = 160
	maxReplyLines  = 8
	maxReply       = 16 << 10 // what is looked at, most of which is cut
)

// status writes the second part (RFC 3464 section 2).
func (r Report) status(host string, wide bool) []byte {
	w := &writer{wide: wide}
	w.field("Original-Envelope-Id", r.EnvID)
	w.field("Reporting-MTA", "dns; "+host)
	w.field("Received-From-MTA", receivedFrom(r.ReceivedFrom, r.ClientAddr))
	w.date("Arrival-Date", r.Arrived)
	w.field("X-Sealpost-Queue-ID", r.QueueID)
	limit := diagnosticLimit(len(r.Recipients))
	for _, p := range r.Recipients {
		w.line("")
		p.fields(w, limit)
	}
	return w.Bytes()
}

// fields writes the group of one recipient (RFC 3464 section 2.3).
func (p Recipient) fields(w *writer, limit int) {
	w.field("Original-Recipient", originalRecipient(p.ORcpt, w.wide))
	w.exact("Final-Recipient", finalRecipient(p.Address, w.wide))
	w.field("Action", string(p.Action))
	w.field("Status", p.status().String())
	if p.RemoteMTA != "" {
		w.field("Remote-MTA", mtaName(p.RemoteMTA))
	}
	if p.Action != Relayed { // section 2.3.6: for failed and delayed
		w.field("Diagnostic-Code", p.diagnosticCode(limit, w.wide)...)
	}
	w.date("Last-Attempt-Date", p.LastAttempt)
	if p.Action == Delayed { // section 2.3.9
		w.date("Will-Retry-Until", p.WillRetryUntil)
	}
	if p.Reason != reason.None {
		w.field("X-Sealpost-Reason", string(p.Reason))
	}
}

// status is a code of a class that goes with the action. What was given up may
// have a temporary one: the trouble was temporary and lasted too long (RFC 3464
// section 2.3.3).
func (p Recipient) status() reply.Enhanced {
	classes := map[Action][]int{Failed: {5, 4}, Delayed: {4}, Relayed: {2}}[p.Action]
	for _, code := range []reply.Enhanced{p.Status, p.Diagnostic.Enhanced} {
		for _, class := range classes {
			if code[0] == class && inRange(code[1]) && inRange(code[2]) {
				return code
			}
		}
	}
	return reply.Enhanced{classes[0], 0, 0}
}

// inRange reports a sub-field of a status code, 1*3DIGIT.
func inRange(n int) bool { return n >= 0 && n <= 999 }

// diagnosticCode gives the lines of Diagnostic-Code. A server's reply is of
// type smtp (RFC 3461 section 9.2); our own word is not, and has a type that
// nobody else defines.
func (p Recipient) diagnosticCode(limit int, wide bool) []string {
	lines := replyLines(p.Diagnostic, limit, wide)
	if len(lines) == 0 {
		return nil
	}
	kind := "smtp; "
	if p.RemoteMTA == "" {
		kind = "x-sealpost; "
	}
	lines[0] = kind + lines[0]
	return lines
}

func diagnosticLimit(recipients int) int {
	return max(minDiagnostic, min(maxDiagnostic, allDiagnostics/recipients))
}

// replyLines transcribes a reply, each of its lines with the code as it was on
// the wire, together at most about limit octets. It gives none for what is no
// reply.
func replyLines(r reply.Reply, limit int, wide bool) []string {
	if r.Code < 200 || r.Code > 599 {
		return nil
	}
	enhanced := r.Enhanced.String()
	if enhanced != "" {
		enhanced += " "
	}
	texts := replyTexts(r.Text, limit, wide)
	lines := make([]string, len(texts))
	for i, text := range texts {
		hyphen := "-"
		if i == len(texts)-1 {
			hyphen = " "
		}
		lines[i] = strings.TrimRight(fmt.Sprintf("%d%s%s%s", r.Code, hyphen, enhanced, text), " ")
	}
	return lines
}

// replyTexts gives the lines of a reply's text, clean and bounded; at least one.
func replyTexts(text string, limit int, wide bool) []string {
	var texts []string
	text = text[:min(len(text), maxReply)]
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if limit < 2*len(cut) || len(texts) == maxReplyLines {
			return append(texts[:len(texts)-1], cut)
		}
		part = clean(part, min(limit, maxText-64), wide)
		limit -= len(part)
		if part != "" {
			texts = append(texts, part)
		}
	}
	if len(texts) == 0 {
		return []string{""}
	}
	return texts
}
