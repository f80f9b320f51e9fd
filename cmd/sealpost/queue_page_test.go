package main

import (
	"bytes"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
	"sealpost/relay/queue"
)

var update = flag.Bool("update", false, "write what the commands print into the pages of docs")

// The queue that docs/queue.md shows, at eight in the morning.
var (
	shownNow  = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	shownRows = []queue.Row{
		shownRow("0K7Q2ZC41T9M3E5A", queue.Kind("held"), 9*time.Hour, 3120, "statements@bank.example", queue.RowRecipient{
			Address: "x@hold.example", State: queue.NoKey, Rule: "hold", Reason: "no-certificate",
			DelayReason: "450 4.7.1 <x@hold.example>: no usable certificate yet", NextAttemptTime: shownNow.Add(11 * time.Minute).Unix(),
		}),
		shownRow("0K7Q3F2M8V5T1R9C", queue.Sealed, 12*time.Minute, 41233, "statements@bank.example", queue.RowRecipient{
			Address: "anna@example.org", State: queue.Deferred, Rule: "default", Reason: "upstream-unreachable", Attempts: 2,
			DelayReason: "451 4.4.1 The next mail server cannot be reached, try again later", NextAttemptTime: shownNow.Add(90 * time.Second).Unix(),
		}),
		shownRow("0K7Q3G7B2D4H6B8X", queue.Clear, 4*time.Minute, 7420, "alerts@bank.example", queue.RowRecipient{
			Address: "teller@bank.example", State: queue.Hold, Rule: "own", Attempts: 1, Reason: "upstream-deferred",
			DelayReason: "450 4.2.2 <teller@bank.example>: mailbox is full",
		}),
	}
)

func shownRow(id string, kind queue.Kind, age time.Duration, size int64, from string, to queue.RowRecipient) queue.Row {
	return queue.Row{
		QueueName: to.State, QueueID: id, ArrivalTime: shownNow.Add(-age).Unix(), MessageSize: size, Sender: from, Kind: kind,
		Recipients: []queue.RowRecipient{to}, Rule: to.Rule, NextAttemptTime: to.NextAttemptTime, Reason: to.Reason,
	}
}

func shownDetail() queue.Detail {
	return queue.Detail{
		Row: shownRows[1], MessageID: "<20261102.4711@mailer.bank.example>", Client: "mailer.bank.example[192.0.2.10]",
		Hello: "mailer.bank.example", EnvID: "job-17/4711", Stored: 60416,
		Details: []queue.DetailRecipient{{
			Cipher: "aes-256-cbc", Certificates: "1d341948c69169f6", Notify: []string{"FAILURE", "DELAY"},
			ORcpt: "rfc822;Anna@example.org", LastAttemptTime: shownNow.Add(-210 * time.Second).Unix(), Server: "192.0.2.25:25",
		}},
	}
}

func each(rows []queue.Row) iter.Seq2[queue.Row, error] {
	return func(yield func(queue.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// docs/queue.md shows what the commands print; -update writes it there.
func TestQueuePageShowsWhatIsPrinted(t *testing.T) {
	shape, err := newShape(each(shownRows), shownNow, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, print := range map[string]func(*bytes.Buffer) error{
		"list":  func(b *bytes.Buffer) error { return printListing(b, each(shownRows), time.UTC) },
		"json":  func(b *bytes.Buffer) error { return writeJSONLines(b, each(shownRows[1:2])) },
		"show":  func(b *bytes.Buffer) error { return printDetail(b, shownDetail(), time.UTC) },
		"shape": func(b *bytes.Buffer) error { return printShape(b, shape) },
	} {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		shows(t, "queue.md", name, b.String())
	}
}

// shows wants a page to have this text in the block of that name; -update
// writes it there.
func shows(t *testing.T, page, name, text string) {
	t.Helper()
	file := filepath.Join(testkit.ModuleRoot(t), "docs", page)
	old := read(t, file)
	block := regexp.MustCompile("(?ms)^```[a-z]+ " + name + "\n(.*?)^```$")
	m := block.FindStringSubmatchIndex(old)
	want := strings.TrimRight(text, "\n") + "\n"
	switch {
	case m == nil:
		t.Errorf("%s has no block %s", page, name)
	case old[m[2]:m[3]] == want:
	case *update:
		if err := os.WriteFile(file, []byte(old[:m[2]]+want+old[m[3]:]), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s: block %s is not what is printed (go test -update writes it):\n%s", page, name, want)
	}
}

// What comes from outside does not steer the operator's terminal, and what was
// lost is said to be.
func TestQueuePrintsHarmlessly(t *testing.T) {
	evil := "x\x1b[2J\r\n\u202e\x00\u009b"
	row := shownRow("ID"+evil, queue.Sealed, time.Hour, 1, evil, queue.RowRecipient{Address: evil, DelayReason: evil, Reason: "r" + "\x1b"})
	d := shownDetail()
	d.Row, d.MessageID, d.EnvID, d.Hello, d.Client = row, evil, evil, evil, evil
	d.Details[0] = queue.DetailRecipient{Certificates: evil, Cipher: evil, ORcpt: evil, Notify: []string{evil}, Server: evil}
	lost := queue.Row{QueueID: "LOST", QueueName: queue.Deferred, Damaged: true, Recipients: []queue.RowRecipient{{State: queue.Deferred}}}
	shape, err := newShape(each([]queue.Row{row, lost}), shownNow, true)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, err := range []error{
		printListing(&b, named(each([]queue.Row{row, lost})), time.UTC), printDetail(&b, d, time.UTC), printShape(&b, shape),
		printDetail(&b, queue.Detail{Row: lost}, time.UTC),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if i := strings.IndexAny(b.String(), "\x1b\r\x00\u202e\u009b"); i >= 0 {
		t.Errorf("printed: %q", b.String()[max(0, i-40):i+1])
	}
	for _, want := range []string{"unknown", "damaged in the spool", "quarantine"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("a lost record: no word of %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), nullSender) {
		t.Error("a lost sender is taken for the null sender")
	}
}
