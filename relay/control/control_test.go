package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/relay/control"
	"sealpost/relay/queue"
	"sealpost/relay/spool"
)

// A desk is a Queue that notes what it is asked.
type desk struct {
	rows   []queue.Row
	broken error // behind the rows
	asked  []string
	filter queue.Filter
	block  chan struct{} // Retry waits for it, or for the end of its context
	began  chan struct{}
}

func (d *desk) List(_ context.Context, f queue.Filter) iter.Seq2[queue.Row, error] {
	d.filter = f
	return func(yield func(queue.Row, error) bool) {
		for _, r := range d.rows {
			if !yield(r, nil) {
				return
			}
		}
		if d.broken != nil {
			yield(queue.Row{}, d.broken)
		}
	}
}

func (d *desk) Show(_ context.Context, id string) (queue.Detail, error) {
	if id != "here" {
		return queue.Detail{}, fmt.Errorf("%s: %w", id, spool.ErrNotFound)
	}
	return queue.Detail{Row: d.rows[0], Client: "mailer[192.0.2.1]", Details: []queue.DetailRecipient{{Cipher: "aes-256-cbc"}}}, nil
}

func (d *desk) order(name string, f queue.Filter) (queue.Changed, error) {
	d.asked, d.filter = append(d.asked, name), f
	return queue.Changed{Messages: 2, Parcels: 3}, d.broken
}

func (d *desk) Retry(ctx context.Context, f queue.Filter) (queue.Changed, error) {
	if d.block != nil {
		close(d.began)
		<-ctx.Done()
		<-d.block
	}
	return d.order("retry", f)
}

func (d *desk) Hold(_ context.Context, f queue.Filter) (queue.Changed, error) {
	return d.order("hold", f)
}

func (d *desk) Release(_ context.Context, f queue.Filter) (queue.Changed, error) {
	return d.order("release", f)
}

func (d *desk) Delete(_ context.Context, f queue.Filter) (queue.Changed, error) {
	return d.order("delete", f)
}

var rows = []queue.Row{
	{QueueName: queue.Deferred, QueueID: "A", Sender: "a@bank.example", Recipients: []queue.RowRecipient{{Address: "ü@example.org", DelayReason: "451 <later> & \"quoted\""}}},
	{QueueName: queue.Hold, QueueID: "B", Recipients: []queue.RowRecipient{}, Damaged: true},
}

var everything = queue.Filter{
	IDs: []string{"A", "B"}, Sender: "*@bank.example", Recipient: "?@*", Domain: "example.org",
	OlderThan: time.Hour, YoungerThan: 48 * time.Hour, States: []queue.State{queue.Hold, queue.NoKey},
}

func listen(t *testing.T, dir string, d *desk) *control.Server {
	t.Helper()
	s, err := control.Listen(control.Options{Path: filepath.Join(dir, spool.SocketName), Queue: d, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t *testing.T, dir string) *control.Client {
	t.Helper()
	c, err := control.Dial(t.Context(), filepath.Join(dir, spool.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// start is a server for a desk until the test ends, and a client.
func start(t *testing.T, d *desk) (string, *control.Client) {
	t.Helper()
	dir := t.TempDir()
	s := listen(t, dir, d)
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return dir, dial(t, dir)
}

// collect gives all rows, and the error at the end.
func collect(seq iter.Seq2[queue.Row, error]) (all []queue.Row, last error) {
	for r, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// A client is used as the queue itself: the same rows, the same filter.
func TestAsTheQueueItself(t *testing.T) {
	d := &desk{rows: rows}
	_, c := start(t, d)
	if got, err := collect(c.List(t.Context(), everything)); err != nil || !reflect.DeepEqual(got, rows) {
		t.Errorf("%+v, %v", got, err)
	}
	if !reflect.DeepEqual(d.filter, everything) {
		t.Errorf("the filter came as %+v", d.filter)
	}
	want, _ := d.Show(t.Context(), "here")
	if got, err := c.Show(t.Context(), "here"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Show(t.Context(), "gone"); !errors.Is(err, spool.ErrNotFound) {
		t.Errorf("gone: %v", err)
	}
	for _, do := range []func(context.Context, queue.Filter) (queue.Changed, error){c.Retry, c.Hold, c.Release, c.Delete} {
		d.filter = queue.Filter{}
		if n, err := do(t.Context(), everything); err != nil || n != (queue.Changed{Messages: 2, Parcels: 3}) || !reflect.DeepEqual(d.filter, everything) {
			t.Errorf("%+v, %v, filter %+v", n, err, d.filter)
		}
	}
	if got := strings.Join(d.asked, " "); got != "retry hold release delete" {
		t.Errorf("asked for %s", got)
	}
}

// What goes wrong in the queue is told, and a listing is never cut in silence.
func TestErrorsComeThrough(t *testing.T) {
	d := &desk{rows: rows, broken: errors.New("the disk is away")}
	_, c := start(t, d)
	got, err := collect(c.List(t.Context(), queue.Filter{}))
	if len(got) != len(rows) || err == nil || !strings.Contains(err.Error(), "the disk is away") {
		t.Errorf("%d rows, %v", len(got), err)
	}
	if _, err := c.Delete(t.Context(), queue.Filter{}); err == nil || !strings.Contains(err.Error(), "the disk is away") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(c.List(ctx, queue.Filter{})); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// What a server of this version does not know it refuses, and does nothing.
func TestStrangeRequests(t *testing.T) {
	d := &desk{rows: rows}
	dir, _ := start(t, d)
	raw := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir, spool.SocketName))
	}}}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/v1/delete", `{"filter":{"ids":["A"],"colour":"blue"}}`, 400},
		{"POST", "/v1/delete", `{"filter":{},"really":true}`, 400},
		{"POST", "/v1/delete", `{"filter":{"ids":["A"]}} {}`, 400},
		{"POST", "/v1/delete", `{"filter":{"older_than":"5d"}}`, 400},
		{"POST", "/v1/delete", ``, 400},
		{"POST", "/v1/delete", `{"filter":{"ids":["` + strings.Repeat("A", 2<<20) + `"]}}`, 413},
		{"POST", "/v2/delete", `{}`, 404},
		{"POST", "/", `{}`, 404},
		{"GET", "/v1/delete", ``, 404},
		{"GET", "/v1/list", ``, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://spool"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := raw.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var said struct{ Error string }
		if json.Unmarshal(body, &said) != nil || said.Error == "" || err != nil || resp.StatusCode != c.want {
			t.Errorf("%s %s %.60s: %s, %q, %v; want %d", c.method, c.path, c.body, resp.Status, body, err, c.want)
		}
	}
	if len(d.asked) > 0 {
		t.Errorf("carried out: %v", d.asked)
	}
}

// A server that is cut off in the middle of a listing, and one that talks
// nonsense, are errors.
func TestClientDoubts(t *testing.T) {
	for name, answer := range map[string]string{
		"cut between rows": `{"row":{"queue_id":"A"}}` + "\n",
		"cut in a row":     `{"row":{"queue_id":"A`,
		"nonsense":         "hello",
		"nothing":          "",
	} {
		dir := t.TempDir()
		l, err := net.Listen("unix", filepath.Join(dir, spool.SocketName))
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })}
		go s.Serve(l)
		c := dial(t, dir)
		if _, err := collect(c.List(t.Context(), queue.Filter{})); err == nil {
			t.Errorf("%s: the listing counts as whole", name)
		}
		if _, err := c.Show(t.Context(), "A"); err == nil && name != "cut between rows" {
			t.Errorf("%s: shown", name)
		}
		s.Close()
	}
}

// The socket is the owner's alone, a killed server's is replaced, and after
// Stop there is none. The spool does not mind it.
func TestSocket(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := filepath.Join(t.TempDir(), "spool")
	key, err := spool.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	open := func() *spool.Store {
		store, err := spool.Open(spool.Options{Dir: dir, Identity: key, SegmentSize: 1 << 20, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	open().Close()
	socket := filepath.Join(dir, spool.SocketName)
	killed, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	killed.Close()
	if _, err := control.Dial(t.Context(), filepath.Join(dir, spool.SocketName)); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("a socket without a server: %v", err)
	}
	store := open()
	defer store.Close()
	if n := store.Stats().Foreign; n != 0 {
		t.Errorf("the spool finds %d foreign files", n)
	}
	s := listen(t, dir, &desk{rows: rows})
	if st, err := os.Stat(socket); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	c := dial(t, dir)
	if got, err := collect(c.List(t.Context(), queue.Filter{})); err != nil || len(got) != len(rows) {
		t.Errorf("%d rows, %v", len(got), err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Stop: %v", err)
	}
	if _, err := control.Dial(t.Context(), filepath.Join(dir, spool.SocketName)); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("after Stop: %v", err)
	}
}

// What is in the way is never removed, and a path that no socket can have is
// said to be too long by both ends.
func TestNoSocket(t *testing.T) {
	dir := t.TempDir()
	inTheWay := []byte("somebody's notes")
	file := filepath.Join(dir, spool.SocketName)
	if err := os.WriteFile(file, inTheWay, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(control.Options{Path: filepath.Join(dir, spool.SocketName), Queue: &desk{}, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a file made way for the socket")
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, inTheWay) {
		t.Errorf("the file is %q, %v", got, err)
	}
	long := filepath.Join(dir, strings.Repeat("x", 100))
	if _, err := control.Listen(control.Options{Path: filepath.Join(long, spool.SocketName), Queue: &desk{}, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, control.ErrPath) {
		t.Errorf("long path: %v", err)
	}
	if _, err := control.Dial(t.Context(), filepath.Join(long, spool.SocketName)); !errors.Is(err, control.ErrNoServer) || !errors.Is(err, control.ErrPath) {
		t.Errorf("long path: %v", err)
	}
}

// A socket at which another server answers is left to it.
func TestSocketOfAnother(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ctl")
	opt := control.Options{Path: path, Queue: &desk{rows: rows}, Log: slog.New(slog.DiscardHandler)}
	first, err := control.Listen(opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(opt); !errors.Is(err, control.ErrInUse) {
		t.Errorf("a second server: %v", err)
	}
	c, err := control.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := collect(c.List(t.Context(), queue.Filter{})); err != nil || len(got) != len(rows) {
		t.Errorf("the first: %d rows, %v", len(got), err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

type greeting struct {
	Name string `json:"name"`
}

// What the server's owner adds is asked by name, with or without a queue.
func TestCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	s, err := control.Listen(control.Options{Path: path, Log: slog.New(slog.DiscardHandler), Calls: map[string]control.Call{
		"greet": control.NewCall(func(_ context.Context, g greeting) (greeting, error) {
			if g.Name == "" {
				return greeting{}, errors.New("nobody is there")
			}
			return greeting{"hello " + g.Name}, nil
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop(context.Background())
	c, err := control.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := control.Ask[greeting](t.Context(), c, "greet", greeting{"Ünna <b>"}); err != nil || got.Name != "hello Ünna <b>" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, question := range map[string]any{
		"greet": greeting{}, "unknown": greeting{"Anna"}, "list": struct{}{}, "greet?": map[string]string{"name": "Anna", "loud": "yes"},
		"greet??": greeting{strings.Repeat("A", 2<<20)},
	} {
		if got, err := control.Ask[greeting](t.Context(), c, strings.TrimRight(name, "?"), question); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := collect(c.List(t.Context(), queue.Filter{})); err == nil || !strings.Contains(err.Error(), "no queue") {
		t.Errorf("without a queue: %v", err)
	}
	if _, err := c.Show(t.Context(), "here"); err == nil || errors.Is(err, spool.ErrNotFound) {
		t.Errorf("without a queue: %v", err)
	}
}

// Stop does not wait for ever for a request, and when it returns none uses the
// queue any more.
func TestStopEndsRequests(t *testing.T) {
	d := &desk{block: make(chan struct{}), began: make(chan struct{})}
	dir := t.TempDir()
	s := listen(t, dir, d)
	c := dial(t, dir)
	failed := make(chan error, 1)
	go func() {
		_, err := c.Retry(context.Background(), queue.Filter{})
		failed <- err
	}()
	<-d.began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	if err := <-failed; err == nil {
		t.Error("a request that was cut off has an answer")
	}
	select {
	case <-stopped:
		t.Error("Stop returned before the request had ended")
	default:
	}
	close(d.block)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := strings.Join(d.asked, " "); got != "retry" {
		t.Errorf("the request did %q", got)
	}
}
