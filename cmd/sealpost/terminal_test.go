package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"sealpost/lookup"
)

// onTerminal runs sealpost on a terminal of that many columns and gives all
// that it showed.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, args...)
	cmd.Stdout, cmd.Env = terminal, append(append(cmd.Env, "TERM=xterm", "NO_COLOR="), env...)
	err = cmd.Start()
	terminal.Close()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, unix.EIO) { // that is how a terminal ends
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code is another test's
	return strings.ReplaceAll(string(shown), "\r\n", "\n")
}

// On a terminal there are colours, and no line is wider than it; a word that is
// there to be copied excepted.
func TestLookupOnATerminal(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.configure(t, "127.0.0.1:25", "")
	args := []string{"lookup", "--config", in.config, "anna@example.org"}
	plainly, _, _ := sealpost(t, "", args...)
	coloured := onTerminal(t, 60, nil, args...)
	if !strings.Contains(coloured, "\x1b[32mUSED\x1b[0m") || strings.Contains(plainly, "\x1b") {
		t.Errorf("on a terminal:\n%q\nelsewhere:\n%q", coloured, plainly)
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		shown := onTerminal(t, 60, []string{env}, args...)
		if strings.Contains(shown, "\x1b") {
			t.Errorf("%s: %q", env, shown)
		}
		for line := range strings.Lines(shown) {
			if words := strings.Fields(line); columnsOf(strings.TrimSpace(line)) > 60 && !slices.ContainsFunc(words, func(w string) bool { return columnsOf(w) > 60-16 }) {
				t.Errorf("%d columns: %q", columnsOf(line), line)
			}
		}
		if strings.Join(strings.Fields(shown), " ") == strings.Join(strings.Fields(coloured), " ") {
			t.Error("with and without colours the same is shown")
		}
	}
}

func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"one a-very-long-word two", 5, []string{"one", "a-very-long-word", "two"}},
		{"日本語 日本語", 12, []string{"日本語", "日本語"}},
		{"日本語 日本語", 13, []string{"日本語 日本語"}},
		{"e\u0301e\u0301e\u0301 e\u0301", 5, []string{"e\u0301e\u0301e\u0301 e\u0301"}},
		{"no room", -3, []string{"no", "room"}},
	} {
		if got := wrapped(c.text, c.columns, true); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q", c.text, c.columns, got)
		}
	}
	if got := wrapped("as long as it is", 3, false); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// What strangers write never steers a terminal, in words or in JSON.
func TestReportsPrintHarmlessly(t *testing.T) {
	const evil = "x\x1b[2J\r\n\u202e\x00\u009b\u2028\U000e0041\tend"
	now := shownNow
	key := keyReport{Subject: evil, Issuer: evil, Key: evil, Source: evil, Serial: evil}
	keys := mailboxKeys{Address: evil, State: evil, Accepted: []keyReport{key, {Source: evil}}, Held: []keyReport{key}, Refused: []lookup.Fingerprint{{}}, Error: evil}
	cache := cacheReport{State: "stale", Outcome: evil, Reason: evil, Time: &now, StaleUntil: &now, Until: &now, Used: []string{evil}, Error: evil}
	r := lookupReport{
		Address: evil, Time: now, Outcome: "found", Reason: evil, Error: evil, Cipher: evil, CipherWhy: evil, Instead: evil,
		Sources: []sourceReport{{Name: evil, Type: evil, Outcome: evil, Error: evil, Notes: []string{evil}, Instead: evil}},
		Certificates: []certificateReport{{
			Source: evil, Where: evil, Subject: evil, Issuer: evil, Serial: evil, Key: evil, Addresses: []string{evil}, KeyUsage: []string{evil},
			Purposes: []string{evil}, Capabilities: []string{evil}, Reason: evil, Why: evil, Rule: evil, VouchedBy: "pki", Chain: []string{evil, evil},
			Revocation: &revocationReport{Status: "revoked", Why: evil, Where: evil},
		}},
		Server: serverReport{Error: evil}, Remembered: []rememberedReport{{Address: evil, Cache: &cache, Keys: &keys}},
	}
	for name, print := range map[string]func(*paper){
		"report": r.print, "keys": func(p *paper) { keys.print(p, now) }, "list": keys.printShort,
		"json": func(p *paper) {
			if err := p.json(r); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, width := range []int{0, 40} {
			text := printed(width, false, print)
			for _, letter := range text {
				if letter != '\n' && !unicode.IsPrint(letter) {
					t.Fatalf("%s: %q in %q", name, letter, text)
				}
			}
			if !strings.Contains(text, "end") {
				t.Errorf("%s shows nothing", name)
			}
			var back lookupReport
			if name != "json" {
				continue
			}
			if err := json.Unmarshal([]byte(text), &back); err != nil || back.Error != evil || strings.Count(text, "\n") != 1 {
				t.Errorf("%v: %q", err, back.Error)
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "a moment", time.Second: "a moment", 90 * time.Second: "90 seconds", -5 * time.Minute: "5 minutes", 47 * time.Hour: "47 hours",
		12 * 24 * time.Hour: "12 days", 99 * 24 * time.Hour: "99 days", 200 * 24 * time.Hour: "6 months", 1000 * 24 * time.Hour: "2 years",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
