package keydb_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/fetch"
	"sealpost/lookup/keydb"
)

func client(t testing.TB, h http.HandlerFunc, opts keydb.Options) *keydb.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	opts.URL = s.URL
	c, err := keydb.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func say(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

const annaHas = `{"address":"anna@example.org","certificates":[{"der":"MAA="}]}`

func TestLookup(t *testing.T) {
	none := `{"title":"none","status":404,"reason":"no-certificate"}`
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		found   int
		none    bool
	}{
		"found":                  {say(200, "application/json; charset=utf-8", annaHas), 1, false},
		"404 of the directory":   {say(404, keydb.TypeProblem, none), 0, true},
		"empty list":             {say(200, keydb.TypeJSON, `{"address":"anna@example.org","certificates":[]}`), 0, true},
		"404 of some web server": {say(404, "text/html", "<h1>Not found</h1>"), 0, false},
		"404 with another type":  {say(404, keydb.TypeJSON, none), 0, false},
		"404 for another reason": {say(404, keydb.TypeProblem, `{"status":404,"reason":"address-invalid"}`), 0, false},
		"410":                    {say(410, keydb.TypeProblem, none), 0, false},
		"HTML":                   {say(200, "text/html", "<p>log in"), 0, false},
		"another address":        {say(200, keydb.TypeJSON, strings.Replace(annaHas, "anna", "bob", 1)), 0, false},
		"too large":              {say(200, keydb.TypeJSON, annaHas+strings.Repeat(" ", 1<<21)), 0, false},
		"204":                    {say(204, keydb.TypeJSON, ""), 0, false},
		"redirect without an end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		}, 0, false},
		"redirect to another name": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
		}, 0, false},
		"500": {say(500, keydb.TypeProblem, none), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := client(t, test.handler, keydb.Options{}).Lookup(t.Context(), parse(t, anna))
			if len(a.Certificates) != test.found || errors.Is(err, keydb.ErrNone) != test.none || (err == nil) != (test.found > 0) {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestClientAsksForTheNormalForm(t *testing.T) {
	var asked string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.URL.Query().Get("email")
		say(200, keydb.TypeJSON, `{"address":"a+b@example.org","certificates":[{"der":"MAA="}]}`)(w, r)
	}, keydb.Options{})
	if _, err := c.Lookup(t.Context(), parse(t, "a+b@EXAMPLE.org")); err != nil || asked != "GET /v1/certificates a+b@example.org" {
		t.Errorf("%s, %v", asked, err)
	}
	if _, err := c.Lookup(t.Context(), address.Address{}); !errors.Is(err, address.ErrSyntax) {
		t.Errorf("the null address: %v", err)
	}
}

func TestProblemIsToldWithReasonAndPatience(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		say(429, keydb.TypeProblem, `{"title":"slow down","reason":"too-many-connections"}`)(w, r)
	}, keydb.Options{})
	_, err := c.Lookup(t.Context(), parse(t, anna))
	var p *keydb.Problem
	if !errors.As(err, &p) || p.Status != 429 || p.Reason != reason.TooManyClients || p.RetryAfter != 7*time.Second || !keydb.IsTemporary(err) {
		t.Errorf("%+v", err)
	}
	if keydb.IsTemporary(&keydb.Problem{Status: 403}) || keydb.IsTemporary(keydb.ErrNone) || !keydb.IsTemporary(io.ErrUnexpectedEOF) {
		t.Error("what is temporary and what not is mixed up")
	}
}

func TestTokenIsReadAgainWhenItChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file+".new", []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	var got string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		say(200, keydb.TypeJSON, annaHas)(w, r)
	}, keydb.Options{TokenFile: file})
	for _, token := range []string{"first", "second"} {
		write(token)
		if _, err := c.Lookup(t.Context(), parse(t, anna)); err != nil || got != "Bearer "+token {
			t.Errorf("%q, %v", got, err)
		}
	}
	write("two words")
	got = ""
	if _, err := c.Lookup(t.Context(), parse(t, anna)); err == nil || got != "" {
		t.Errorf("asked with %q", got)
	}
}

func TestTokenStaysWithItsServer(t *testing.T) {
	var leaked string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.Header.Get("Authorization") }))
	defer other.Close()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	},
		keydb.Options{Token: func() (string, error) { return "secret", nil }})
	if _, err := c.Lookup(t.Context(), parse(t, anna)); err == nil || leaked != "" {
		t.Errorf("error %v, leaked %q", err, leaked)
	}
}

func TestChanges(t *testing.T) {
	var asked string
	page := aPage(t)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		say(200, keydb.TypeFeed, page)(w, r)
	}, keydb.Options{})
	p, err := c.Changes(t.Context(), "E.4", 10, 5*time.Second)
	if err != nil || len(p.Changes) != 3 || asked != "/v1/changes?limit=10&since=E.4&wait=5" {
		t.Errorf("%s: %+v, %v", asked, p, err)
	}
	if _, err := c.Changes(t.Context(), "E.5", 10, 0); !errors.Is(err, keydb.ErrPage) {
		t.Errorf("a page after another cursor: %v", err)
	}
	small := client(t, say(200, keydb.TypeFeed, page), keydb.Options{MaxPage: 100})
	if _, err := small.Changes(t.Context(), "E.4", 10, 0); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("a page of more than MaxPage: %v", err)
	}
	for body, want := range map[string]bool{
		`{"reason":"cursor-unknown"}`: true,
		`{"reason":"no-certificate"}`: false,
		`gone`:                        false,
	} {
		gone := client(t, say(410, keydb.TypeProblem, body), keydb.Options{})
		if _, err := gone.Changes(t.Context(), "E.4", 10, 0); err == nil || errors.Is(err, keydb.ErrCursor) != want {
			t.Errorf("410 with %s: %v", body, err)
		}
	}
}

func TestSlowServerIsNotWaitedFor(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", keydb.TypeFeed)
		w.WriteHeader(200)
		io.WriteString(w, `{"seq":`)
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, keydb.Options{FeedTimeout: 50 * time.Millisecond})
	if _, err := c.Changes(t.Context(), "", 10, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestPublishRevokeMessage(t *testing.T) {
	var got []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
		switch r.URL.Path {
		case keydb.PathCertificates:
			say(201, keydb.TypeJSON, `{"certificates":[{"sha256":"`+strings.Repeat("0a", 32)+`","status":"held","known":false}]}`)(w, r)
		case keydb.PathMessages:
			say(422, keydb.TypeProblem, `{"reason":"certificate-expired","detail":"the signer's certificate has expired"}`)(w, r)
		default:
			w.WriteHeader(204)
		}
	}, keydb.Options{})
	added, err := c.Publish(t.Context(), keydb.Publication{DER: []byte{0x30, 0}, Addresses: []string{anna}})
	if err != nil || len(added.Certificates) != 1 || added.Certificates[0].Status != "held" {
		t.Errorf("%+v, %v", added, err)
	}
	if err := c.Revoke(t.Context(), keydb.Fingerprint{1}); err != nil {
		t.Error(err)
	}
	var p *keydb.Problem
	if _, err := c.Message(t.Context(), strings.NewReader("From: anna")); !errors.As(err, &p) || p.Reason != reason.CertificateExpired {
		t.Error(err)
	}
	want := []string{
		`POST /v1/certificates application/json {"der":"MAA=","addresses":["anna@example.org"]}`,
		`DELETE /v1/certificates/01` + strings.Repeat("00", 31) + "  ",
		"POST /v1/messages message/rfc822 From: anna",
	}
	for i := range want {
		if i >= len(got) || got[i] != strings.TrimSuffix(want[i], "x") {
			t.Errorf("got %q, want %q", got, want)
			break
		}
	}
}

func TestBatch(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		var req keydb.BatchRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || len(req.Addresses) != 2 || req.Addresses[1] != "bob@example.org" {
			t.Errorf("%+v, %v", req, err)
		}
		say(200, keydb.TypeJSON, `{"answers":[`+annaHas+`,{"address":"bob@example.org","certificates":[]}]}`)(w, r)
	}, keydb.Options{})
	items, err := c.Batch(t.Context(), []address.Address{parse(t, anna), parse(t, "bob@EXAMPLE.org")})
	if err != nil || len(items) != 2 || len(items[0].Certificates) != 1 || items[1].Certificates == nil {
		t.Errorf("%+v, %v", items, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for url, want := range map[string]error{
		"":                         fetch.ErrURL,
		"ftp://keys.example":       fetch.ErrURL,
		"https://":                 fetch.ErrURL,
		"https://u:p@keys.example": fetch.ErrURL,
		"https://keys.example/?a":  fetch.ErrURL,
		"https://keys.example/#a":  fetch.ErrURL,
		"https://{address}/":       fetch.ErrURL,
		"http://keys.example":      fetch.ErrCleartext,
	} {
		if _, err := keydb.New(keydb.Options{URL: url}); !errors.Is(err, want) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := keydb.New(keydb.Options{URL: "https://keys.example", TokenFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
