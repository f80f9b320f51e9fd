package dsn

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/reason"
)

// Bounds of the first part: so many causes are explained, with so many
// addresses each. All recipients stand in the second part in any case.
const (
	maxCauses    = 50
	maxAddresses = 200
)

// A cause is what several recipients may have in common, so that it is told
// once.
type cause struct {
	action Action
	why    reason.Token
	server string
	said   string // the lines of the reply
	until  time.Time
}

// human writes the first part, for the person who sent the message.
func (r Report) human(host string) []byte {
	w := &writer{wide: true}
	w.line("This is the mail relay " + host + ".")
	w.line("")
	w.paragraph("", "It reports on a message of yours"+r.which()+".")
	causes, addresses := r.causes()
	for _, c := range causes[:min(len(causes), maxCauses)] {
		c.write(w, addresses[c])
	}
	if more := len(causes) - maxCauses; more > 0 {
		w.line("")
		w.paragraph("", fmt.Sprintf("There are %d further causes; the report for programs has them all.", more))
	}
	w.line("")
	w.paragraph("", "The message itself is not sent back, as it may be confidential. "+
		"Behind this text follow a report for programs, and the fields of your message's header "+
		"that tell which one it was.")
	w.line("")
	w.paragraph("", "If you need help, send this notification to postmaster@"+host+".")
	return w.Bytes()
}

// which tells when the message came and what it was called then.
func (r Report) which() string {
	var s string
	if !r.Arrived.IsZero() {
		s += " that it took on " + rfc5322Date(r.Arrived)
	}
	if r.QueueID != "" {
		s += " (queued as " + clean(r.QueueID, 100, true) + ")"
	}
	return s
}

// causes groups the recipients, both in the order of the report.
func (r Report) causes() ([]cause, map[cause][]string) {
	var causes []cause
	addresses := map[cause][]string{}
	limit := diagnosticLimit(len(r.Recipients))
	for _, p := range r.Recipients {
		c := cause{action: p.Action, why: p.Reason, said: strings.Join(replyLines(p.Diagnostic, limit, true), "\n")}
		if p.RemoteMTA != "" {
			c.server = strings.TrimPrefix(mtaName(p.RemoteMTA), "dns; ")
		}
		if p.Action == Delayed {
			c.until = p.WillRetryUntil
		}
		if addresses[c] == nil {
			causes = append(causes, c)
		}
		addresses[c] = append(addresses[c], p.Address.String())
	}
	return causes, addresses
}

// write tells one cause.
func (c cause) write(w *writer, addresses []string) {
	w.line("")
	w.line(map[Action]string{
		Failed:  "NOT DELIVERED, and not tried any more:",
		Delayed: "DELAYED, not delivered yet:",
		Relayed: "PASSED ON:",
	}[c.action])
	w.line("")
	for _, a := range addresses[:min(len(addresses), maxAddresses)] {
		w.line("    " + clean(a, maxText, true))
	}
	if more := len(addresses) - maxAddresses; more > 0 {
		w.line(fmt.Sprintf("    and %d more; the report for programs has them all", more))
	}
	w.line("")
	happened, do := c.explain()
	w.paragraph("  ", happened)
	w.paragraph("  ", "What to do: "+do)
	if c.why != reason.None {
		w.paragraph("  ", "Reason: "+clean(string(c.why), 100, true))
	}
	if c.said == "" {
		return
	}
	if c.server == "" {
		w.line("  The relay's own answer:")
	} else {
		w.paragraph("  ", "The mail server "+c.server+" answered:")
	}
	for line := range strings.SplitSeq(c.said, "\n") {
		w.paragraph("    ", line)
	}
}

// explain says what happened, and what its reader can do.
func (c cause) explain() (happened, do string) {
	happened, do = advice(c.why)
	switch c.action {
	case Delayed:
		do = "Nothing: it is tried again by itself, and you will hear if it fails in the end."
		if !c.until.IsZero() {
			do = "Nothing: it is tried again by itself until " + rfc5322Date(c.until) +
				", and you will hear if it fails in the end."
		}
	case Relayed:
		happened = "You asked to be told of the delivery. The message went to a mail server that does not report " +
			"deliveries, so that this is all that is known: it was taken there, and may have been delivered."
		do = "Nothing."
	}
	return happened, do
}

// paragraph writes text in lines that begin with indent.
func (w *writer) paragraph(indent, text string) {
	for _, line := range fold(text, 0, margin-len(indent)) {
		w.line(indent + line)
	}
}
