package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/lookup/fetch"
)

func TestCheckScheme(t *testing.T) {
	for _, test := range []struct {
		url  string
		open bool // http: is allowed beyond this machine
		want error
	}{
		{"https://keys.example.org", false, nil},
		{"http://localhost:8080", false, nil},
		{"http://127.0.0.1/x", false, nil},
		{"http://127.9.9.9/x", false, nil},
		{"http://[::1]:80/x", false, nil},
		{"http://keys.example.org", false, fetch.ErrCleartext},
		{"http://localhost.example.org", false, fetch.ErrCleartext},
		{"http://10.0.0.1", false, fetch.ErrCleartext},
		{"http://keys.example.org", true, nil},
		{"ftp://keys.example.org", true, fetch.ErrURL},
		{"file:///etc/passwd", true, fetch.ErrURL},
		{"keys.example.org", true, fetch.ErrURL},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := fetch.CheckScheme(u, test.open); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s, open %v: %v, want %v", test.url, test.open, err, test.want)
		}
	}
}

// ask gets a URL with a token, by a client of ours that trusts this server.
func ask(t testing.TB, s *httptest.Server, url string, o fetch.Options) (*http.Response, error) {
	t.Helper()
	o.Timeout = 5 * time.Second
	if s.Certificate() != nil {
		o.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	c := fetch.NewClient(o)
	t.Cleanup(c.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer secret")
	resp, err := c.Do(req)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

// A token stays with the server it is for, however a redirect leads away.
func TestTokenStaysWithItsServer(t *testing.T) {
	tokens := map[string]string{}
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tokens["other"] = r.Header.Get("Authorization")
	}))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens[r.URL.Path] = r.Header.Get("Authorization")
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	}))
	defer s.Close()
	for _, path := range []string{"/here", "/away"} {
		if _, err := ask(t, s, s.URL+path, fetch.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if tokens["/there"] != "Bearer secret" {
		t.Errorf("the same server got %q", tokens["/there"])
	}
	if got, asked := tokens["other"]; got != "" || !asked {
		t.Errorf("another server got %q, asked %v", got, asked)
	}
}

// Redirects are few, and none leads out of TLS or into the clear.
func TestRedirectsThatAreNotFollowed(t *testing.T) {
	clear := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked in the clear") }))
	defer clear.Close()
	for name, target := range map[string]string{"endless": "/", "out of TLS": clear.URL, "to a host in the clear": "http://keys.example.org/", "to another scheme": "ftp://127.0.0.1/"} {
		redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
		s := httptest.NewTLSServer(redirect)
		if _, err := ask(t, s, s.URL, fetch.Options{AllowHTTP: name == "out of TLS"}); err == nil {
			t.Errorf("%s: followed", name)
		}
		s.Close()
	}
}

func TestReadBody(t *testing.T) {
	for name, test := range map[string]struct {
		serve func(http.ResponseWriter)
		want  error // nil: read; io.EOF stands for any other error
	}{
		"just fits":         {func(w http.ResponseWriter) { w.Write(make([]byte, 1000)) }, nil},
		"a byte too many":   {func(w http.ResponseWriter) { w.Write(make([]byte, 1001)) }, fetch.ErrTooLarge},
		"endless, no word":  {func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.Write(make([]byte, 1<<20)) }, fetch.ErrTooLarge},
		"compressed":        {func(w http.ResponseWriter) { w.Header().Set("Content-Encoding", "gzip"); w.Write([]byte("x")) }, fetch.ErrCompressed},
		"shorter than said": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "900"); w.Write([]byte("x")) }, io.EOF},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("compression was asked for")
			}
			test.serve(w)
		}))
		resp, err := ask(t, s, s.URL, fetch.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := fetch.ReadBody(resp, 1000)
		switch {
		case test.want == nil && (err != nil || len(body) != 1000):
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		case test.want == io.EOF && err == nil:
			t.Errorf("%s: taken for whole", name)
		case test.want != nil && test.want != io.EOF && !errors.Is(err, test.want):
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		s.Close()
	}
}

// Errors name neither the URL, which may hold an address, nor a token.
func TestErrorsTellNoSecrets(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := ask(t, s, s.URL+"/?email=anna@example.org", fetch.Options{})
	if err == nil || !strings.Contains(err.Error(), "anna") {
		t.Fatalf("nothing to leave out: %v", err)
	}
	if err := fetch.WithoutURL(err); err == nil || strings.Contains(err.Error(), "anna") {
		t.Errorf("%v", err)
	}
	file := filepath.Join(t.TempDir(), "token")
	for _, content := range []string{"", "  \n", "two words", "two\nlines", "s\x00cret", "sécret", strings.Repeat("long", 5000)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := fetch.NewTokenFile(file)
		if secret := strings.TrimSpace(content); err == nil || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// A token is read again when its file has changed, and not used any more when
// the file is gone.
func TestTokenFile(t *testing.T) {
	if token, err := fetch.ReadToken(""); token != "" || err != nil {
		t.Errorf("without a file: %q, %v", token, err)
	}
	file := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	tokens, err := fetch.NewTokenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "other", "third"} { // of the same length
		write(want + "\n")
		for range 2 {
			if got, err := tokens.Token(); got != want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Token(); got != "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without its file: %q, %v", got, err)
	}
	if _, err := fetch.NewTokenFile(file); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzToken: what is believed to be a token is one line of visible ASCII that
// stands in the file; no error shows what does.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "token", " token\n", "to ken", "\x00", "tök", strings.Repeat("a", 20000)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := fetch.ReadToken(file)
		if err != nil {
			return
		}
		if token == "" || token != string(bytes.TrimSpace(data)) || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is taken for a token", token)
		}
	})
}
