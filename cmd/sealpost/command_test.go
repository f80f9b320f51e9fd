package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

var everyCommand = []string{"demo", "serve", "check", "lookup", "explain", "seal", "open", "queue", "directory", "health", "version"}

func TestHelp(t *testing.T) {
	out, _, code := sealpost(t, "", "--help")
	for _, c := range everyCommand {
		if code != exitOK || !regexp.MustCompile(`(?m)^ +`+c+`\b.*[A-Z]`).MatchString(out) {
			t.Errorf("%d: --help does not explain %s:\n%s", code, c, out)
		}
		if out, errs, code := sealpost(t, "", c, "--help"); code != exitOK || errs != "" || !strings.HasPrefix(out, "Usage: sealpost "+c) {
			t.Errorf("%s --help: %d, %s%s", c, code, out, errs)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range []string{
		"", "frobnicate", "--frob", "serve", "serve --config", "serve --confg x", "check", "lookup --config x", "explain --config x --from a@b.example",
		"open --key x", "seal --to x --kdf md5", "health --config a --address b", "version now", "demo --listen",
	} {
		out, errs, code := sealpost(t, "", strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errs, "sealpost: ") || !strings.Contains(errs, "--help") {
			t.Errorf("%q: %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestVersion(t *testing.T) {
	out, errs, code := sealpost(t, "", "version")
	if code != exitOK || errs != "" || !regexp.MustCompile(`^sealpost \S+ \(commit \S+, go\S+, \w+/\w+\)\n$`).MatchString(out) {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}

// health has one line and an exit code for monitoring.
func TestHealth(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.configure(t, testkit.FreeAddr(t), "")
	ask := func(args ...string) (string, int) {
		out, errs, code := sealpost(t, "", append([]string{"health"}, args...)...)
		return out + errs, code
	}
	if said, code := ask("--config", in.config); code != exitFailed || !strings.Contains(said, "no answer from the server at "+in.monitor) {
		t.Errorf("before the start: %d, %s", code, said)
	}
	in.start(t)
	for _, where := range [][]string{{"--config", in.config}, {"--address", in.monitor}} {
		if said, code := ask(where...); code != exitOK || said != "OK: the server at "+in.monitor+" is ready\n" {
			t.Errorf("%v: %d, %q", where, code, said)
		}
	}
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "354", "DATA")
	in.signal(t, syscall.SIGTERM)
	testkit.Poll(t, "the stop to be seen", func() bool {
		said, code := ask("--config", in.config)
		return code == exitFailed && strings.Contains(said, "says: stopping")
	})
	d.send(t, "Subject: x\r\n\r\n.\r\n")
	d.expect(t, "451 4.4.1")

	none := newInstallation(t)
	none.configure(t, testkit.FreeAddr(t), "metrics: {address: none}\n")
	if said, code := ask("--config", none.config); code != exitUsage || !strings.Contains(said, "no endpoint") {
		t.Errorf("without an endpoint: %d, %s", code, said)
	}
	if said, code := ask("--address", "nonsense"); code != exitUsage || !strings.Contains(said, "--address") {
		t.Errorf("nonsense: %d, %s", code, said)
	}
}
