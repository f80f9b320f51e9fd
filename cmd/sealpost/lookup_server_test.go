package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// looked runs `sealpost lookup --json` for anna and wants the exit code.
func (k *keyTale) looked(code int, more ...string) lookupReport {
	k.Helper()
	out, errs, got := sealpost(k, "", append([]string{"lookup", "--json", "--config", k.config, changing}, more...)...)
	var r lookupReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || got != code {
		k.Fatalf("lookup %q: exit code %d, want %d, %v\n%s%s", more, got, code, err, out, errs)
	}
	return r
}

// cached is the state of what the server remembers of anna.
func (k *keyTale) cached(want string) *cacheReport {
	k.Helper()
	r := k.looked(exitOK)
	if len(r.Remembered) != 1 || r.Remembered[0].Cache == nil || r.Remembered[0].Cache.State != want {
		k.Fatalf("want %s, is %+v (%s)", want, r.Remembered, r.Server.Error)
	}
	return r.Remembered[0].Cache
}

// The page shows what the sources say now, and what the server would use.
func TestLookupShowsWhatTheServerRemembers(t *testing.T) {
	k := newKeyTale(t, "")
	k.offers("a")
	k.cached("nothing")
	k.sealedTo("a")
	c := k.cached("fresh")
	cert, _ := k.fingerprints("a")
	if c.Outcome != "found" || len(c.Used) != 1 || c.Used[0] != cert.String() || c.Until == nil || c.StaleUntil == nil || c.Age < 0 {
		t.Errorf("%+v", c)
	}
	k.offers("b")
	if r := k.looked(exitOK); r.Certificates[0].Subject != "CN=Anna b" || r.Remembered[0].Cache.Used[0] != cert.String() {
		t.Errorf("%+v", r)
	}
	k.sealedTo("a") // whoever looked has changed nothing
	asked := len(k.keys.queries())
	if r := k.looked(exitOK, "--refresh"); r.Certificates[0].Subject != "CN=Anna b" || !r.Server.Running || len(k.keys.queries()) != asked+1 {
		t.Errorf("%+v", r)
	}
	k.sealedTo("b")
	if n := len(k.keys.queries()); n != asked+1 {
		t.Errorf("asked %d times more", n-asked)
	}
	text, _, _ := sealpost(t, "", "lookup", "--config", k.config, changing)
	cert, _ = k.fingerprints("b")
	if !strings.Contains(text, `the server's cache holds "found", found out `) || !strings.Contains(text, "    "+cert.String()+"\n") {
		t.Errorf("%s", text)
	}
}

// A source that is away: what is remembered stays, and --refresh says so.
func TestLookupRefreshWithTheSourceAway(t *testing.T) {
	k := newKeyTale(t, "")
	k.extra = strings.Replace(k.extra, "ttl: 1h", "ttl: 1s", 1)
	k.trust("")
	k.relaunch(t, syscall.SIGTERM)
	k.offers("a")
	k.sealedTo("a")
	k.keys.Close()
	if r := k.looked(exitFailed, "--refresh"); r.Outcome != "unavailable" || r.Reason != "lookup-unavailable" || r.Sources[0].Error == "" {
		t.Errorf("%+v", r)
	}
	testkit.Poll(t, "the answer to be stale", func() bool {
		r := k.looked(exitFailed)
		return r.Remembered[0].Cache.State == "stale"
	})
	k.sealedTo("a")
	if r := k.looked(exitFailed); r.Remembered[0].Cache.Error == "" || r.Remembered[0].Cache.Retry == nil {
		t.Errorf("%+v", r.Remembered[0].Cache)
	}
}

// What is flushed is asked for again, with the server or without.
func TestLookupFlush(t *testing.T) {
	k := newKeyTale(t, "")
	k.offers("a")
	flush := func(want string, args ...string) {
		t.Helper()
		out, errs, code := sealpost(t, "", append([]string{"lookup", "--flush", "--config", k.config}, args...)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%q: %d, %s%s", args, code, out, errs)
		}
	}
	flush("nothing was remembered", changing)
	k.sealedTo("a")
	flush("everything is forgotten that was remembered (1 address)", "--all")
	k.cached("nothing")
	for _, stop := range []bool{false, true} {
		k.offers("a")
		k.sealedTo("a")
		if stop {
			k.signal(t, syscall.SIGTERM)
			<-k.ended
		}
		k.offers("b")
		flush(changing+": forgotten", changing)
		if stop {
			flush(changing+": nothing was remembered", changing)
			flush("everything is forgotten", "--all")
			k.launch(t)
		}
		k.sealedTo("b")
		flush(changing+": forgotten", changing)
	}
	out, _, _ := sealpost(t, "", "lookup", "--flush", "--all", "--json", "--config", k.config)
	var answer map[string]any
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	members(t, answer, "addresses")
}

// Without a server, and beside one that has the files but cannot be asked, the
// sources are shown all the same.
func TestLookupWithoutAServerToAsk(t *testing.T) {
	k := newKeyTale(t, holding)
	k.offers("a")
	k.sealedTo("a")
	k.extra = strings.Replace(k.extra, "control: control.sock\n", "", 1)
	k.trust(holding)
	for _, stop := range []bool{false, true} {
		if stop {
			k.signal(t, syscall.SIGTERM)
			<-k.ended
		}
		r := k.looked(exitOK)
		if r.Server.Running || r.Server.Error == "" || r.Certificates[0].Subject != "CN=Anna a" {
			t.Errorf("%+v", r)
		}
		if known := len(r.Remembered) == 1 && len(r.Remembered[0].Keys.Accepted) == 1; known != stop {
			t.Errorf("stopped %v: %+v", stop, r.Remembered)
		}
		complains(t, exitFailed, []string{"nobody would remember"}, "lookup", "--refresh", "--config", k.config, changing)
		_, errs, code := sealpost(t, "", "explain", "--config", k.config, "--from", "a@bank.example", "--to", changing)
		if code != exitOK || strings.Contains(errs, "a key that has changed is not noticed") == stop {
			t.Errorf("stopped %v: explain: %d, %s", stop, code, errs)
		}
	}
	k.offers("b")
	if r := k.looked(exitOK); r.Certificates[0].Reason != "certificate-key-changed" || !r.Certificates[1].Used || r.Certificates[1].Subject != "CN=Anna a" {
		t.Errorf("%+v", r.Certificates)
	}
}

// Looking accepts nobody's key, and makes no file.
func TestLookupLeavesNoTrace(t *testing.T) {
	in := newInstallation(t, changing)
	in.configure(t, testkit.FreeAddr(t), "trust: {known_keys: known.keys}\nspool: {dir: spool, key_file: spool.key}\n")
	look := func() {
		t.Helper()
		if out, errs, code := sealpost(t, "", "lookup", "--config", in.config, changing); code != exitOK || !strings.Contains(out, "the server is not running") {
			t.Errorf("%d: %s%s", code, out, errs)
		}
	}
	look()
	if _, err := os.Stat(filepath.Join(in.dir, "known.keys")); err == nil {
		t.Error("the file of keys was made")
	}
	file, err := lookup.OpenKeyFile(filepath.Join(in.dir, "known.keys"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	look()
	complains(t, exitFailed, []string{"nothing is known"}, "keys", "show", "--config", in.config, changing)
}

func TestLookupWrongUsage(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), "")
	for text, word := range map[string]string{
		"":                                     "name the addresses",
		"--flush":                              "--all",
		"--flush --all anna@example.org":       "--all",
		"--all anna@example.org":               "--flush",
		"--refresh --flush anna@example.org":   "--refresh",
		"--refresh":                            "name the addresses",
		"anna@example.org not-an-address":      "not-an-address",
		"--flush anna@example.org also-wrong@": "also-wrong@",
	} {
		complains(t, exitUsage, []string{word}, append([]string{"lookup", "--config", in.config}, strings.Fields(text)...)...)
	}
}
