package queue

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
	"sealpost/relay/upstream"
)

func TestDelivered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "anna@example.org", "ben@example.org"))
		w.sleep(time.Second)
		w.empty()
		for _, to := range []string{"anna@example.org", "ben@example.org"} {
			if w.upstream.count("A1", to) != 1 || !slices.Equal(w.results(to), []Result{Sent}) {
				t.Errorf("%s: taken %d times, %v", to, w.upstream.count("A1", to), w.results(to))
			}
		}
		it := w.upstream.mails[0].it
		if it.Message.From.String() != sender || it.Copy.Cipher != "aes-256-cbc" || string(it.Copy.Head) != "head for "+it.Copy.To.String() || it.Message.Arrived.IsZero() {
			t.Errorf("item %+v", it)
		}
		if c := w.engine.Stats().Counts; c.Attempts != 2 || c.Sent != 2 {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestRefusedIsReported(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		e := mail("A1", "anna@example.org", "550@example.org", "551@example.org")
		e.Message.EnvID = "env"
		w.put(e)
		w.sleep(time.Minute + time.Second)
		w.empty()
		reports := w.upstream.reports()
		if len(reports) != 1 {
			t.Fatalf("%d reports", len(reports))
		}
		r := reports[0]
		for _, want := range []string{"To: <" + sender, "Original-Envelope-Id: env", "rfc822; 550@example.org", "rfc822; 551@example.org", "Action: failed", "Statement A1"} {
			if !strings.Contains(string(r.content), want) {
				t.Errorf("the report lacks %q:\n%s", want, r.content)
			}
		}
		if strings.Contains(string(r.content), "anna@") || strings.Contains(string(r.content), "is the body") {
			t.Errorf("the report says too much:\n%s", r.content)
		}
		if !r.it.Message.From.IsNull() || !slices.Equal(r.it.Copy.Notify, []string{"NEVER"}) || r.it.Copy.To.String() != sender {
			t.Errorf("the report's envelope: %+v", r.it)
		}
	})
}

// A slow recipient does not hold up the report about another for longer than
// the time in which failures are gathered.
func TestReportDoesNotWaitForever(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "550@example.org", "stuck@example.org"))
		w.sleep(gather - time.Second)
		if n := len(w.upstream.reports()); n != 0 {
			t.Errorf("%d reports too early", n)
		}
		w.sleep(2 * time.Second)
		if n := len(w.upstream.reports()); n != 1 {
			t.Errorf("%d reports", n)
		}
		if _, err := w.engine.Delete(w.t.Context(), Filter{}); err != nil {
			t.Error(err)
		}
	})
}

func TestNotifyDecidesWhatIsReported(t *testing.T) {
	for _, c := range []struct {
		notify  string
		to      string
		from    string
		noDSN   bool
		reports int
	}{
		{"", "550@example.org", sender, false, 1},
		{"NEVER", "550@example.org", sender, false, 0},
		{"SUCCESS", "550@example.org", sender, false, 0},
		{"FAILURE", "550@example.org", sender, false, 1},
		{"", "550@example.org", "", false, 0},
		{"SUCCESS", "anna@example.org", sender, false, 0},
		{"SUCCESS", "anna@example.org", sender, true, 1},
		{"SUCCESS", "anna@example.org", "", true, 0},
		{"FAILURE", "anna@example.org", sender, true, 0},
		{"", "anna@example.org", sender, true, 0},
	} {
		t.Run(c.notify+" "+c.to+" "+c.from, func(t *testing.T) {
			inWorld(t, Options{}, func(w *world) {
				w.upstream.noDSN = c.noDSN
				e := mail("A1", c.to)
				e.Message.From = mustAddress(c.from)
				e.Copies[0].Notify = strings.Fields(c.notify)
				w.put(e)
				w.sleep(time.Hour)
				w.empty()
				if n := len(w.upstream.reports()); n != c.reports {
					t.Errorf("%d reports, want %d", n, c.reports)
				}
			})
		})
	}
}

// What the null sender sent fails in the log only, and so does a report.
func TestNoReportAboutAReport(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		e := mail("A1", "550@example.org")
		e.Message.From = mustAddress("551@example.org")
		w.put(e)
		w.sleep(time.Hour)
		w.empty()
		if n := w.upstream.attempts(); n != 2 {
			t.Errorf("%d attempts, want the message and its report", n)
		}
		if c := w.engine.Stats().Counts; c.Unreported != 1 || c.Failures != 1 || c.Bounced != 2 {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestMaybeTakenIsTriedAgain(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "maybe@example.org"))
		w.sleep(time.Hour)
		w.empty()
		if n := w.upstream.count("A1", "maybe@example.org"); n != 2 {
			t.Errorf("taken %d times", n)
		}
		if got := w.results("maybe@example.org"); !slices.Equal(got, []Result{Later, Sent}) {
			t.Errorf("results %v", got)
		}
	})
}

func TestStopWaitsForDeliveries(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "slow@example.org"))
		w.put(mail("A2", "stuck@example.org"))
		w.sleep(time.Second)
		if s := w.engine.Stats(); s.Queues[Active].Parcels != 1 {
			t.Fatalf("a careful start has one delivery at a time: %+v", s)
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
		defer cancel()
		began := time.Now()
		w.engine.Stop(ctx)
		if d := time.Since(began); d > time.Minute {
			t.Errorf("Stop took %v", d)
		}
		if w.upstream.count("A1", "slow@example.org") != 1 || w.waiting() != 1 {
			t.Errorf("%d wait, taken %v", w.waiting(), w.upstream.taken)
		}
		if err := w.engine.Put(w.t.Context(), mail("A3", "anna@example.org")); err != nil {
			t.Errorf("Put after Stop: %v", err)
		}
	})
}

// A delivery that a stop cuts off is no failure: it is due when the next
// process starts.
func TestStopCutsOffWhatIsStuck(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.put(mail("A1", "stuck@example.org"))
		w.sleep(time.Second)
		w.restart()
		w.sleep(time.Second)
		if w.upstream.attempts() != 2 || len(w.results("stuck@example.org")) != 0 {
			t.Errorf("%d attempts, %v", w.upstream.attempts(), w.results("stuck@example.org"))
		}
		if st := w.engine.Stats(); st.Queues[Active].Parcels != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestJudge(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	unknown := context.DeadlineExceeded
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{nil, taken},
		{errSaid(550), refused}, {errSaid(450), putOff}, {errAway(), unreachable},
		{errLost(upstream.NotTaken), strained}, {errLost(upstream.MaybeTaken), strained},
		{failure(upstream.StageMail, 0, 452, reply.Enhanced{4, 3, 1}, reason.UpstreamDeferred), crowded},
		{failure(upstream.StageGreeting, 0, 451, reply.Enhanced{}, reason.UpstreamUnreachable), unreachable},
		{failure(upstream.StageTLS, 0, 451, reply.Enhanced{}, reason.UpstreamTLS), unreachable},
		{failure(upstream.StageAuth, 0, 451, reply.Enhanced{}, reason.UpstreamAuth), unreachable},
		{failure(upstream.StageRcpt, 0, 451, reply.Enhanced{}, reason.UpstreamAuth), unreachable},
		{failure(upstream.StageWait, 0, 451, reply.Enhanced{}, reason.UpstreamTimeout), strained},
		{failure(upstream.StageEnd, 0, 451, reply.Enhanced{}, reason.UpstreamTimeout), strained},
		{failure(upstream.StageRcpt, 0, 451, reply.Enhanced{}, reason.ShuttingDown), stumbled},
		{reply.Errorf(451, reply.Enhanced{}, reason.UpstreamUnreachable, ""), unreachable},
		{reply.Errorf(451, reply.Enhanced{}, reason.SealingFailed, ""), stumbled},
		{unknown, stumbled},
	} {
		if got := judge(t.Context(), c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
		want := c.want
		if want != taken && want != refused {
			want = interrupted
		}
		if got := judge(ended, c.err); got != want {
			t.Errorf("%v while stopping: %d, want %d", c.err, got, want)
		}
	}
}
