package lookup_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

var discardLog = log.New(io.Discard, "", 0)

// Nothing that a server does, but for 404 and an empty list, is None.
func TestHTTPNeverNone(t *testing.T) {
	ca := testkit.NewCA(t)
	id := ca.For(t, anna)
	der, half := id.Cert.Raw, id.CertPEM[:len(id.CertPEM)/2]
	const pkix, pem, json = "application/pkix-cert", "application/x-pem-file", "application/json"
	handlers := map[string]http.HandlerFunc{
		"HTML with 200":         reply(200, "text/html", []byte("<html>Sign in")),
		"HTML that says PEM":    reply(200, pem, []byte("<html>Sign in")),
		"PEM that says HTML":    reply(200, "text/html", id.CertPEM),
		"no type":               reply(200, "", der),
		"broken type":           reply(200, ";", der),
		"nothing":               reply(200, pkix, nil),
		"half a PEM":            reply(200, pem, half),
		"half a DER":            reply(200, pkix, der[:100]),
		"garbage":               reply(200, pkix, bytes.Repeat([]byte{0x30, 0x80}, 1000)),
		"private key":           reply(200, pem, id.KeyPEM),
		"PKCS #7, empty":        reply(200, "application/pkcs7-mime", certsOnly(t)),
		"JSON, other address":   reply(200, json, jsonOf("bob@example.org", der)),
		"JSON, other, empty":    reply(200, json, jsonOf("bob@example.org")),
		"JSON, null":            reply(200, json, []byte("null")),
		"JSON, empty object":    reply(200, json, []byte("{}")),
		"JSON, list missing":    reply(200, json, []byte(`{"address":"anna@example.org"}`)),
		"JSON, list null":       reply(200, json, []byte(`{"address":"anna@example.org","certificates":null}`)),
		"JSON, address missing": reply(200, json, []byte(`{"certificates":[]}`)),
		"JSON, an error":        reply(200, json, []byte(`{"error":"database is down"}`)),
		"JSON, twice":           reply(200, json, append(jsonOf(anna), jsonOf(anna)...)),
		"JSON, cut short":       reply(200, json, jsonOf(anna, der)[:200]),
		"JSON, no certificate":  reply(200, json, jsonOf(anna, []byte("garbage"))),
		"JSON, empty member":    reply(200, json, []byte(`{"address":"anna@example.org","certificates":[{}]}`)),
		"JSON, deep":            reply(200, json, bytes.Repeat([]byte("["), 100000)),
		"too many certificates": reply(200, pem, bytes.Repeat(id.CertPEM, 33)),
		"too many in JSON":      reply(200, json, jsonOf(anna, make([][]byte, 33)...)),
		"100 MB":                endless(100 << 20),
		"a length of 100 MB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", pkix)
			w.Header().Set("Content-Length", "104857600")
			_, _ = w.Write(der)
		},
		"gzip bomb": bomb(t),
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", pem)
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(id.CertPEM)
		},
		"breaks off, chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", pem)
			_, _ = w.Write(id.CertPEM)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"hangs up":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"huge header":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", string(make([]byte, 1<<20))) },
		"redirect loop": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"redirect to a file": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		},
		"redirect to cleartext": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(302)
		},
		"redirect to nowhere": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) },
	}
	for _, status := range []int{201, 204, 206, 300, 301, 304, 400, 401, 403, 410, 429, 500, 502, 503} {
		handlers[fmt.Sprintf("status %d", status)] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", pkix)
			w.WriteHeader(status)
		}
	}
	for name, handler := range handlers {
		server := httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = discardLog
		server.Start()
		a := ask(t, server, lookup.HTTPOptions{})
		server.Close()
		if a.Outcome != lookup.Unavailable || a.Err == nil || a.Reason != reason.LookupUnavailable || len(a.Candidates) > 0 {
			t.Errorf("%s: %v, reason %q, %d candidates, %v", name, a.Outcome, a.Reason, len(a.Candidates), a.Err)
		}
	}
}

// endless sends n bytes of what could be PEM.
func endless(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		line := bytes.Repeat([]byte("A"), 1<<16)
		for sent := 0; sent < n; sent += len(line) {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
}

// bomb sends little that becomes much.
func bomb(t testing.TB) http.HandlerFunc {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 100 {
		if _, err := z.Write(make([]byte, 100000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
}

// A server that never finishes costs no more than the timeout.
func TestHTTPSlow(t *testing.T) {
	over := make(chan struct{})
	stall := func(header bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if header {
				w.Header().Set("Content-Type", "application/x-pem-file")
				w.Header().Set("Content-Length", "1000")
				w.(http.Flusher).Flush()
			}
			<-over
		}
	}
	servers := []*httptest.Server{httptest.NewServer(stall(false)), httptest.NewServer(stall(true))}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and that is all
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	urls := []string{servers[0].URL, servers[1].URL, "http://" + silent.Addr().String(), "https://" + silent.Addr().String()}
	for _, url := range urls {
		a := ask(t, nil, lookup.HTTPOptions{URL: url + "/{address}", Timeout: 50 * time.Millisecond})
		if a.Outcome != lookup.Unavailable || a.Err == nil {
			t.Errorf("%s: %v, %v", url, a.Outcome, a.Err)
		}
	}
	close(over)
	for _, s := range servers {
		s.Close()
	}
	gone := ask(t, nil, lookup.HTTPOptions{URL: servers[0].URL + "/{address}"})
	if gone.Outcome != lookup.Unavailable {
		t.Errorf("server gone: %v", gone.Outcome)
	}
}

func TestHTTPRedirects(t *testing.T) {
	cert := testkit.NewCA(t).For(t, anna).Cert.Raw
	plain := serve(t, reply(200, "application/pkix-cert", cert))
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusMovedPermanently))
	t.Cleanup(secure.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	a := ask(t, secure, lookup.HTTPOptions{RootCAs: roots, AllowHTTP: true})
	if a.Outcome != lookup.Unavailable {
		t.Errorf("https: to http: %v", a.Outcome)
	}
	for hops, want := range map[int]lookup.Outcome{1: lookup.Found, 3: lookup.Found, 4: lookup.Unavailable} {
		var seen atomic.Int64
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if int(seen.Add(1)) <= hops {
				http.Redirect(w, r, "/next", http.StatusMovedPermanently)
				return
			}
			reply(200, "application/pkix-cert", cert)(w, r)
		})
		if a := ask(t, server, lookup.HTTPOptions{}); a.Outcome != want {
			t.Errorf("%d redirects: %v, %v", hops, a.Outcome, a.Err)
		}
	}
}

// A part of an answer that cannot be read does not spoil the rest, but keeps
// the rest, when it is of no use, from being the whole truth.
func TestHTTPPartlyReadable(t *testing.T) {
	ca := testkit.NewCA(t)
	good := ca.For(t, anna)
	expired := ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	for _, test := range []struct {
		id   *testkit.Identity
		want lookup.Outcome
	}{{good, lookup.Found}, {expired, lookup.Unavailable}} {
		for kind, body := range map[string][]byte{
			"application/x-pem-file": append(test.id.CertPEM, good.CertPEM[:100]...),
			"application/json":       jsonOf(anna, test.id.Cert.Raw, []byte("garbage")),
		} {
			server := serve(t, reply(200, kind, body))
			source := newHTTP(t, lookup.HTTPOptions{URL: server.URL + "/{address}"})
			a := trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself}).Lookup(context.Background(), parse(t, anna))
			if a.Outcome != test.want || a.Err == nil {
				t.Errorf("%s: %v, %v", kind, a.Outcome, a.Err)
			}
		}
	}
}

// A source that lies about whom a certificate is for is not believed.
func TestHTTPLies(t *testing.T) {
	server := serve(t, reply(200, "application/pkix-cert", testkit.NewCA(t).For(t, "mallory@example.org").Cert.Raw))
	source := newHTTP(t, lookup.HTTPOptions{URL: server.URL + "/{address}"})
	a := trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself}).Lookup(context.Background(), parse(t, anna))
	if a.Outcome != lookup.Unavailable || a.Reason != reason.CertificateAddress || len(a.Candidates) != 1 {
		t.Errorf("%v, reason %q, %d candidates", a.Outcome, a.Reason, len(a.Candidates))
	}
}

// A month-end run in small: a thousand addresses at once, a server that takes
// its time, and a caller who does not wait to the end.
func TestThousandAtOnce(t *testing.T) {
	cert := testkit.NewCA(t).For(t, anna).Cert.Raw
	var now, most, asked atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if r.URL.Query().Get("email") == anna {
			reply(200, "application/pkix-cert", cert)(w, r)
			return
		}
		http.NotFound(w, r)
	})
	source := newHTTP(t, lookup.HTTPOptions{URL: server.URL + "/c?email={address}", Connections: 8, Timeout: time.Minute})
	c := chain(t, lookup.ChainOptions{Timeout: time.Minute}, lookup.Link{
		Name: "keys", Source: trusted(t, source, lookup.TrustOptions{Vouch: lookup.Itself}),
	})
	cache, err := lookup.NewCache(c, lookup.CacheOptions{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			for _, addr := range []string{fmt.Sprintf("u%d@example.org", i), anna} {
				a := cache.Lookup(context.Background(), parse(t, addr))
				if want := addr == anna; (a.Outcome == lookup.Found) != want || (a.Outcome == lookup.None) == want {
					t.Errorf("%s: %v, %v", addr, a.Outcome, a.Err)
				}
			}
		})
	}
	left, leave := context.WithCancel(context.Background())
	leave()
	if a := cache.Lookup(left, parse(t, "left@example.org")); a.Outcome != lookup.Unavailable || !errors.Is(a.Err, context.Canceled) {
		t.Errorf("left: %v, %v", a.Outcome, a.Err)
	}
	all.Wait()
	if most.Load() > 8 || asked.Load() < 1001 || asked.Load() > 1002 {
		t.Errorf("asked %d times, at most %d at a time", asked.Load(), most.Load())
	}
}
