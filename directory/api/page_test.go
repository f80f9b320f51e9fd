package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sealpost/directory/api"
	"sealpost/directory/portal"
)

// The page stands behind the API's limits, and is refused in its own words.
func TestPageBehindTheLimits(t *testing.T) {
	d := newDirectory(t, func(_ *directory, o *api.Options) {
		o.Finder = api.NewFinder(nil, o.Store, nil)
		page, err := portal.New(portal.Options{Find: o.Finder.Find})
		if err != nil {
			t.Fatal(err)
		}
		o.Page, o.Limits = page, api.Limits{PerSecond: 1, Burst: 10}
	})
	for range 20 {
		d.call(t, "GET /", "", "").expect(t, 200, "") // looking at it costs nothing
	}
	for range 10 {
		if a := d.call(t, "GET /?email=anna@example.org", "", "").expect(t, 200, ""); !strings.Contains(string(a.body), "RSA 2048") {
			t.Fatalf("she is not found: %s", a.body)
		}
	}
	a := d.call(t, "GET /?email=anna@example.org", "", "").expect(t, 429, "")
	if a.Header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "too many searches") || a.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%v: %s", a.Header, a.body)
	}
	d.call(t, annaPath, "", "").expect(t, 429, "") // one allowance for both
	if a := d.call(t, "POST /", "", "").expect(t, 405, ""); a.Header.Get("Allow") != "GET, HEAD" || !strings.Contains(string(a.body), "</html>") {
		t.Errorf("%v: %s", a.Header, a.body)
	}
	d.call(t, "GET /nowhere", "", "").expect(t, 404, "")
	d.call(t, "GET /v1/nothing", "", "").expect(t, 404, "not-found")
	if text := d.log.text(); strings.Contains(text, "anna@") || !strings.Contains(text, `"call":"page"`) {
		t.Errorf("the log: %s", text)
	}
}

// A visitors page notes who asks.
type visitors struct{ from []string }

func (v *visitors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.from = append(v.from, r.Method+" "+r.RemoteAddr)
}

func (v *visitors) Refuse(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) }

// Forms reach the pages of the claim, from whom the trusted proxies say; they
// cost, and walking through the pages does not.
func TestClaimBehindTheLimits(t *testing.T) {
	page := &visitors{}
	d := newDirectory(t, func(_ *directory, o *api.Options) {
		o.Page, o.TrustedProxies = page, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		o.Limits = api.Limits{PerSecond: 1, Burst: 10}
	})
	for range 10 {
		d.call(t, "GET /claim/choose?lang=en&done=own", "X-Forwarded-For: 192.0.2.7", "").expect(t, 200, "")
	}
	for i := range 10 {
		path := []string{"POST /claim", "POST /claim/second", "GET /claim?t=x"}[i%3]
		d.call(t, path, "X-Forwarded-For: 192.0.2.7", "").expect(t, 200, "")
	}
	d.call(t, "POST /claim", "X-Forwarded-For: 192.0.2.7", "").expect(t, 429, "")
	d.call(t, "POST /claim", "X-Forwarded-For: 192.0.2.8", "").expect(t, 200, "")
	d.call(t, "POST /claims", "", "").expect(t, 405, "")
	if n := len(page.from); n != 21 || page.from[n-1] != "POST 192.0.2.8:0" || page.from[0] != "GET 192.0.2.7:0" {
		t.Errorf("%q", page.from)
	}
}
