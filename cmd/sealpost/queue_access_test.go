package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
	"sealpost/relay/spool"
)

// complains runs sealpost and wants an exit code and words that say why.
func complains(t *testing.T, want int, words []string, args ...string) {
	t.Helper()
	out, errs, code := sealpost(t, "", args...)
	if code != want || out != "" {
		t.Errorf("%q: exit code %d, want %d; %s%s", args, code, want, out, errs)
	}
	for _, word := range words {
		if !strings.Contains(errs, word) {
			t.Errorf("%q does not say %q:\n%s", args, word, errs)
		}
	}
}

// What could do harm by a slip wants to be said in full.
func TestQueueWrongUsage(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), quietSpool)
	for text, word := range map[string]string{
		"delete":                          "--all",
		"hold":                            "--all",
		"release":                         "--all",
		"delete --all --domain a.example": "--all",
		"delete --all 0000000000000000":   "--all",
		"delete --older 0s":               "--older",
		"delete --older -5d":              "--older",
		"delete --older 5":                "--older",
		"delete --older 99999999999d":     "--older",
		"delete --recipient=":             "--recipient",
		"delete --domain *.example":       "--domain",
		"delete --state frozen":           "frozen",
		"delete --state=":                 "--state",
		"show":                            "id",
		"shape --by moon":                 "--by",
		"list --frobnicate":               "--frobnicate",
	} {
		args := strings.Fields(text)
		complains(t, exitUsage, []string{word}, append([]string{"queue", args[0], "--config", in.config}, args[1:]...)...)
	}
	complains(t, exitFailed, []string{"there is no spool"}, "queue", "list", "--config", in.config)
	complains(t, exitUsage, []string{"must not be empty"}, "queue", "delete", "--config", in.config, "")
	if spool.Exists(filepath.Join(in.dir, "spool")) {
		t.Error("a spool was made")
	}
	in.configure(t, testkit.FreeAddr(t), "")
	complains(t, exitUsage, []string{"no section spool"}, "queue", "list", "--config", in.config)
}

// One spool, one server: the second does not start, and harms nothing.
func TestSecondServerOnOneSpool(t *testing.T) {
	w := newWaiter(t)
	first := w.config
	w.config = w.write(t, "second.yaml", strings.NewReplacer(w.addr, testkit.FreeAddr(t), w.monitor, testkit.FreeAddr(t)).
		Replace(read(t, first)))
	out, errs, code := sealpost(t, "", "serve", "--config", w.config)
	if code != exitFailed || !strings.Contains(errs, "spool is in use") {
		t.Errorf("the second server: %d, %s%s", code, out, errs)
	}
	if n := len(w.ids(t)); n != 3 {
		t.Errorf("the first one lists %d messages", n)
	}
}

// A spool that somebody has who does not answer is left alone.
func TestSpoolInUse(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), quietSpool)
	key, err := spool.GenerateKey(filepath.Join(in.dir, "spool.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := spool.Open(spool.Options{Dir: filepath.Join(in.dir, "spool"), Identity: key, SegmentSize: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	complains(t, exitFailed, []string{"spool is in use", "does not answer"}, "queue", "list", "--config", in.config)
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if out, _, code := sealpost(t, "", "queue", "list", "--config", in.config); code != exitOK || out != "Mail queue is empty\n" {
		t.Errorf("afterwards: %d, %q", code, out)
	}
}

// A server that was killed leaves its socket: the spool can be read all the
// same, and the next server answers.
func TestQueueAfterAKill(t *testing.T) {
	w := newWaiter(t)
	w.signal(t, syscall.SIGKILL)
	<-w.ended
	socket := filepath.Join(w.dir, "spool", spool.SocketName)
	if _, err := os.Lstat(socket); err != nil {
		t.Fatal(err)
	}
	if n := len(w.ids(t)); n != 3 {
		t.Errorf("%d messages after the kill", n)
	}
	w.start(t)
	if n := len(w.ids(t)); n != 3 {
		t.Errorf("%d messages after the start", n)
	}
	if strings.Contains(w.log(t), "not the spool's") {
		t.Error("the spool minds the socket")
	}
	w.stop(t)
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
	w.nowhere(t, w.canary)
}

// The spool's key: open to others, lost, or another one. Nothing is opened, no
// new key is made, and the text says what to do.
func TestQueueWithoutItsKey(t *testing.T) {
	w := newWaiter(t)
	w.stop(t)
	key := filepath.Join(w.dir, "spool.key")
	for _, command := range [][]string{{"queue", "list"}, {"serve"}, {"check"}} {
		args := append(command, "--config", w.config)
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		complains(t, exitUsage, []string{"spool.key_file", key}, args...)
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(key, key+".away"); err != nil {
			t.Fatal(err)
		}
		complains(t, exitUsage, []string{"spool.key_file", "bring it back"}, args...)
		if _, err := os.Lstat(key); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v made a key: %v", command, err)
		}
		if err := os.Rename(key+".away", key); err != nil {
			t.Fatal(err)
		}
	}
	ours := read(t, key)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.GenerateKey(key); err != nil {
		t.Fatal(err)
	}
	complains(t, exitFailed, []string{"spool key"}, "queue", "list", "--config", w.config)
	complains(t, exitFailed, []string{"spool key"}, "serve", "--config", w.config)
	w.write(t, "spool.key", ours)
	if err := os.Chmod(filepath.Join(w.dir, "spool"), 0o755); err != nil {
		t.Fatal(err)
	}
	complains(t, exitFailed, []string{"wrong permissions", "0700"}, "queue", "list", "--config", w.config)
	if err := os.Chmod(filepath.Join(w.dir, "spool"), 0o700); err != nil {
		t.Fatal(err)
	}
	if n := len(w.ids(t)); n != 3 {
		t.Errorf("%d messages are left", n)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
