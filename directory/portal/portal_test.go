package portal_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sealpost/directory/portal"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><rect width="40" height="40" rx="9" fill="#0b5394"/><path d="M9 14l11 8 11-8v13H9z" fill="#fff"/></svg>`

// people is what the page finds, by address.
type people map[string][]keydb.Certificate

var errAway = errors.New("the database is away")

func (p people) find(_ context.Context, a address.Address) ([]keydb.Certificate, error) {
	if a.Domain() == "trouble.example" {
		return nil, errAway
	}
	return p[a.Key()], nil
}

// enrol gives somebody a certificate that ends so many days from now.
func (p people) enrol(t testing.TB, ca *testkit.CA, days int, leaf testkit.Leaf) *testkit.Identity {
	t.Helper()
	leaf.NotAfter = time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)
	id := ca.Issue(t, leaf)
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	c := keydb.NewCertificate(cert)
	c.Origin, c.FirstSeen, c.LastSeen = "harvest", time.Now(), time.Now()
	p[leaf.Addresses[0]] = append(p[leaf.Addresses[0]], c)
	return id
}

// start serves a page that knows anna@example.org.
func start(t testing.TB, change func(*portal.Options)) (*httptest.Server, *testkit.Identity) {
	t.Helper()
	known := people{}
	ca := testkit.NewCA(t)
	anna := known.enrol(t, ca, 300, testkit.Leaf{Addresses: []string{"anna@example.org"}, Name: "Anna Example"})
	known.enrol(t, ca, 20, testkit.Leaf{Addresses: []string{"anna@example.org"}, Name: "Anna Example", Key: "p256"})
	opts := portal.Options{Find: known.find, Name: "Bank of Examples", Logo: []byte(svg), Enrol: "keys@bank.example", URL: "https://keys.bank.example"}
	if change != nil {
		change(&opts)
	}
	p, err := portal.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s, anna
}

// get asks for a path; header is one line, or nothing.
func get(t testing.TB, target, header string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestSearch(t *testing.T) {
	s, _ := start(t, nil)
	for _, c := range []struct {
		query  string
		status int
		want   string
	}{
		{"", 200, "Find a certificate"},
		{"?email=anna@example.org", 200, "Anna Example"},
		{"?email=+anna@EXAMPLE.org+", 200, "Sealpost Test Root"},
		{"?email=nobody@example.org", 200, "No certificate"},
		{"?email=anna", 400, "not a complete mail address"},
		{"?email=a@trouble.example", 503, "try again"},
		{"?email=anna@example.org&download=cer&sha256=00", 404, "no such page"},
		{"nowhere", 404, "no such page"},
	} {
		resp, body := get(t, s.URL+"/"+c.query, "")
		if resp.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%q: %s, without %q:\n%s", c.query, resp.Status, c.want, body)
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %v", c.query, resp.Header)
		}
	}
}

// What people type and what certificates say comes out as text.
func TestNothingIsMarkup(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	known := people{}
	known.enrol(t, testkit.NewCA(t), 300, testkit.Leaf{Addresses: []string{"eve@example.org"}, Name: evil})
	s, _ := start(t, func(o *portal.Options) { o.Find = known.find })
	for _, query := range []string{"email=" + url.QueryEscape(evil), "lang=" + url.QueryEscape(evil), "email=eve@example.org", "email=eve@example.org&sha256=" + url.QueryEscape(evil)} {
		_, body := get(t, s.URL+"/?"+query, "Accept-Language: "+evil)
		if strings.Contains(body, "<script") {
			t.Errorf("%s: %s", query, body)
		}
	}
}

func TestLanguages(t *testing.T) {
	s, _ := start(t, nil)
	for _, c := range [][3]string{
		{"", "", "en"}, {"", "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8", "zh"}, {"", "Accept-Language: de-DE,de", "en"},
		{"", "Accept-Language: zh-TW", "zh"}, {"?lang=zh", "Accept-Language: en", "zh"}, {"?lang=xx", "Accept-Language: ;;;", "en"},
		{"?lang=en", "Accept-Language: zh", "en"}, {"", "Accept-Language: " + strings.Repeat("zh,", 1000), "zh"},
	} {
		resp, body := get(t, s.URL+"/"+c[0], c[1])
		if got := resp.Header.Get("Content-Language"); got != c[2] || !strings.Contains(body, `<html lang="`+c[2]+`">`) {
			t.Errorf("%q, %.60q: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// Every text that one language has, the other has.
func TestTextsAreComplete(t *testing.T) {
	s, _ := start(t, nil)
	for _, lang := range []string{"en", "zh"} {
		for _, query := range []string{"", "&email=anna@example.org", "&email=nobody@example.org"} {
			_, body := get(t, s.URL+"/?lang="+lang+query, "")
			for _, empty := range []string{"<dt></dt>", "<h1 id=\"title\"></h1>", "<p></p>", "<h3></h3>", "<h2></h2>", "%!", "<no value>"} {
				if strings.Contains(body, empty) {
					t.Errorf("%s%s: %s", lang, query, empty)
				}
			}
		}
	}
}

func TestDownload(t *testing.T) {
	s, anna := start(t, nil)
	cert, err := certificate.Parse(anna.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for as, want := range map[string]string{"cer": string(anna.Cert.Raw), "pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: anna.Cert.Raw}))} {
		resp, body := get(t, s.URL+"/?email=anna@example.org&download="+as+"&sha256="+keydb.Fingerprint(cert.Fingerprint()).String(), "")
		if body != want || !strings.HasSuffix(resp.Header.Get("Content-Disposition"), "."+as+`"`) {
			t.Errorf("%s: %v", as, resp.Header)
		}
	}
}

func TestLogo(t *testing.T) {
	s, _ := start(t, nil)
	_, body := get(t, s.URL, "")
	_, after, _ := strings.Cut(body, `<img src="`)
	path, _, _ := strings.Cut(after, `"`)
	if resp, got := get(t, s.URL+path, ""); got != svg || resp.Header.Get("Content-Type") != "image/svg+xml" || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%s: %v", path, resp.Header)
	}
	for _, bad := range []string{"GIF89a", "<html>", strings.Repeat("<svg", 1<<17)} {
		if _, err := portal.New(portal.Options{Logo: []byte(bad)}); !errors.Is(err, portal.ErrLogo) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
}

// Where lookups need a token, the page does not search.
func TestClosed(t *testing.T) {
	s, _ := start(t, func(o *portal.Options) { o.Find, o.Enrol = nil, "" })
	resp, body := get(t, s.URL+"/?email=anna@example.org", "")
	if resp.StatusCode != 200 || strings.Contains(body, "<form") || !strings.Contains(body, "programs only") || strings.Contains(body, "mailto:") {
		t.Errorf("%s: %s", resp.Status, body)
	}
}

// FuzzPage: whatever is asked for, the page is whole and has no markup of strangers.
func FuzzPage(f *testing.F) {
	known := people{}
	known.enrol(f, testkit.NewCA(f), 300, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	p, err := portal.New(portal.Options{Find: known.find})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("email=anna@example.org", "en")
	f.Add("email=%3Cscript%3E&lang=zh", "zh;q=x")
	f.Add("email=a@trouble.example&download=cer", "")
	f.Fuzz(func(t *testing.T, query, accept string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{"Accept-Language": {accept}}}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Header().Get("Content-Type") == "text/html; charset=utf-8" && (!strings.HasSuffix(body, "</html>\n") || strings.Contains(body, "<script")) {
			t.Fatalf("%d: %s", w.Code, body)
		}
	})
}
