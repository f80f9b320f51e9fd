package api_test

import (
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
