package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What `check` says of a configuration. $FILE stands for its path.
var checks = []struct {
	name, yaml string // yaml goes behind the usual configuration
	code       int
	out        string
	errs       []string
}{
	{"nothing wrong", "", exitOK, "$FILE: ok\n", nil},
	{"a warning", "policy:\n  - {name: open, encrypt: never}\n", exitOK, "$FILE: ok\n", []string{"warning: $FILE:14: policy[0].encrypt: never"}},
	{"an unknown key", "polcy: []\n", exitUsage, "", []string{"$FILE:15: polcy: "}},
	{"several mistakes", "smime: {content: aes-512}\ntrust: {min_rsa_bits: many}\n", exitUsage, "",
		[]string{"$FILE:15: smime.content: ", "$FILE:16: trust.min_rsa_bits: "}},
	{"an open relay", "listen:\n  - address: 127.0.0.1:2525\n    networks: [0.0.0.0/0]\n", exitUsage, "",
		[]string{"$FILE:14: listen[0].networks[0]: ", "open relay"}},
	{"nobody may send", "listen:\n  - address: 127.0.0.1:2525\n", exitUsage, "", []string{"$FILE:13: listen[0]: "}},
	{"a file that is not there", "trust: {roots: [missing.pem]}\n", exitUsage, "", []string{"$FILE:15: trust.roots[0]: ", "missing.pem"}},
	{"a loop", "upstream:\n  - {address: \"$ADDR\", tls: none}\n", exitUsage, "", []string{"$FILE:", "our own listener"}},
	{"not YAML", "policy: [\n", exitUsage, "", []string{"$FILE:"}},
}

func TestCheck(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	for _, c := range checks {
		in.configure(t, "127.0.0.1:25", strings.ReplaceAll(c.yaml, "$ADDR", in.addr))
		out, errs, code := sealpost(t, "", "check", "--config", in.config)
		if code != c.code || out != strings.ReplaceAll(c.out, "$FILE", in.config) {
			t.Errorf("%s: exit code %d, %q\n%s", c.name, code, out, errs)
		}
		for _, want := range c.errs {
			if want = strings.ReplaceAll(want, "$FILE", in.config); !strings.Contains(errs, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, errs)
			}
		}
		if n := strings.Count(errs, "\n"); n != strings.Count(errs, in.config+":") || n > max(1, len(c.errs)) {
			t.Errorf("%s: a message too many, or one without file and line:\n%s", c.name, errs)
		}
		if code == exitOK {
			continue
		}
		if _, again, code := sealpost(t, "", "serve", "--config", in.config); code != exitUsage || again != errs {
			t.Errorf("%s: serve: %d, %s", c.name, code, again)
		}
	}
}

func TestCheckOfNoFile(t *testing.T) {
	missing := t.TempDir() + "/missing.yaml"
	for _, command := range [][]string{
		{"check"}, {"serve"}, {"lookup", "a@b.example"}, {"explain", "--from", "<>", "--to", "a@b.example"}, {"health"},
	} {
		_, errs, code := sealpost(t, "", append(command, "--config", missing)...)
		if code != exitUsage || !strings.Contains(errs, missing+": cannot be read: no such file") {
			t.Errorf("%s: %d, %s", command[0], code, errs)
		}
	}
}

// A damaged certificate file does not stop the others, but is not passed over
// in silence.
func TestCheckNamesDamagedCertificates(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.write(t, "certs/broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	in.configure(t, "127.0.0.1:25", "")
	out, errs, code := sealpost(t, "", "check", "--config", in.config)
	if code != exitOK || !strings.Contains(errs, "warning: ") || !strings.Contains(errs, "broken.pem") {
		t.Errorf("%d, %s%s", code, out, errs)
	}
}

// --probe tries upstream and each source, and says which one failed.
func TestCheckProbe(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	keys := newKeyserver(t, in)
	sink := testkit.StartSink(t, testkit.SinkOptions{TLS: in.ca.ServerTLS(t)})
	dead := testkit.FreeAddr(t)
	sources := "lookup:\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"
	for _, c := range []struct {
		name, yaml string
		code       int
		out        []string
	}{
		{"all there", "upstream:\n  - {address: \"" + sink.Addr + "\", tls: require, tls_roots: [root.pem]}\n" + sources + keys.source(""), exitOK,
			[]string{"upstream " + sink.Addr + ": ok (TLS 1.3", ", verified,", "source pinned: ok (none,", "source keys: ok (none,", ": ok\n"}},
		{"upstream is away", "upstream:\n  - {address: \"" + dead + "\", tls: none}\n" + sources, exitFailed,
			[]string{"upstream " + dead + ": FAILED: ", "source pinned: ok"}},
		{"unknown authority", "upstream:\n  - {address: \"" + sink.Addr + "\", tls: require}\n" + sources, exitFailed,
			[]string{"upstream " + sink.Addr + ": FAILED: "}},
		{"a source is away", "upstream:\n  - {address: \"" + sink.Addr + "\", tls: none}\n" + sources +
			"    - {name: dead, type: http, url: \"http://" + dead + "/{address}\", trust: source}\n", exitFailed,
			[]string{"upstream " + sink.Addr + ": ok (no TLS", "source dead: FAILED: "}},
	} {
		in.configure(t, "", c.yaml)
		out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config)
		if code != c.code {
			t.Errorf("%s: exit code %d\n%s%s", c.name, code, out, errs)
		}
		for _, want := range c.out {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
	}
	if len(sink.Messages()) > 0 || strings.Contains(string(sink.Wire()), "MAIL") {
		t.Error("the probe sent mail")
	}
}
