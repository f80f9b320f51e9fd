package portal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sealpost/directory/portal"
)

// FuzzClaim: whatever is sent to the pages of the claim by who is nobody, the
// answer is whole, runs nothing, and begins no session; and without a form of
// ours nothing is done.
func FuzzClaim(f *testing.F) {
	c := newClaims()
	p, err := portal.New(portal.Options{Claims: c, URL: "https://keys.bank.example"})
	if err != nil {
		f.Fatal(err)
	}
	const form = "application/x-www-form-urlencoded"
	f.Add("POST", "/claim", "", "t="+token+"&code="+code+"&csrf=x", form, "__Host-sealpost-form=x")
	f.Add("GET", "/claim", "t="+token+"&lang=zh&done=own&email=%3Cscript%3E", "", "", "__Host-sealpost=x")
	f.Add("POST", "/claim/own", "", "--b\r\nContent-Disposition: form-data; name=\"certificate\"; filename=\"a\"\r\n\r\nPRIVATE KEY\r\n--b--\r\n", "multipart/form-data; boundary=b", "")
	f.Add("POST", "/claim/key", "lang=zh", "public=%ff", form+"; charset=\xff", "a=b; a=c")
	f.Fuzz(func(t *testing.T, method, path, query, body, kind, cookie string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "keys.bank.example", RemoteAddr: "192.0.2.1:0",
			Header: http.Header{"Content-Type": {kind}, "Cookie": {cookie}}, Body: http.NoBody}
		if body != "" {
			r.Body = httptest.NewRequest("POST", "/", strings.NewReader(body)).Body
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		page := w.Body.String()
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && w.Code != http.StatusSeeOther && (!strings.HasSuffix(page, "</html>\n") || strings.Contains(page, "<script")) {
			t.Fatalf("%d: %s", w.Code, page)
		}
		if strings.Contains(strings.Join(w.Header().Values("Set-Cookie"), "\n"), "__Host-sealpost=") || len(c.did()) > 0 {
			t.Fatalf("%d: something was done", w.Code)
		}
	})
}

// FuzzTexts: words that are taken are shown, as text and whole; others are
// refused with ErrTexts.
func FuzzTexts(f *testing.F) {
	f.Add("en:\n  claim_title: \"a {name}\"\n")
	f.Add("zh: {claim_intro: \"<script>\"}")
	f.Add("en: &a {title: x}\nzh: *a")
	f.Fuzz(func(t *testing.T, file string) {
		own, err := portal.ReadTexts([]byte(file))
		if err != nil {
			return
		}
		p, err := portal.New(portal.Options{Claims: newClaims(), URL: "https://keys.bank.example", Texts: own})
		if err != nil {
			t.Fatalf("%q was read, and then: %v", file, err)
		}
		for _, lang := range []string{"en", "zh"} {
			r := httptest.NewRequest("GET", "https://keys.bank.example/claim?lang="+lang, nil)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if page := w.Body.String(); w.Code != 200 || !strings.HasSuffix(page, "</html>\n") || strings.Contains(page, "<script") {
				t.Fatalf("%q: %d %s", file, w.Code, page)
			}
		}
	})
}
