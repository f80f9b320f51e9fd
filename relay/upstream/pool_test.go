package upstream

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

func send(t testing.TB, c *Client) *Outcome {
	t.Helper()
	out, err := c.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConnectionsAreReused(t *testing.T) {
	f := &fake{ehlo: allExtensions}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}, MaxMessages: 3})
	for i := range 7 {
		if out := send(t, c); out.Reused != (i%3 != 0) || out.Reused != (out.Connect == 0) {
			t.Errorf("message %d: reused %v, connected in %v", i, out.Reused, out.Connect)
		}
	}
	if f.connections() != 3 {
		t.Errorf("%d connections for 7 messages of 3 each", f.connections())
	}
}

// LIMITS MAILMAX (RFC 9422) is the server's own wish.
func TestServersOwnLimit(t *testing.T) {
	f := &fake{ehlo: []string{"LIMITS RCPTMAX=10 MAILMAX=2"}}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	for range 4 {
		send(t, c)
	}
	if f.connections() != 2 {
		t.Errorf("%d connections", f.connections())
	}
}

// A server that closed its end while the connection was idle costs nothing:
// with a notice, without one, with a reset, and when it shows only at MAIL.
func TestStaleConnection(t *testing.T) {
	for _, how := range []string{"421 4.4.2 Idle for too long", "!drop", "!reset", "at MAIL: 421 4.7.0 Bye", "at MAIL: !drop", "at MAIL: !reset"} {
		t.Run(how, func(t *testing.T) {
			what, late := strings.CutPrefix(how, "at MAIL: ")
			f := &fake{ehlo: allExtensions, answer: func(conn, message int, stage, _ string) string {
				if late && conn == 1 && message == 2 && stage == "MAIL" {
					return what
				}
				return ""
			}}
			c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
			send(t, c)
			if !late {
				f.farewell(what)
				testkit.Poll(t, "the end of the connection to arrive", func() bool { return c.servers[0].idle[0].pending() })
			}
			if out := send(t, c); out.Reused {
				t.Error("the dead connection was used")
			}
			if len(f.contents()) != 2 || f.connections() != 2 {
				t.Errorf("%d messages over %d connections", len(f.contents()), f.connections())
			}
		})
	}
}

// farewell ends all connections of the listener in one of several ways.
func (f *fake) farewell(how string) {
	f.mu.Lock()
	for _, nc := range f.open {
		if strings.HasPrefix(how, "421") {
			nc.Write([]byte(how + "\r\n"))
		}
		if how == "!reset" {
			nc.(*net.TCPConn).SetLinger(0)
		}
	}
	f.mu.Unlock()
	f.hangUp()
}

// A fresh connection that dies at MAIL is no stale one: it is not tried for
// ever.
func TestStaleIsReplacedOnce(t *testing.T) {
	f := &fake{ehlo: allExtensions, answer: func(conn, message int, stage, _ string) string {
		if stage == "MAIL" && conn+message > 2 {
			return "421 4.7.0 Bye"
		}
		return ""
	}}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	send(t, c)
	_, err := c.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
	if _, r := failure(t, err); r.Reason != reason.UpstreamDeferred || f.connections() != 2 {
		t.Errorf("%v after %d connections", err, f.connections())
	}
}

// A reply too many would be taken for the next command's: the connection goes.
func TestReplyTooMany(t *testing.T) {
	f := &fake{ehlo: append(allExtensions, "CHUNKING"), answer: at("end", "!raw 250 2.0.0 Ok\r\n250 2.0.0 Ok again\r\n")}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}})
	for range 3 {
		if out := send(t, c); out.Reused {
			t.Error("used again")
		}
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ehlo: allExtensions}
		c := newClient(t, Options{Servers: []Server{{Address: "one:25"}}, Dial: f.dial, IdleTimeout: 40 * time.Second})
		send(t, c)
		time.Sleep(39 * time.Second) // synthetic
		if h := c.Health()[0]; h.Idle != 1 {
			t.Errorf("after 39 s: %+v", h)
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if h := c.Health()[0]; h.Idle != 0 {
			t.Errorf("after 51 s: %+v", h)
		}
		if got := f.commands(); !strings.HasSuffix(got, "|QUIT") {
			t.Errorf("%s", got)
		}
		f.served.Wait()
	})
}

func TestMaxIdle(t *testing.T) {
	f := &fake{ehlo: allExtensions}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}, MaxIdle: -1})
	send(t, c)
	send(t, c)
	if f.connections() != 2 {
		t.Errorf("%d connections", f.connections())
	}
}

func TestConnectionLimit(t *testing.T) {
	var mu sync.Mutex
	busy, most := 0, 0
	f := &fake{ehlo: allExtensions, answer: func(_, _ int, stage, _ string) string {
		mu.Lock()
		defer mu.Unlock()
		switch stage {
		case "RCPT":
			busy++
			most = max(most, busy)
		case "end":
			busy--
		}
		return ""
	}}
	c := newClient(t, Options{Servers: []Server{{Address: f.listen(t)}}, MaxConnections: 3})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { send(t, c) })
	}
	wg.Wait()
	if most > 3 || f.connections() > 3 || len(f.contents()) != 40 {
		t.Errorf("%d at once over %d connections, %d messages", most, f.connections(), len(f.contents()))
	}
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &fake{ehlo: allExtensions}
		var dialed []string
		down := true
		c := newClient(t, Options{
			Servers: []Server{{Address: "one:25"}, {Address: "two:25"}}, Aside: 15 * time.Second,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialed = append(dialed, addr)
				if addr == "one:25" && down {
					return nil, errors.New("connection refused")
				}
				return good.dial(ctx, network, addr)
			},
		})
		if out := send(t, c); out.Server != "two:25" {
			t.Errorf("went to %s", out.Server)
		}
		if h := c.Health(); !h[0].Aside || h[0].Err == nil || h[1].Aside || h[1].Succeeded.IsZero() {
			t.Errorf("%+v", h)
		}
		send(t, c) // the first is not asked
		if got := strings.Join(dialed, " "); got != "one:25 two:25" {
			t.Errorf("dialed %s", got)
		}
		down = false
		time.Sleep(16 * time.Second) // synthetic
		if out := send(t, c); out.Server != "one:25" {
			t.Errorf("the first server is not asked again: %s", out.Server)
		}
	})
}

// A server that is the last one left is asked though it failed a moment ago.
func TestLastServerIsNeverPutAside(t *testing.T) {
	dials := 0
	c := newClient(t, Options{
		Servers: []Server{{Address: "one:25"}, {Address: "two:25"}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, errors.New("connection refused")
		},
	})
	for range 2 {
		_, err := c.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
		if f, r := failure(t, err); r.Reason != reason.UpstreamUnreachable || f.Stage != StageConnect || f.Server != "two:25" {
			t.Errorf("%v", err)
		}
	}
	if dials != 4 {
		t.Errorf("%d dials", dials)
	}
}

// Waiting for a free connection ends with the context too.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: at("MAIL", "!stall")}
		c := newClient(t, Options{Servers: []Server{{Address: "one:25"}}, Dial: f.dial, MaxConnections: 1})
		first := make(chan error)
		go func() {
			_, err := c.Send(t.Context(), envelope(t, "anna@example.org"), sampleBody(t))
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Send(ctx, envelope(t, "bob@example.org"), sampleBody(t))
		if f, r := failure(t, err); f.Stage != StageWait || r.Reason != reason.UpstreamTimeout {
			t.Errorf("%v", err)
		}
		if _, r := failure(t, <-first); r.Reason != reason.UpstreamTimeout {
			t.Errorf("%v", r)
		}
	})
}
