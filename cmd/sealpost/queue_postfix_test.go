package main

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What reads Postfix's queue listings reads ours: we write every member that
// `postqueue -j` has, of the same type, and `postqueue -p` line by line.
func TestQueueListsAsPostfixDoes(t *testing.T) {
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Relay: testkit.FreeAddr(t)})
	w := newWaiter(t)
	for _, from := range []string{"statements@bank.example", ""} {
		for _, d := range []*dialog{dialSMTP(t, postfix.Addr), w.dial(t)} {
			d.say(t, "250", "MAIL FROM:<"+from+">")
			d.say(t, "250", "RCPT TO:<anna@example.org>")
			if said := d.data(t, "Subject: x\r\n\r\nx\r\n"); !strings.HasPrefix(said, "250") {
				t.Fatal(said)
			}
		}
	}
	var theirs map[string]any
	testkit.Poll(t, "Postfix to defer", func() bool {
		theirs = member(t, firstLine(postfix.Queue(t)))
		return theirs["queue_name"] == "deferred" && strings.Count(postfix.Queue(t), "delay_reason") == 2
	})
	ours := member(t, firstLine(w.queue(t, exitOK, "list", "--json")))
	sameMembers(t, "message", theirs, ours)
	sameMembers(t, "recipient", theirs["recipients"].([]any)[0].(map[string]any), ours["recipients"].([]any)[0].(map[string]any))

	out, err := exec.Command("postqueue", "-c", postfix.Dir, "-p").Output()
	if err != nil {
		t.Fatal(err)
	}
	wantShape, gotShape := listingShape(t, string(out)), listingShape(t, w.queue(t, exitOK, "list", w.sealed))
	for kind := range wantShape {
		if !gotShape[kind] {
			t.Errorf("Postfix's listing has %s, ours not", kind)
		}
	}
	for _, all := range []string{string(out), postfix.Queue(t), w.queue(t, exitOK, "list"), w.queue(t, exitOK, "list", "--json")} {
		if strings.Count(all, nullSender) != 1 {
			t.Errorf("the null sender is not once in\n%s", all)
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func member(t *testing.T, line string) map[string]any {
	t.Helper()
	var m map[string]any
	if line == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return m
}

// sameMembers wants in ours whatever is in theirs.
func sameMembers(t *testing.T, what string, theirs, ours map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		want, got := theirs[name], ours[name]
		switch want.(type) {
		case string:
			_, ok := got.(string)
			if ok {
				continue
			}
		case float64:
			if _, ok := got.(float64); ok {
				continue
			}
		case bool:
			if _, ok := got.(bool); ok {
				continue
			}
		case []any:
			if _, ok := got.([]any); ok {
				continue
			}
		}
		t.Errorf("%s: Postfix has %s: %v, we have %v", what, name, want, got)
	}
}

// listingShape reads a listing as programs do: by columns of words.
func listingShape(t *testing.T, text string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			seen["a blank line behind a message"] = true
		case strings.HasPrefix(line, "-- "):
			seen["a sum "+f[2]] = len(f) == 6 && strings.HasPrefix(f[5], "Request")
		case strings.HasPrefix(line, "-"):
			seen["a heading"] = len(f) >= 4
		case strings.HasPrefix(f[0], "("):
			seen["a reason in brackets"] = strings.HasSuffix(strings.TrimSpace(line), ")")
		case len(f) == 1 && strings.HasPrefix(line, "  "):
			seen["a recipient, indented"] = true
		case len(f) == 7:
			seen["id, size, four words of time, sender"] = strings.Count(f[5], ":") == 2
		default:
			t.Errorf("a line of no known kind: %q", line)
		}
	}
	return seen
}
