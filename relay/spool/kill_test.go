package spool

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// childDir tells the test binary to be the process that is killed.
const childDir = "SEALPOST_SPOOL_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func killOptions(dir string) (Options, error) {
	key, err := LoadKey(filepath.Join(dir, "key"))
	return Options{
		Dir: filepath.Join(dir, "spool"), Identity: key, SegmentSize: 128 << 10, BigBody: 8 << 10,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}, err
}

// child puts and ends messages until it is killed, and says on standard
// output what was acknowledged: "put ID N", "ending ID", "end ID".
func child(dir, round string) error {
	opt, err := killOptions(dir)
	if err != nil {
		return err
	}
	s, err := Open(opt)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("r%sw%dn%d", round, w, n)
				e := message(id, n)
				if err := s.Put(context.Background(), e); err != nil {
					say("trouble %v", err)
					return
				}
				say("put %s %d", id, n)
				if n%10 == 0 {
					continue
				}
				say("ending %s", id)
				for p := range e.Parcels {
					s.RecordAttempt(context.Background(), clock(), Ref{id, p})
					s.Done(context.Background(), Ref{id, p})
				}
				say("end %s", id)
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKill kills a process at work, again and again on the same spool, and
// checks after each time everything that it had acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	if _, err := GenerateKey(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	l, puts := newLedger(), 0
	for round := range 25 {
		puts += killRound(t, dir, round, 20+rng.IntN(600), l)
		opt, err := killOptions(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, opt)
		l.check(t, s, fmt.Sprintf("round %d", round))
		forget(s, l)
		mustClose(t, s)
	}
	if puts < 1000 {
		t.Errorf("only %d messages were put", puts)
	}
}

// killRound reads what the child says, and kills it after so many lines.
func killRound(t *testing.T, dir string, round, lines int, l *ledger) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], fmt.Sprint(round))
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	puts := 0
	said := bufio.NewScanner(out)
	for n := 0; said.Scan(); n++ {
		puts += book(t, l, said.Text())
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	return puts
}

func book(t *testing.T, l *ledger, line string) (puts int) {
	word, rest, _ := strings.Cut(line, " ")
	var id string
	var n int
	fmt.Sscanf(rest, "%s %d", &id, &n)
	switch word {
	case "put":
		l.held[id] = message(id, n)
		return 1
	case "ending":
		l.open[id] = l.held[id]
		delete(l.held, id)
	case "end":
		delete(l.open, id)
		l.gone[id] = true
	default:
		t.Errorf("the child says %q", line)
	}
	return 0
}

// forget takes messages that the killed process had not told of out of the
// store: nobody was promised anything about them.
func forget(s *Store, l *ledger) {
	for info := range s.All() {
		if _, held := l.held[info.ID]; !held {
			s.Delete(context.Background(), info.ID)
			l.gone[info.ID] = true
			delete(l.open, info.ID)
		}
	}
}
