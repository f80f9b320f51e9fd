package directory_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"sealpost/directory"
	"sealpost/directory/portal"
)

// A node has its page, and where lookups need a token the page does not search.
func TestPage(t *testing.T) {
	for _, closed := range []bool{false, true} {
		d := open(t, t.TempDir(), func(o *directory.Options) {
			o.Page, o.API.RequireToken = &portal.Options{Name: "Bank of Examples"}, closed
		})
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/?email=nobody@example.org", nil))
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, "Bank of Examples") || strings.Contains(body, "No certificate") == closed {
			t.Errorf("closed %v: %d %s", closed, w.Code, body)
		}
		close(t, d)
	}
}
