package claim_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sealpost/directory/claim"
	"sealpost/directory/mailer"
	"sealpost/internal/address"
	"sealpost/internal/testkit"
)

// dieAt makes the test program a node that is killed at a step: see TestMain.
const dieAt = "SEALPOST_TEST_DIE"

func TestMain(m *testing.M) {
	if step := os.Getenv(dieAt); step != "" {
		fmt.Fprintln(os.Stderr, nodeThatDies(step))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A dying mail server's client kills its process before or after the message has
// gone out.
type dying struct {
	mailer.Mailer
	step string
}

func (d *dying) Send(ctx context.Context, from, to address.Address, message []byte) error {
	if d.step == "taken" {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if err := d.Mailer.Send(ctx, from, to, message); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// nodeThatDies opens a directory that has a key and no notice, and sends that.
func nodeThatDies(step string) error {
	w := &world{dir: os.Getenv("DIR")}
	o, err := w.options(filepath.Join(w.dir, "escrow.key"), time.Now)
	if err != nil {
		return err
	}
	o.Mailer = &dying{mailer.Mailer{Address: os.Getenv("MX"), Hostname: "keys.example.com"}, step}
	e, err := claim.New(o)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := e.Sweep(ctx); err != nil {
		return err
	}
	if step == "stored" {
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return e.SendDue(ctx)
}

// A node is killed after each step of a notice. Another one finds what was left:
// the notice is sent, and if it had gone out already, then the same once more.
func TestKilledWhileSending(t *testing.T) {
	for _, c := range []struct {
		step string
		sent int // by the node that was killed
	}{{"stored", 0}, {"taken", 0}, {"sent", 1}} {
		t.Run(c.step, func(t *testing.T) {
			w := newWorld(t)
			sink := testkit.StartSink(t, testkit.SinkOptions{})
			w.provision(t, anna, "")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), dieAt+"="+c.step, "DIR="+w.dir, "MX="+sink.Addr)
			cmd.Stderr = os.Stderr
			if err := cmd.Run(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v", err)
			}
			if n := len(sink.Messages()); n != c.sent {
				t.Fatalf("%d were sent before", n)
			}
			w.opts.Mailer = &mailer.Mailer{Address: sink.Addr, Hostname: "keys.example.com"}
			w.engine = w.build(t, w.opts)
			if err := w.engine.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.later(11 * time.Minute) // the other node may be slow, not dead, until then
			w.send(t)
			all := sink.Wait(t, c.sent+1)
			last := read(t, all[len(all)-1].Raw)
			if first := read(t, all[0].Raw); first.code != last.code || first.token != last.token || first.header.Get("Message-Id") != last.header.Get("Message-Id") {
				t.Error("the second letter is another one")
			}
			w.later(24 * time.Hour)
			w.send(t)
			if n := len(sink.Messages()); n != c.sent+1 {
				t.Errorf("%d were sent in the end", n)
			}
			if _, _, err := w.engine.Prove(t.Context(), claim.Proof{Token: last.token, Code: last.code, Client: home}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two nodes with the same database send one notice between them.
func TestTwoNodes(t *testing.T) {
	w := newWorld(t)
	other := w.build(t, w.opts)
	for i := range 12 {
		w.provision(t, fmt.Sprintf("a%d@example.org", i), "")
	}
	done := make(chan error, 2)
	for _, e := range []*claim.Engine{w.engine, other} {
		go func() {
			err := e.Sweep(t.Context())
			if err == nil {
				err = e.SendDue(t.Context())
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	to := map[string]int{}
	for _, m := range w.post.all() {
		to[m.to]++
	}
	if len(to) != 12 || len(w.post.all()) != 12 {
		t.Errorf("%v", to)
	}
}

// A real Postfix brings the notice, and what stands in it opens the claim.
func TestPostfix(t *testing.T) {
	testkit.Need(t, "postfix")
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{Main: "lmtp_discard_lhlo_keywords = dsn"}) // go-smtp reads no ORCPT beyond ASCII
	w := newWorld(t, func(o *claim.Options) {
		o.Mailer = &mailer.Mailer{Address: postfix.Addr, Hostname: "keys.example.com"}
	})
	jo := "jörg@example.org"
	for _, addr := range []string{anna, jo} {
		w.provision(t, addr, "")
		if err := w.engine.Notify(t.Context(), claim.Notice{Address: addr, Language: "zh"}); err != nil {
			t.Fatal(err)
		}
	}
	w.engine.Start()
	t.Cleanup(w.engine.Close)
	postfix.WaitDelivered(t, 2)
	for _, addr := range []string{anna, jo} {
		box := postfix.Mailbox(addr)
		if len(box) != 1 || box[0].From != "keys@example.com" {
			t.Fatalf("%s: %d notices, %+v", addr, len(box), box)
		}
		l := read(t, box[0].Raw)
		if _, s, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home}); err != nil || s.Address != addr || s.Language != "zh" {
			t.Errorf("%+v, %v", s, err)
		}
	}
}
