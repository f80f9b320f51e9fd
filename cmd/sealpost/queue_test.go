package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/relay/queue"
)

// quietSpool is a spool in which nothing happens by itself while a test looks,
// with a rule for each way in which a message can wait.
const quietSpool = `on_trouble: spool
spool: {dir: spool, key_file: spool.key, retry: [1h], hold_recheck: 1h}
policy:
  - {name: own, recipient: "*@bank.example", encrypt: never}
  - {name: hold, recipient: "*@hold.example", no_key: hold}
  - {name: default}
`

// A waiter is an installation whose upstream is not there, with one message
// of each kind in its queue.
type waiter struct {
	*installation
	upstream              string
	canary                testkit.Canary
	message               string
	sealed, passed, held  string // ids
	sealedTo, passedTo, x string // recipients
}

func newWaiter(t *testing.T) *waiter {
	t.Helper()
	w := &waiter{
		installation: newInstallation(t, "anna@example.org"), upstream: testkit.FreeAddr(t), canary: testkit.NewCanary(t),
		sealedTo: "anna@example.org", passedTo: "teller@bank.example", x: "x@hold.example",
	}
	w.message = sampleMail(w.canary)
	sources := "lookup:\n  sources:\n    - {name: pinned, type: files, dir: certs}\n" + newKeyserver(t, w.installation).source("")
	w.configure(t, w.upstream, quietSpool+sources)
	w.start(t)
	w.sealed, w.passed, w.held = w.wait(t, w.sealedTo), w.wait(t, w.passedTo), w.wait(t, w.x)
	testkit.Poll(t, "the question for a certificate", func() bool {
		return strings.Contains(w.queue(t, exitOK, "list", "--json", w.held), "no-certificate")
	})
	return w
}

var queuedAs = regexp.MustCompile(`queued as ([0-9A-Z]{16})\r\n$`)

// wait sends a message that will wait, and gives its id.
func (w *waiter) wait(t *testing.T, to string) string {
	t.Helper()
	said := w.dial(t).submit(t, w.message, to)
	id := queuedAs.FindStringSubmatch(said)
	if id == nil {
		t.Fatalf("%s: %q", to, said)
	}
	return id[1]
}

// queue runs `sealpost queue` and gives its data. What it says to people must
// show nothing of a message either.
func (w *waiter) queue(t testing.TB, want int, command string, args ...string) string {
	t.Helper()
	out, errs, code := sealpost(t, "", append([]string{"queue", command, "--config", w.config}, args...)...)
	if code != want || want != exitOK && errs == "" {
		t.Errorf("queue %s %q: exit code %d, want %d\n%s%s", command, args, code, want, out, errs)
	}
	w.canary.Absent(t, "queue "+command, []byte(out+errs))
	return out
}

// list gives the rows that a filter chooses.
func (w *waiter) list(t testing.TB, filter ...string) []queue.Row {
	t.Helper()
	var rows []queue.Row
	for l := range strings.Lines(w.queue(t, exitOK, "list", append([]string{"--json"}, filter...)...)) {
		var r queue.Row
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		rows = append(rows, r)
	}
	return rows
}

// ids are those of list.
func (w *waiter) ids(t testing.TB, filter ...string) []string {
	t.Helper()
	var ids []string
	for _, r := range w.list(t, filter...) {
		ids = append(ids, r.QueueID)
	}
	return ids
}

// A running server knows more exactly than its spool when it will try again.
var nextAttempt = regexp.MustCompile(`("next_attempt_time":|next attempt +)[0-9A-Z](?:[^,);}\n])*`)

// said is everything that the commands tell of the queue.
func (w *waiter) said(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, args := range [][]string{
		{"list"}, {"list", "--json"}, {"shape"}, {"shape", "--json"}, {"shape", "--by", "sender"},
		{"show", w.sealed, w.passed, w.held}, {"show", "--json", w.sealed, w.passed, w.held},
	} {
		all[strings.Join(args, " ")] = nextAttempt.ReplaceAllString(w.queue(t, exitOK, args[0], args[1:]...), "$1")
	}
	return all
}

// The commands say the same of a running server and of the spool that it has
// left, and nothing of what is in the messages.
func TestQueueIsTheSameBothWays(t *testing.T) {
	w := newWaiter(t)
	running := w.said(t)
	rows := w.list(t)
	if len(rows) != 3 {
		t.Fatalf("%d messages wait", len(rows))
	}
	for i, want := range []queue.Row{
		{QueueName: queue.Deferred, QueueID: w.sealed, Rule: "default", Reason: "upstream-unreachable", Kind: queue.Sealed},
		{QueueName: queue.Deferred, QueueID: w.passed, Rule: "own", Reason: "upstream-unreachable", Kind: queue.Clear},
		{QueueName: queue.NoKey, QueueID: w.held, Rule: "hold", Reason: "no-certificate", Kind: queue.Held},
	} {
		got := rows[i]
		if got.QueueName != want.QueueName || got.QueueID != want.QueueID || got.Rule != want.Rule || got.Reason != want.Reason ||
			got.Kind != want.Kind || got.Sender != "statements@bank.example" || got.MessageSize != int64(len(w.message)) ||
			got.ArrivalTime == 0 || got.NextAttemptTime <= got.ArrivalTime || len(got.Recipients) != 1 ||
			got.Recipients[0].Address != []string{w.sealedTo, w.passedTo, w.x}[i] || got.Recipients[0].DelayReason == "" {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if show := running["show "+strings.Join([]string{w.sealed, w.passed, w.held}, " ")]; !strings.Contains(show, "aes-256-cbc") ||
		!strings.Contains(show, "<42@bank.example>") || !strings.Contains(show, "[127.0.0.1]") || strings.Contains(show, "Your statement") {
		t.Errorf("show:\n%s", show)
	}
	w.filters(t)
	w.stop(t)
	for command, want := range running {
		if got := w.said(t)[command]; got != want {
			t.Errorf("%s: stopped\n%s\nrunning\n%s", command, got, want)
		}
	}
	w.filters(t)
	w.nowhere(t, w.canary)
}

// filters tries each condition.
func (w *waiter) filters(t *testing.T) {
	t.Helper()
	for args, want := range map[string][]string{
		"":                             {w.sealed, w.passed, w.held},
		w.passed:                       {w.passed},
		w.held + " " + w.sealed:        {w.sealed, w.held},
		"0000000000000000":             nil,
		"--recipient *@BANK.example":   {w.passed},
		"--recipient ann?@*":           {w.sealed},
		"--domain HOLD.example":        {w.held},
		"--domain example":             nil,
		"--sender statements@*":        {w.sealed, w.passed, w.held},
		"--sender <>":                  nil,
		"--younger 1d":                 {w.sealed, w.passed, w.held},
		"--older 1h":                   nil,
		"--state no-key":               {w.held},
		"--state deferred,hold,active": {w.sealed, w.passed},
		"--state deferred --domain bank.example --younger 90m " + w.passed: {w.passed},
		"--state deferred --domain hold.example":                           nil,
	} {
		if got := w.ids(t, strings.Fields(args)...); !slices.Equal(got, want) {
			t.Errorf("list %s: %v, want %v", args, got, want)
		}
	}
	if out := w.queue(t, exitOK, "list", "--older", "5d"); out != "Mail queue is empty\n" {
		t.Errorf("nothing listed: %q", out)
	}
	if shape := w.queue(t, exitOK, "shape", "--state", "no-key"); !regexp.MustCompile(`(?m)^ *TOTAL +1 +1 `).MatchString(shape) {
		t.Errorf("shape:\n%s", shape)
	}
}

// Hold, release and retry, once upstream is back.
func TestQueueSteersARunningServer(t *testing.T) {
	w := newWaiter(t)
	if out := w.queue(t, exitOK, "hold", w.passed); out != "1 recipient of 1 message on hold now\n" {
		t.Errorf("hold: %q", out)
	}
	if got := w.ids(t, "--state", "hold"); !slices.Equal(got, []string{w.passed}) {
		t.Errorf("on hold: %v", got)
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{Addr: w.upstream})
	if !w.reload(t) {
		t.Fatal("not reloaded")
	}
	w.queue(t, exitOK, "retry")
	w.opened(t, sink.Wait(t, 1)[0].Raw, w.sealedTo, w.message)
	testkit.Poll(t, "what was sent to leave", func() bool { return slices.Equal(w.ids(t), []string{w.passed, w.held}) })

	w.queue(t, exitOK, "release", "--domain", "bank.example")
	if m := sink.Wait(t, 2)[1]; m.To[0].Address != w.passedTo || !strings.Contains(string(m.Raw), string(w.canary)) {
		t.Errorf("released: %+v", m.To)
	}
	// That there was no certificate is remembered for minutes, but not here.
	w.enroll(w.x, w.ca.Issue(t, testkit.Leaf{Addresses: []string{w.x}}))
	w.queue(t, exitOK, "retry", w.held)
	w.opened(t, sink.Wait(t, 3)[2].Raw, w.x, w.message)
	testkit.Poll(t, "an empty queue", func() bool { return len(w.ids(t)) == 0 })
	w.queue(t, exitFailed, "retry", w.held)
	w.queue(t, exitFailed, "show", w.held)
	w.nowhere(t, w.canary, sink.Messages()[0].Raw, sink.Messages()[2].Raw)
}

// Delete takes what was named and no more, in both ways; what was steered in a
// stopped spool holds when the server is back.
func TestQueueSteersAStoppedSpool(t *testing.T) {
	w := newWaiter(t)
	w.queue(t, exitFailed, "delete", w.passed, "0000000000000000")
	if n := len(w.ids(t)); n != 3 {
		t.Fatalf("%d messages are left after an order that failed", n)
	}
	if out := w.queue(t, exitOK, "delete", "--json", w.held); out != `{"messages":1,"parcels":1}`+"\n" {
		t.Errorf("delete: %q", out)
	}
	w.stop(t)
	w.queue(t, exitOK, "hold", "--all")
	w.queue(t, exitOK, "delete", "--recipient", w.passedTo)
	if rows := w.list(t); len(rows) != 1 || rows[0].QueueID != w.sealed || rows[0].QueueName != queue.Hold {
		t.Fatalf("left: %+v", rows)
	}
	sink := testkit.StartSink(t, testkit.SinkOptions{Addr: w.upstream})
	w.start(t)
	w.queue(t, exitOK, "retry")
	if rows := w.list(t); len(rows) != 1 || rows[0].QueueName != queue.Hold {
		t.Fatalf("held by an operator: %+v", rows)
	}
	w.stop(t)
	if out := w.queue(t, exitOK, "release", "--all"); out != "1 recipient of 1 message released\n" {
		t.Errorf("release: %q", out)
	}
	w.start(t)
	w.opened(t, sink.Wait(t, 1)[0].Raw, w.sealedTo, w.message)
	testkit.Poll(t, "an empty queue", func() bool { return len(w.ids(t)) == 0 })
	w.nowhere(t, w.canary, sink.Wire())
}
