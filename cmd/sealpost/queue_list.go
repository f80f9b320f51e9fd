package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"

	"sealpost/relay/queue"
)

type queueListCommand struct {
	spoolAccess
	queueFilter
}

// Run lists in the form of Postfix's `postqueue -p`, or with --json of its
// `postqueue -j`.
func (c queueListCommand) Run(ctx context.Context, s streams) (err error) {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	q, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.close()) }()
	rows := named(q.List(ctx, filter))
	if c.JSON {
		return writeJSONLines(s.Out, rows)
	}
	return printListing(s.Out, rows, time.Local)
}

// named gives the null sender the name that it has in Postfix's listings.
func named(rows iter.Seq2[queue.Row, error]) iter.Seq2[queue.Row, error] {
	return func(yield func(queue.Row, error) bool) {
		for row, err := range rows {
			row.Sender = senderName(row)
			if !yield(row, err) {
				return
			}
		}
	}
}

// senderName is "" only for a message whose record is lost.
func senderName(row queue.Row) string {
	if row.Sender == "" && row.Kind != "" {
		return nullSender
	}
	return row.Sender
}

// writeJSONLines writes one object a line. What came before an error has been
// written.
func writeJSONLines[T any](w io.Writer, rows iter.Seq2[T, error]) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // as postqueue writes it
	for row, err := range rows {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return out.Flush()
}

// marks stand behind an id, as Postfix has them; ? is our own.
var marks = map[queue.State]string{queue.Active: "*", queue.Hold: "!", queue.NoKey: "?"}

const (
	listingColumns = "%-19s %8s %-20s %s\n"
	listingIndent  = 50              // of what belongs to a recipient
	nullSender     = "MAILER-DAEMON" // what Postfix calls <>
	unknown        = "unknown"       // its record is lost
)

// printListing is for people, and for the programs that read Postfix's.
func printListing(w io.Writer, rows iter.Seq2[queue.Row, error], zone *time.Location) error {
	out := bufio.NewWriter(w)
	n, size := 0, int64(0)
	for row, err := range rows {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		if n == 0 {
			fmt.Fprintf(out, listingColumns, "----Queue ID-------", "--Size--", "----Arrival Time----", "-Sender/Recipient-------")
		}
		n++
		size += row.MessageSize
		printRow(out, row, zone)
	}
	if n == 0 {
		fmt.Fprintln(out, "Mail queue is empty")
	} else {
		fmt.Fprintf(out, "-- %d Kbytes in %s.\n", size/1024, count(n, "Request"))
	}
	return out.Flush()
}

func printRow(w io.Writer, row queue.Row, zone *time.Location) {
	fmt.Fprintf(w, listingColumns, printable(row.QueueID)+marks[row.QueueName], fmt.Sprint(row.MessageSize),
		shortTime(row.ArrivalTime, zone), printable(cmp.Or(row.Sender, unknown)))
	said := ""
	for _, r := range row.Recipients {
		if why := because(row, r, zone); why != said && why != "" {
			fmt.Fprintf(w, "%*s\n", listingIndent, "("+why+")")
			said = why
		}
		fmt.Fprintf(w, "%*s%s\n", listingIndent, "", printable(cmp.Or(r.Address, unknown)))
	}
	fmt.Fprintln(w)
}

// because says why a recipient waits, and until when.
func because(row queue.Row, r queue.RowRecipient, zone *time.Location) string {
	var parts []string
	if row.Damaged {
		parts = append(parts, "damaged in the spool")
	}
	if r.DelayReason != "" {
		parts = append(parts, printable(r.DelayReason))
	}
	if r.Reason != "" {
		parts = append(parts, printable(string(r.Reason)))
	}
	if r.State == queue.Hold {
		parts = append(parts, "on hold")
	}
	if r.NextAttemptTime != 0 {
		parts = append(parts, "next attempt "+shortTime(r.NextAttemptTime, zone))
	}
	return strings.Join(parts, "; ")
}

// shortTime is a time as in Postfix's listing: the year is left out.
func shortTime(unix int64, zone *time.Location) string {
	return time.Unix(unix, 0).In(zone).Format("Mon Jan _2 15:04:05")
}

// printable takes out of text from outside what would steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
