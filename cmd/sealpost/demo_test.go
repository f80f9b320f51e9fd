package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// The demo shows every step, proves it, and fits a screen.
func TestDemo(t *testing.T) {
	tmp := t.TempDir()
	cmd := command(t, "demo")
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("%v\n%s%s", err, out, &errs)
	}
	for _, want := range []string{
		demoSender, demoAnna, demoAuditor, demoSecret, "queued as", "application/pkcs7-mime; smime-type=enveloped-data",
		"550", "(no-certificate)", "byte for byte", "OpenSSL opens it too", "--keep",
		demoWalter, "/claim?t=", "PKCS #12", "With it he opens the statement",
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
	for line := range strings.Lines(string(out)) {
		if len(line) > 160 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// demo --keep prints commands for a newcomer. They are run as they stand there.
func TestDemoKeep(t *testing.T) {
	testkit.Need(t, "swaks", "openssl")
	d := startDemo(t, "--keep")
	d.until("Ctrl-C")
	swaks := d.until("swaks --server")
	client := d.until("openssl s_client")
	lookup, explain := d.until("sealpost lookup"), d.until("sealpost explain")

	for _, c := range []struct{ command, want string }{
		{lookup, demoAnna + ": mail is sealed with"}, {explain, "250 2.1.5 OK"},
	} {
		if out := d.shell(c.command, ""); !strings.Contains(out, c.want) {
			t.Errorf("%s: no %q in\n%s", c.command, c.want, out)
		}
	}
	d.shell(swaks, "")
	d.until("received")
	if out := d.shell(d.until("sealpost open"), ""); !strings.Contains(out, "\r\nHello Anna\r\n") {
		t.Errorf("opened: %q", out)
	}
	d.shell(client, "EHLO me\nMAIL FROM:<"+demoSender+">\nRCPT TO:<"+demoAnna+">\nDATA\nSubject: by hand\n\nby hand\n.\nQUIT\n")
	d.until("received")
	if out := d.shell(d.until("sealpost open"), ""); !strings.Contains(out, "by hand") {
		t.Errorf("opened: %q", out)
	}
	d.shell(strings.Replace(swaks, demoAnna, demoNobody, 1)+" || true", "") // no key is made for him
	d.shell(strings.Replace(swaks, demoAnna, "nobody@nokey.example", 1), "")
	d.until("sealed to a key that the directory has made")
	d.interrupt()
}

// A demo that runs, and whose output is read line by line.
type demoRun struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *bufio.Scanner
	path  string // a folder in which the program is called sealpost
	tmp   string
}

func startDemo(t testing.TB, args ...string) *demoRun {
	t.Helper()
	d := &demoRun{t: t, cmd: command(t, append([]string{"demo"}, args...)...), path: t.TempDir(), tmp: t.TempDir()}
	if err := os.Symlink(d.cmd.Path, filepath.Join(d.path, "sealpost")); err != nil {
		t.Fatal(err)
	}
	d.cmd.Env = append(d.cmd.Env, "TMPDIR="+d.tmp, "PATH="+d.path+":"+os.Getenv("PATH"))
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.lines = bufio.NewScanner(out)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*testkit.Patience, func() { _ = d.cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	return d
}

// until gives the next line that holds the text.
func (d *demoRun) until(text string) string {
	d.t.Helper()
	for d.lines.Scan() {
		if strings.Contains(d.lines.Text(), text) {
			return strings.TrimSpace(d.lines.Text())
		}
	}
	d.t.Fatalf("the demo ended before it said %q", text)
	return ""
}

// shell runs a command as a newcomer would who copies it.
func (d *demoRun) shell(line, in string) string {
	d.t.Helper()
	sh := exec.Command("sh", "-c", line)
	sh.Env = d.cmd.Env
	sh.Stdin = io.MultiReader(strings.NewReader(in))
	out, err := sh.CombinedOutput()
	if err != nil && !regexp.MustCompile(`^openssl|walter`).MatchString(line) {
		d.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// interrupt is Ctrl-C: the demo ends with 0 and leaves nothing behind.
func (d *demoRun) interrupt() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	for d.lines.Scan() { // to its end, so that Wait may close the pipe
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("after Ctrl-C: %v", err)
	}
	if left, err := os.ReadDir(d.tmp); err != nil || len(left) > 0 {
		d.t.Errorf("left behind: %v, %v", left, err)
	}
}
