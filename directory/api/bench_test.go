package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/lookup/keydb"
)

// quiet is an API whose index knows anna@example.org, without a log.
func quiet(b *testing.B) (*directory, http.Handler) {
	b.Helper()
	idx := &index{certs: map[string][]keydb.Certificate{}}
	idx.current.Store(true)
	var handler http.Handler
	d := newDirectory(b, func(d *directory, o *api.Options) {
		idx.certs["anna@example.org"] = []keydb.Certificate{api.Wire(store.Certificate{Cert: parse(b, d.anna.Cert.Raw), Origin: "import", Addresses: []string{"anna@example.org"}})}
		o.Finder, o.Log = api.NewFinder(idx, o.Store, nil), slog.New(slog.DiscardHandler)
		var err error
		if handler, err = api.New(*o); err != nil {
			b.Fatal(err)
		}
	})
	return d, handler
}

// A discarding response keeps its header and nothing else.
type discarding struct{ h http.Header }

func (d discarding) Header() http.Header         { return d.h }
func (d discarding) WriteHeader(int)             {}
func (d discarding) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkLookup is what the handler itself costs, without the network.
func BenchmarkLookup(b *testing.B) {
	_, handler := quiet(b)
	r := httptest.NewRequest("GET", "/v1/certificates?email=anna@example.org", nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(discarding{http.Header{}}, r)
	}
}

// BenchmarkBatch is a batch of a hundred, without the network.
func BenchmarkBatch(b *testing.B) {
	d, handler := quiet(b)
	body := `{"addresses":[` + strings.Repeat(`"anna@example.org",`, 99) + `"nobody@example.org"]}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/v1/certificates:batch", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+d.secret[store.ScopeBatch])
		r.Header.Set("Content-Type", "application/json")
		handler.ServeHTTP(discarding{http.Header{}}, r)
	}
}

// BenchmarkOverHTTP is lookups on ten connections that stay open; client and
// server share the machine.
func BenchmarkOverHTTP(b *testing.B) {
	_, handler := quiet(b)
	s := httptest.NewServer(handler)
	defer s.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}}
	defer client.CloseIdleConnections()
	b.SetParallelism(5)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Get(s.URL + "/v1/certificates?email=anna@example.org")
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
