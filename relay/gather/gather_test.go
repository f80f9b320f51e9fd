package gather

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put offers a message in two pieces.
func put(g *Gatherer, message string) {
	c := g.Begin()
	_, _ = io.WriteString(c, message[:len(message)/2])
	_, _ = io.WriteString(c, message[len(message)/2:])
	c.Offer()
}

func counts(g *Gatherer) string {
	var all []string
	for _, r := range Results() {
		if n := g.Count(r); n > 0 {
			all = append(all, fmt.Sprintf("%d %v", n, r))
		}
	}
	return strings.Join(all, ", ")
}

// TestGather: each result, and all memory back in the end.
func TestGather(t *testing.T) {
	var mu sync.Mutex
	var got []string
	g := New(Options{MaxSize: 100, Learn: func(_ context.Context, r io.Reader) error {
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(b))
		return map[string]error{"bad": fmt.Errorf("%w: forged", ErrRefused), "ugly": errors.New("away")}[string(b)]
	}})
	for _, message := range []string{"good", "bad", "ugly", "", strings.Repeat("x", 100), strings.Repeat("x", 101)} {
		put(g, message)
	}
	c := g.Begin()
	_, _ = io.WriteString(c, "not accepted")
	c.Drop()
	g.Close(t.Context())
	put(g, "too late")
	if s := counts(g); s != "3 learned, 1 refused, 1 failed, 1 too-large, 1 dropped" {
		t.Error(s)
	}
	if len(got) != 5 || g.used.Load() != 0 {
		t.Errorf("%d messages, %d bytes in use", len(got), g.used.Load())
	}
	g.Close(t.Context())
}

// TestFull: a learner that stands still costs no more than its bounds, and
// nobody waits for it.
func TestFull(t *testing.T) {
	release := make(chan struct{})
	g := New(Options{MaxSize: 1 << 20, Memory: 4 << 20, Workers: 1, Learn: func(context.Context, io.Reader) error {
		<-release
		return nil
	}})
	large := strings.Repeat("x", 1<<20)
	for range 100 {
		put(g, large)
		if used := g.used.Load(); used > 4<<20 {
			t.Fatalf("%d bytes in use", used)
		}
	}
	if n := g.Count(Dropped); n < 95 {
		t.Errorf("%d dropped", n)
	}
	for range 2 * waiting {
		put(g, "small")
	}
	close(release)
	g.Close(t.Context())
	if total := g.Count(Learned) + g.Count(Dropped); total != 100+2*waiting || g.used.Load() != 0 {
		t.Errorf("%s, %d bytes in use", counts(g), g.used.Load())
	}
}

// TestStop: a learner that hangs does not keep the server from stopping.
func TestStop(t *testing.T) {
	begun := make(chan struct{})
	g := New(Options{Workers: 1, Learn: func(ctx context.Context, _ io.Reader) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}})
	put(g, "first")
	<-begun
	put(g, "second")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	g.Close(ctx)
	if s := counts(g); s != "1 failed, 1 dropped" {
		t.Error(s)
	}
}

// TestNothingStays: what was copied is wiped.
func TestNothingStays(t *testing.T) {
	canary := testkit.NewCanary(t)
	var seen []byte
	g := New(Options{Learn: func(context.Context, io.Reader) error { return nil }})
	c := g.Begin()
	_, _ = io.WriteString(c, string(canary))
	seen = c.data
	c.Offer()
	g.Close(t.Context())
	if !bytes.Equal(seen, make([]byte, len(seen))) {
		t.Error("the copy is still there")
	}
	canary.Absent(t, "memory that was given back", seen)
}

// TestNobody: without a Gatherer everything goes on.
func TestNobody(t *testing.T) {
	var g *Gatherer
	put(g, "message")
	g.Begin().Drop()
	g.Close(t.Context())
	if counts(g) != "" {
		t.Error(counts(g))
	}
}
