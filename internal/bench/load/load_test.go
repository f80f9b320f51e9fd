package load

import (
	"context"
	"strings"
	"testing"
	"time"
)

// Source and sink agree on every message when nothing is between them.
func TestSourceToSink(t *testing.T) {
	for _, o := range []Options{
		{Size: 1000, Recipients: 1, Sessions: 1, Messages: 10},
		{Size: 5000, Recipients: 20, Sessions: 10, Messages: 200},
		{Size: 1_000_000, Recipients: 1, Sessions: 3, Messages: 20},
	} {
		sink, err := ListenSink()
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		o.Server, o.Sink = sink.Addr(), sink
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := Run(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Latency) != o.Messages || got.Duplicates != 0 || got.Retries != 0 {
			t.Errorf("%+v", got)
		}
		if got.Percentile(0) > got.Percentile(1) || got.Percentile(0) < 0 || got.Delivered > got.Accepted {
			t.Errorf("times: %v of %v, accepted after %v", got.Latency, got.Delivered, got.Accepted)
		}
		if !strings.HasPrefix(got.Sample, "\r\nFrom: Bank") {
			t.Errorf("arrived: %q", got.Sample)
		}
	}
}

// A run whose messages do not arrive ends with its context.
func TestRunEndsWithItsContext(t *testing.T) {
	here, err := ListenSink()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	elsewhere, err := ListenSink()
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Run(ctx, Options{Server: elsewhere.Addr(), Sink: here, Size: 1000, Recipients: 1, Sessions: 2, Messages: 5})
	if err == nil {
		t.Error("messages that went elsewhere count as arrived")
	}
}

func TestMessageSize(t *testing.T) {
	for _, size := range []int{1000, 5000, 50_000, 1_000_000} {
		b := newBody(size, Recipient)
		if n := len(b.header(nil, 7, 1)) + len(b.entity); n != size {
			t.Errorf("%d octets, wanted %d", n, size)
		}
	}
}
