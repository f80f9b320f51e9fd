package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

type queueShowCommand struct {
	spoolAccess
	IDs []word `arg:"" name:"id" help:"Queue ids, as the 250 and the log have them."`
}

// Run shows envelope, times and what became of the attempts. Content, subject
// and keys are not even asked for.
func (c queueShowCommand) Run(ctx context.Context, s streams) (err error) {
	q, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	var missing error
	for _, id := range c.IDs {
		found := false
		for row, err := range q.List(ctx, queue.Filter{IDs: []string{string(id)}}) {
			if err == nil {
				err = c.show(ctx, s.Out, q, row.QueueID)
			}
			if err != nil && !errors.Is(err, spool.ErrNotFound) {
				return errors.Join(missing, err)
			}
			found = found || err == nil
		}
		if !found {
			missing = errors.Join(missing, fmt.Errorf("%s is not in the queue", id))
		}
	}
	return missing
}

func (c queueShowCommand) show(ctx context.Context, w io.Writer, q *openQueue, id string) error {
	d, err := q.Show(ctx, id)
	if err != nil {
		return err
	}
	d.Sender = senderName(d.Row)
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(d)
	}
	return printDetail(w, d, time.Local)
}

// printDetail writes one message as name and value.
func printDetail(w io.Writer, d queue.Detail, zone *time.Location) error {
	out := bufio.NewWriter(w)
	line := func(indent, name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%s%-14s %s\n", indent, name, printable(value))
		}
	}
	fmt.Fprintln(out, printable(d.QueueID))
	line("  ", "state", string(d.QueueName))
	if d.Damaged {
		line("  ", "damaged", "yes: what could not be read is left out; see quarantine in the spool's directory")
	}
	line("  ", "kind", kinds[d.Kind])
	line("  ", "sender", cmp.Or(d.Sender, unknown))
	line("  ", "arrived", longTime(d.ArrivalTime, zone))
	line("  ", "size", fmt.Sprintf("%d bytes as it came, %d in the spool", d.MessageSize, d.Stored))
	line("  ", "message id", d.MessageID)
	line("  ", "client", d.Client)
	line("  ", "helo", d.Hello)
	line("  ", "envelope id", d.EnvID)
	line("  ", "needs", needs(d))
	for i, r := range d.Recipients {
		fmt.Fprintf(out, "  to %s\n", printable(cmp.Or(r.Address, unknown)))
		var more queue.DetailRecipient
		if i < len(d.Details) {
			more = d.Details[i]
		}
		line("      ", "state", string(r.State))
		line("      ", "rule", r.Rule)
		line("      ", "cipher", more.Cipher)
		line("      ", "certificates", more.Certificates)
		line("      ", "notify", strings.Join(more.Notify, ","))
		line("      ", "orcpt", more.ORcpt)
		line("      ", "attempts", fmt.Sprint(r.Attempts))
		line("      ", "last attempt", longTime(more.LastAttemptTime, zone))
		line("      ", "next attempt", longTime(r.NextAttemptTime, zone))
		line("      ", "last answer", r.DelayReason)
		line("      ", "answered by", more.Server)
		line("      ", "reason", string(r.Reason))
	}
	fmt.Fprintln(out)
	return out.Flush()
}

// kinds say to people how a message is kept.
var kinds = map[queue.Kind]string{
	queue.Sealed: "sealed for its recipients",
	queue.Clear:  "clear: a rule lets it go as it is; sealed to the spool's key here",
	queue.AsCame: "as it came, encrypted by its sender; sealed to the spool's key here",
	queue.Held:   "held until there is a certificate; sealed to the spool's key here",
	queue.Notice: "a notification of our own; sealed to the spool's key here",
}

func needs(d queue.Detail) string {
	var all []string
	if d.SMTPUTF8 {
		all = append(all, "SMTPUTF8")
	}
	if d.RequireTLS {
		all = append(all, "REQUIRETLS")
	}
	return strings.Join(all, ", ")
}

// longTime is "" for a time that there is not.
func longTime(unix int64, zone *time.Location) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).In(zone).Format("2006-01-02 15:04:05 -0700")
}
