package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// While a large message is under way it lies in a file without a name. We read
// that file through the process's own descriptors: nothing in it is readable,
// neither of the copy that is sealed nor of the one that goes out as it came.
func TestNothingReadableTouchesTheDisk(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, `limits: {message_memory: 64KiB, temp_dir: tmp}
policy:
  - {name: open, recipient: "*@open.example", encrypt: never}
  - {name: default}
`)
	in.start(t)
	canary := testkit.NewCanary(t)
	head := "From: statements@bank.example\r\nSubject: statement\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
	line := strings.Repeat(string(canary)+" ", 5) + "\r\n"
	half := strings.Repeat(line, 5<<20/2/len(line))

	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "250", "RCPT TO:<bert@open.example>")
	d.say(t, "354", "DATA")
	d.send(t, head+half)
	testkit.Poll(t, "two temporary files of a megabyte", func() bool { return len(in.unlinked(t, 1<<20)) == 2 })
	for _, fd := range in.unlinked(t, 1<<20) {
		content, err := os.ReadFile(fd)
		if err != nil {
			t.Fatal(err)
		}
		canary.Absent(t, "a temporary file", content)
	}
	canary.AbsentInTree(t, in.dir)
	if n := in.metric(t, "sealpost_spill_files"); n != 2 {
		t.Errorf("%v temporary files are shown", n)
	}
	d.send(t, half+".\r\n")
	d.expect(t, "250")

	for _, m := range sink.Wait(t, 2) {
		if m.To[0].Address == "bert@open.example" {
			if !strings.HasSuffix(string(m.Raw), head+half+half) {
				t.Error("what a rule lets pass was changed")
			}
			continue
		}
		canary.Absent(t, "the sealed copy", m.Raw)
		in.opened(t, m.Raw, "anna@example.org", head+half+half)
	}
	in.nowhere(t, canary)
	testkit.Poll(t, "the files to be given back", func() bool { return len(in.unlinked(t, 0)) == 0 })
}

// unlinked gives the paths, by the process's descriptors, of the files without
// a name that it has open in its folder for temporary files, from a size on.
func (in *installation) unlinked(t testing.TB, size int64) []string {
	t.Helper()
	var found []string
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", in.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !strings.HasPrefix(target, filepath.Join(in.dir, "tmp")) || !strings.HasSuffix(target, "(deleted)") {
			continue // closed meanwhile, or something else
		}
		if info, err := os.Stat(fd); err == nil && info.Size() >= size {
			found = append(found, fd)
		}
	}
	return found
}

// The bounce that Postfix writes when Sealpost refuses goes back through the
// world: it says why, and shows nothing of the text.
func TestBounceShowsNothing(t *testing.T) {
	in := newInstallation(t)
	reinject := testkit.FreeAddr(t)
	recipe := testkit.PostfixRecipe(t, "filter").With(t, "127.0.0.1:10025", in.addr, "127.0.0.1:10026", reinject)
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: recipe.Main, Master: recipe.Master})
	in.write(t, "sealpost.yaml", recipe.Sealpost+"metrics: {address: \""+in.monitor+"\"}\n")
	in.start(t)
	canary := testkit.NewCanary(t)
	message := "From: statements@bank.example\r\nBcc: " + string(canary) + "@bank.example\r\nSubject: x\r\n\r\nbalance " + string(canary) + "\r\n"
	if got := dialSMTP(t, postfix.Addr).submit(t, message, "nokey@example.org"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	bounce := postfix.WaitDelivered(t, 1)[0]
	if bounce.From != "" || bounce.To != "statements@bank.example" || !strings.Contains(string(bounce.Raw), "(no-certificate)") {
		t.Errorf("from <%s> to <%s>:\n%s", bounce.From, bounce.To, bounce.Raw)
	}
	in.nowhere(t, canary, bounce.Raw, []byte(postfix.Log(t)))
}
