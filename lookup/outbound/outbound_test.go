package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/testkit"
	"sealpost/lookup/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func client(t testing.TB, opts outbound.Options) *outbound.Client {
	t.Helper()
	if opts.Proxy == nil {
		opts.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	c := outbound.New(opts)
	t.Cleanup(c.Close)
	return c
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func get(c *outbound.Client, url string) (outbound.Answer, error) {
	return c.Fetch(context.Background(), outbound.Request{URL: url, Max: 10000})
}

func TestFetch(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("ETag", `"x"`)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Accept"), body)
	})
	c := client(t, outbound.Options{Networks: loopback})
	a, err := c.Fetch(context.Background(), outbound.Request{URL: s.URL, Max: 100, Body: []byte("question"), Type: "a/b", Accept: "c/d"})
	if err != nil || string(a.Body) != "POST a/b c/d question" || a.ETag != `"x"` {
		t.Errorf("%q, %+v, %v", a.Body, a, err)
	}
	if a, err := get(c, s.URL); err != nil || string(a.Body) != "GET   " {
		t.Errorf("%q, %v", a.Body, err)
	}
}

// No certificate of a stranger makes us connect to a machine of our own.
func TestOnlyPublicAddresses(t *testing.T) {
	var reached atomic.Int64
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	c := client(t, outbound.Options{Timeout: 5 * time.Second})
	for _, host := range []string{
		"127.0.0.1", "localhost", "0.0.0.0", "127.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8",
		"198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::7f00:1]",
		"[fe80::1]", "[fc00::1]", "[fd12::1]", "[fec0::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[2001::1]", "[2001:db8::1]",
	} {
		if _, err := get(c, "http://"+host+":"+port+"/"); !errors.Is(err, outbound.ErrAddress) && !isNoRoute(err) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("reached")
	}
}

// isNoRoute is what the system itself says to an address that it has no way to.
func isNoRoute(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

func TestURLs(t *testing.T) {
	c := client(t, outbound.Options{Networks: loopback})
	for _, u := range []string{
		"", "crl", "ldap://ldap.example/", "ftp://ftp.example/crl", "file:///etc/passwd", "http://", "http:opaque", "http://user:pass@127.0.0.1/",
		"gopher://127.0.0.1:25/", "http://127.0.0.1/\r\nHELO", "http://127.0.0.1/" + strings.Repeat("a", 3000),
	} {
		if _, err := get(c, u); !errors.Is(err, outbound.ErrURL) {
			t.Errorf("%.60q: %v", u, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "there") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/loop": "/loop", "/1": "/2", "/2": "/3", "/3": elsewhere.URL, "/0": "/1",
			"/private": "http://10.0.0.1/", "/ldap": "ldap://127.0.0.1/", "/login": "http://u:p@127.0.0.1/",
		}[r.URL.Path]
		http.Redirect(w, r, to, http.StatusFound)
	})
	c := client(t, outbound.Options{Networks: loopback, Timeout: 5 * time.Second})
	if a, err := get(c, s.URL+"/1"); err != nil || string(a.Body) != "there" {
		t.Errorf("three redirects: %q, %v", a.Body, err)
	}
	for path, want := range map[string]error{
		"/loop": outbound.ErrRedirect, "/0": outbound.ErrRedirect, "/private": outbound.ErrAddress, "/ldap": outbound.ErrURL, "/login": outbound.ErrURL,
	} {
		if _, err := get(client(t, outbound.Options{Networks: loopback, Timeout: 5 * time.Second}), s.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/announced":
			w.Header().Set("Content-Length", "20000")
			_, _ = w.Write(make([]byte, 20000))
		case "/endless":
			for _, err := w.Write(make([]byte, 4096)); err == nil; _, err = w.Write(make([]byte, 4096)) {
			}
		case "/broken":
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(make([]byte, 100))
		case "/silent":
			<-r.Context().Done()
		case "/stalled":
			_, _ = w.Write([]byte("a"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/headers":
			for i := range 1000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		case "/missing":
			http.NotFound(w, r)
		case "/exact":
			_, _ = w.Write(make([]byte, 10000))
		}
	})
	for path, want := range map[string]error{
		"/announced": outbound.ErrTooLarge, "/endless": outbound.ErrTooLarge, "/broken": io.ErrUnexpectedEOF, "/missing": outbound.ErrStatus,
		"/silent": context.DeadlineExceeded, "/stalled": context.DeadlineExceeded, "/exact": nil,
	} {
		c := client(t, outbound.Options{Networks: loopback, Timeout: 500 * time.Millisecond})
		if _, err := get(c, s.URL+path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := get(client(t, outbound.Options{Networks: loopback}), s.URL+"/headers"); err == nil {
		t.Error("100 kB of header fields")
	}
}

func TestLargeAnswers(t *testing.T) {
	body := bytes.Repeat([]byte("large "), 1<<19) // three megabytes
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		_, _ = w.Write(body)
	})
	c := client(t, outbound.Options{Networks: loopback})
	var wg sync.WaitGroup
	for i := range 8 {
		path := []string{"/announced", "/"}[i%2]
		wg.Go(func() {
			a, err := c.Fetch(context.Background(), outbound.Request{URL: s.URL + path, Max: int64(len(body))})
			if err != nil || !bytes.Equal(a.Body, body) {
				t.Errorf("%d bytes, %v", len(a.Body), err)
			}
			if _, err := c.Fetch(context.Background(), outbound.Request{URL: s.URL + path, Max: int64(len(body)) - 1}); !errors.Is(err, outbound.ErrTooLarge) {
				t.Errorf("one byte too many: %v", err)
			}
		})
	}
	wg.Wait()
}

// A host that does not answer is left alone, and others are not held up.
func TestRestingHost(t *testing.T) {
	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	dead := httptest.NewServer(nil)
	dead.Close()
	c := client(t, outbound.Options{Networks: loopback, Clock: clock})
	for range 3 {
		if _, err := get(c, dead.URL); err == nil || errors.Is(err, outbound.ErrResting) {
			t.Fatal(err)
		}
	}
	if _, err := get(c, dead.URL+"/other"); !errors.Is(err, outbound.ErrResting) {
		t.Errorf("asked again: %v", err)
	}
	if _, err := get(c, s.URL); err != nil {
		t.Errorf("another host: %v", err)
	}
	ahead.Store(int64(time.Minute))
	if _, err := get(c, dead.URL); errors.Is(err, outbound.ErrResting) {
		t.Error("not tried again after a minute")
	}
}

func TestTurns(t *testing.T) {
	var now, most atomic.Int64
	release := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		now.Add(-1)
	})
	c := client(t, outbound.Options{Networks: loopback, PerHost: 3})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := get(c, s.URL); err != nil {
				t.Error(err)
			}
		})
	}
	testkit.Poll(t, "three fetches", func() bool { return now.Load() == 3 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Fetch(ctx, outbound.Request{URL: s.URL, Max: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no turn: %v", err)
	}
	close(release)
	wg.Wait()
	if most.Load() != 3 {
		t.Errorf("%d at once", most.Load())
	}
}

// A proxy stands where it stands; what it is asked for is looked at all the same.
func TestProxy(t *testing.T) {
	var asked atomic.Value
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		fmt.Fprint(w, "by proxy")
	})
	u, _ := url.Parse(proxy.URL)
	c := client(t, outbound.Options{Proxy: func(*http.Request) (*url.URL, error) { return u, nil }})
	if a, err := get(c, "http://crl.example/list"); err != nil || string(a.Body) != "by proxy" || asked.Load() != "http://crl.example/list" {
		t.Errorf("%q, %v, asked for %v", a.Body, err, asked.Load())
	}
	asked.Store("")
	for _, private := range []string{"http://127.0.0.1/", "http://[::1]/", "http://10.0.0.1/", "http://localhost/", "http://a.localhost./"} {
		if _, err := get(c, private); !errors.Is(err, outbound.ErrAddress) || asked.Load() != "" {
			t.Errorf("%s: %v", private, err)
		}
	}
}

func TestUnchanged(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) })
	c := client(t, outbound.Options{Networks: loopback})
	if a, err := c.Fetch(context.Background(), outbound.Request{URL: s.URL, Max: 1, ETag: `"a"`}); err != nil || !a.Unchanged {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := get(c, s.URL); !errors.Is(err, outbound.ErrStatus) {
		t.Errorf("unchanged, and nothing was there before: %v", err)
	}
}
