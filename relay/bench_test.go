package relay_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"sealpost/internal/bench/load"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup"
	"sealpost/relay"
	"sealpost/relay/intake"
	"sealpost/relay/policy"
	"sealpost/relay/spill"
	"sealpost/relay/upstream"
)

// BenchmarkRelay is the whole way of a message within one process: source,
// intake, policy, cache, seal, upstream, sink. The allocations are those of
// all of them.
func BenchmarkRelay(b *testing.B) {
	for _, c := range []struct {
		name             string
		size, recipients int
	}{{"5KB", 5000, 1}, {"50KB", 50_000, 1}, {"1MB", 1_000_000, 1}, {"50KB_to_20", 50_000, 20}} {
		b.Run(c.name, func(b *testing.B) {
			sink, err := load.ListenSink()
			if err != nil {
				b.Fatal(err)
			}
			defer sink.Close()
			o := load.Options{
				Server: serveBench(b, sink.Addr()), Sink: sink, Size: c.size, Recipients: c.recipients,
				Sessions: 10, Messages: load.People / c.recipients,
			}
			if _, err := load.Run(b.Context(), o); err != nil { // fills the cache
				b.Fatal(err)
			}
			o.Messages = b.N
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := load.Run(b.Context(), o); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// serveBench runs a relay in front of upstream, as `serve` puts it together
// with a certificate cache, metrics and a log.
func serveBench(b *testing.B, next string) string {
	client, err := upstream.New(upstream.Options{
		Hostname: "relay.test", Servers: []upstream.Server{{Address: next, TLS: upstream.TLSNone}},
	})
	if err != nil {
		b.Fatal(err)
	}
	cache, err := lookup.NewCache(&directory{certs: benchCertificates(b)}, lookup.CacheOptions{})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r := relay.New(relay.Options{
		Hostname: "relay.test", Spill: spill.New(spill.Options{Dir: b.TempDir()}),
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Settings: &relay.Settings{
			Decider: &relay.Decider{
				Policy: policy.New([]policy.Rule{{Name: "default"}}), Directory: cache,
				Content: relay.Content{Auto: true}, MaxCertificates: 4,
			},
			Upstream: client, Networks: map[string][]netip.Prefix{"bench": {netip.MustParsePrefix("127.0.0.0/8")}},
		},
	})
	server, err := intake.NewServer(intake.Options{Hostname: "relay.test", Name: "bench", Handler: r})
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	b.Cleanup(func() {
		if err := server.Shutdown(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
		<-served // it says that it was shut down
		client.Close()
		cache.Close()
	})
	return l.Addr().String()
}

// benchCertificates gives each of load's recipients a certificate. One will do:
// sealing to it costs the same whoever else has it.
func benchCertificates(b *testing.B) map[string][]*certificate.Certificate {
	c, err := certificate.Parse(testkit.NewCA(b).For(b, load.Recipient(0)).Cert.Raw)
	if err != nil {
		b.Fatal(err)
	}
	all := map[string][]*certificate.Certificate{}
	for i := range load.People {
		all[load.Recipient(i)] = []*certificate.Certificate{c}
	}
	return all
}
