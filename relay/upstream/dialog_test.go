package upstream

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

// The stages of a dialog, and what a server that is at odds with itself, with
// us or with the network may do at each.
func TestHostileServer(t *testing.T) {
	type want struct {
		code      int
		why       reason.Token
		taken     Certainty
		elsewhere bool // a second server gets the message
	}
	notOurs := want{451, reason.UpstreamUnreachable, NotTaken, true}
	garbled := want{451, reason.UpstreamProtocol, NotTaken, true}
	slow := want{451, reason.UpstreamTimeout, NotTaken, true}
	maybe := func(w want) want { w.taken, w.elsewhere = MaybeTaken, false; return w }
	here := func(w want) want { w.elsewhere = false; return w }
	their := func(code int) want { return want{code, reason.UpstreamDeferred, NotTaken, false} }
	refused := func(code int) want { return want{code, reason.UpstreamRefused, NotTaken, false} }
	noAuth := want{451, reason.UpstreamAuth, NotTaken, true}
	gone := want{451, reason.UpstreamDeferred, NotTaken, true} // 421

	for _, c := range []struct {
		stage, does string
		want        want
	}{
		{"greeting", "421 4.3.2 Not now", notOurs},
		{"greeting", "450 4.3.2 Not now", notOurs},
		{"greeting", "554 5.7.1 Not you", notOurs},
		{"greeting", "250 Ok", garbled},
		{"greeting", "!drop", notOurs},
		{"greeting", "!stall", slow},
		{"greeting", "!drip", garbled},
		{"greeting", "!endless", garbled},
		{"greeting", "HTTP/1.1 400 Bad Request", garbled},
		{"EHLO", "421 4.3.2 Not now", notOurs},
		{"EHLO", "451 4.3.0 Not now", notOurs},
		{"EHLO", "354 Go on", garbled},
		{"EHLO", "!drop", notOurs},
		{"EHLO", "!stall", slow},
		{"EHLO", "!endless", garbled},
		{"EHLO", "!raw 250-one\r\n251 two\r\n", garbled},
		{"MAIL", "421 4.3.2 Not now", gone},
		{"MAIL", "451 4.3.0 Not now", want{451, reason.UpstreamDeferred, NotTaken, true}},
		{"MAIL", "550 5.7.1 Not you", refused(550)},
		{"MAIL", "530 5.7.0 Log in", noAuth},
		{"MAIL", "503 5.5.1 Bad sequence", garbled},
		{"MAIL", "354 Go on", garbled},
		{"MAIL", "!drop", notOurs},
		{"MAIL", "!stall", slow},
		{"MAIL", "!endless", garbled},
		{"MAIL", "!raw 250 bare line feed\n", garbled},
		{"MAIL", "!raw 250-one\r\n550 two\r\n", garbled},
		{"MAIL", "!raw 2x0 Ok\r\n", garbled},
		{"RCPT", "421 4.3.2 Not now", gone},
		{"RCPT", "450 4.2.0 Greylisted", their(450)},
		{"RCPT", "550 5.1.1 Nobody", refused(550)},
		{"RCPT", "552 Too many recipients", their(452)},
		{"RCPT", "552 5.2.2 Mailbox full", refused(552)},
		{"RCPT", "354 Go on", garbled},
		{"RCPT", "!drop", notOurs},
		{"RCPT", "!stall", slow},
		{"DATA", "421 4.3.2 Not now", gone},
		{"DATA", "451 4.3.0 Not now", their(451)},
		{"DATA", "554 5.5.1 No", refused(554)},
		{"DATA", "250 Ok", garbled},
		{"DATA", "!drop", notOurs},
		{"DATA", "!stall", slow},
		{"line", "!drop", maybe(notOurs)}, // it fits into one write with the dot
		{"end", "421 4.3.2 Not now", here(gone)},
		{"end", "452 4.3.1 No room", their(452)},
		{"end", "554 5.7.1 Spam", refused(554)},
		{"end", "503 5.5.1 Bad sequence", here(garbled)},
		{"end", "354 Go on", maybe(garbled)},
		{"end", "!drop", maybe(notOurs)},
		{"end", "!take and drop", maybe(notOurs)},
		{"end", "!stall", maybe(slow)},
		{"end", "!take and stall", maybe(slow)},
		{"end", "!endless", maybe(garbled)},
		{"end", "!raw 250-one\r\n554 two\r\n", maybe(garbled)},
	} {
		t.Run(c.stage+" "+c.does, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := &fake{ehlo: allExtensions, answer: at(c.stage, c.does)}, &fake{ehlo: allExtensions}
				client := newClient(t, Options{
					Servers: []Server{{Address: "bad:25"}, {Address: "good:25"}}, Dial: dialByName(bad, good),
				})
				_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
				if c.want.elsewhere {
					if err != nil || len(good.contents()) != 1 {
						t.Errorf("the second server got %d messages, error %v", len(good.contents()), err)
					}
				} else if len(good.contents()) != 0 {
					t.Error("the second server got it too")
				}

				alone := newClient(t, Options{Servers: []Server{{Address: "bad:25"}}, Dial: dialByName(bad, nil)})
				out, err := alone.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
				f, r := failure(t, err)
				if r.Reply.Code != c.want.code || r.Reason != c.want.why || f.Taken != c.want.taken {
					t.Errorf("%v (%s, taken %v), want %+v", r, r.Reason, f.Taken, c.want)
				}
				if r.Reply.Enhanced[0] != r.Reply.Code/100 {
					t.Errorf("enhanced code %v with code %d", r.Reply.Enhanced, r.Reply.Code)
				}
				if f.Taken == NotTaken && len(bad.contents()) != 0 || out.Reply.Code != 0 {
					t.Errorf("taken, but not so: %v", out.Reply)
				}
			})
		})
	}
}

// dialByName connects to one of two fakes.
func dialByName(bad, good *fake) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == "bad:25" {
			return bad.dial(ctx, network, addr)
		}
		return good.dial(ctx, network, addr)
	}
}

// After a refusal the connection serves the next message, with or without a
// transaction to be reset.
func TestRefusalKeepsTheConnection(t *testing.T) {
	for _, c := range []struct {
		stage, does string
		extensions  []string
		conns       int
	}{
		{"MAIL", "550 5.7.1 Not you", allExtensions, 1},
		{"RCPT", "550 5.1.1 Nobody", allExtensions, 2}, // 354 came for the pipelined DATA
		{"RCPT", "550 5.1.1 Nobody", nil, 1},
		{"RCPT", "550 5.1.1 Nobody", append(allExtensions, "CHUNKING"), 1},
		{"DATA", "554 5.5.1 No", allExtensions, 1},
		{"end", "554 5.7.1 Spam", allExtensions, 1},
		{"end", "554 5.7.1 Spam", append(allExtensions, "CHUNKING"), 1},
		{"end", "503 5.5.1 Bad sequence", append(allExtensions, "CHUNKING"), 2},
		{"MAIL", "421 4.7.0 Bye", allExtensions, 2},
	} {
		t.Run(c.stage+" "+c.does, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{ehlo: c.extensions, answer: func(conn, message int, stage, _ string) string {
					if conn == 1 && message == 1 && stage == c.stage {
						return c.does
					}
					return ""
				}}
				client := newClient(t, Options{Servers: []Server{{Address: "fake:25"}}, Dial: f.dial})
				if _, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t)); err == nil {
					t.Fatal("no refusal")
				}
				out, err := client.Send(t.Context(), envelope(t, "bob@example.org"), sampleBody(t))
				if err != nil {
					t.Fatal(err)
				}
				if got := f.contents(); len(got) != 1 || string(got[0]) != sample {
					t.Errorf("got %q", got)
				}
				if f.connections() != c.conns || out.Reused != (c.conns == 1) {
					t.Errorf("%d connections (reused %v), want %d: %s", f.connections(), out.Reused, c.conns, f.commands())
				}
			})
		})
	}
}

// With several recipients one refusal means that nothing is sent, and every
// recipient is asked.
func TestOneRefusedRecipientStopsAll(t *testing.T) {
	for _, extensions := range [][]string{allExtensions, append(allExtensions, "CHUNKING"), nil} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{ehlo: extensions, answer: func(_, _ int, stage, line string) string {
				switch {
				case stage == "RCPT" && line == "RCPT TO:<no@example.org>":
					return "450 4.2.0 Later"
				case stage == "RCPT" && line == "RCPT TO:<never@example.org>":
					return "550 5.1.1 Nobody"
				}
				return ""
			}}
			client := newClient(t, Options{Servers: []Server{{Address: "fake:25"}}, Dial: f.dial})
			out, err := client.Send(t.Context(),
				envelope(t, "anna@example.org", "no@example.org", "never@example.org", "bob@example.org"), sampleBody(t))
			if _, r := failure(t, err); r.Reply.Code != 550 || r.Reply.Text != "Nobody" {
				t.Errorf("error %v, want the permanent refusal", err)
			}
			for i, code := range []int{250, 450, 550, 250} {
				if out.Rcpts[i].Code != code {
					t.Errorf("recipient %d: %v", i, out.Rcpts[i])
				}
			}
			if len(f.contents()) != 0 || f.connections() != 1 {
				t.Errorf("%q", f.commands())
			}
			if _, err := client.Send(t.Context(), envelope(t, "anna@example.org", "bob@example.org"), sampleBody(t)); err != nil {
				t.Error(err)
			}
			if f.connections() != 1 {
				t.Error("the connection was not used again")
			}
		})
	}
}

// A refused MAIL says nothing of the recipients, whatever a pipelining server
// answers to RCPT behind it.
func TestRefusedMailNamesNoRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ehlo: allExtensions, answer: func(_, _ int, stage, _ string) string {
			return map[string]string{"MAIL": "451 4.3.0 Later", "RCPT": "503 5.5.1 MAIL first", "DATA": "503 5.5.1 MAIL first"}[stage]
		}}
		client := newClient(t, Options{Servers: []Server{{Address: "fake:25"}}, Dial: f.dial})
		out, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
		if _, r := failure(t, err); r.Reply.Code != 451 || out.Rcpts[0] != (reply.Reply{}) {
			t.Errorf("%v, recipients %v", err, out.Rcpts)
		}
	})
}

// A thousand recipients do not fit into any buffer: replies are read in time.
func TestManyRecipients(t *testing.T) {
	f := &fake{ehlo: allExtensions, answer: at("RCPT", "250 2.1.5 "+string(make([]byte, 400)))}
	client := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	to := make([]string, 1000)
	for i := range to {
		to[i] = "anna@example.org"
	}
	out, err := client.Send(t.Context(), envelope(t, to...), sampleBody(t))
	if err != nil || len(out.Rcpts) != 1000 || out.Rcpts[999].Code != 250 {
		t.Errorf("%v", err)
	}
}

func TestContextEndsTheWait(t *testing.T) {
	for _, stage := range []string{"greeting", "EHLO", "MAIL", "DATA", "end"} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{ehlo: allExtensions, answer: at(stage, "!stall")}
				client := newClient(t, Options{Servers: []Server{{Address: "one:25"}, {Address: "two:25"}}, Dial: f.dial})
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				began := time.Now()
				_, err := client.Send(ctx, envelope(t, "anna@example.org"), sampleBody(t))
				fail, r := failure(t, err)
				if r.Reason != reason.UpstreamTimeout || (fail.Taken == MaybeTaken) != (stage == "end") {
					t.Errorf("%v, taken %v", err, fail.Taken)
				}
				if time.Since(began) != 7*time.Second {
					t.Errorf("took %v", time.Since(began))
				}
			})
		})
	}
}

// A caller that ends its context with a reply gets that reply.
func TestContextCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: at("MAIL", "!stall")}
		client := newClient(t, Options{Servers: []Server{{Address: "one:25"}}, Dial: f.dial})
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := reply.Errorf(451, reply.Enhanced{4, 4, 2}, reason.ClientGone, "Client went away")
		time.AfterFunc(time.Second, func() { cancel(gone) })
		_, err := client.Send(ctx, envelope(t, "anna@example.org"), sampleBody(t))
		if _, r := failure(t, err); r != gone {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: at("RCPT", "!stall")}
		client := newClient(t, Options{Servers: []Server{{Address: "one:25"}}, Dial: f.dial, MaxConnections: 1})
		errs := make(chan error)
		for range 2 { // one in the dialog, one waiting for the connection
			go func() {
				_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
				errs <- err
			}()
		}
		synctest.Wait()
		go client.Close()
		for range 2 {
			if _, r := failure(t, <-errs); r.Reason != reason.ShuttingDown || !r.Reply.Temporary() {
				t.Errorf("%v", r)
			}
		}
		_, err := client.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
		if _, r := failure(t, err); r.Reason != reason.ShuttingDown {
			t.Errorf("after Close: %v", err)
		}
	})
}
