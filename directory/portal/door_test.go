package portal_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sealpost/directory/portal"
)

// Host-header attack: under another name there is nothing, and no link or cookie
// says where else to go.
func TestOtherHosts(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.signIn().expect(200, "/claim/choose")
	c.did()
	for _, host := range []string{"evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:" + v.port(), "127.0.0.1:" + v.port() + ".evil.example"} {
		v.header.Set("Host", host)
		for _, path := range []string{"/claim", "/claim?t=" + token, "/claim/choose", "/claim/take", "/claim/again"} {
			v.get(path).expect(421, strings.Split(path, "?")[0])
			if strings.Contains(v.page, "evil") || strings.Contains(v.page, anna) || v.resp.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s: %s", host, path, v.main())
			}
		}
		v.post("/claim/again", "address", anna).expect(421, "/claim/again")
		v.post("/claim/end").expect(421, "/claim/end")
	}
	if did := c.did(); len(did) > 0 {
		t.Errorf("done under a wrong name: %v", did)
	}
	// A forwarded name is not believed either: nothing on the page depends on it.
	v.header = http.Header{"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}}
	if v.get("/claim/choose").expect(200, "/claim/choose"); strings.Contains(v.page, "evil") {
		t.Error("the page believes X-Forwarded-Host")
	}
}

// CSRF: what another site has a browser send does nothing, whether the browser
// says where it comes from, or is too old for that.
func TestFormsOfOtherSites(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.signIn().expect(200, "/claim/choose")
	forms := map[string][]string{
		"/claim/take": {"passphrase", "correct horse battery", "again", "correct horse battery"}, "/claim/delete": {"when", "now", "sure", "yes"},
		"/claim/end": nil, "/claim/again": {"address", anna}, "/claim": {"t", token, "code", code}, "/claim/key": {"public", strings.Repeat("A", 43)},
		"/claim/own": nil, "/claim/second": {"answer", "4711"},
	}
	c.did()
	for path, fields := range forms {
		for _, from := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Sec-Fetch-Site": {"none"}},
			{"Origin": {"https://evil.example"}}, {"Origin": {"https://" + v.port()}}, {"Origin": {"null"}, "Sec-Fetch-Site": {"cross-site"}},
		} {
			v.header, v.page = from, v.get("/claim/take").page // even with the right token
			form := append(slices.Clone(fields), "csrf", v.hidden("/claim/take").Get("csrf"))
			v.post(path, form...).expect(403, path, "from another site")
		}
		v.header = http.Header{}
		for _, csrf := range []string{"", "made-up", strings.Repeat("A", 26)} {
			v.page = ""
			v.post(path, append(slices.Clone(fields), "csrf", csrf)...).expect(403, path)
		}
	}
	v.page = ""
	v.upload("/claim/own", []byte("-----BEGIN CERTIFICATE-----")).expect(403, "/claim/own")
	if did := c.did(); len(did) > 0 {
		t.Errorf("other sites did %v", did)
	}
	v.header = http.Header{"Origin": {s.URL}, "Sec-Fetch-Site": {"same-origin"}}
	v.get("/claim/choose").post("/claim/end").expect(200, "/claim/ended")
}

// The token of one browser is worth nothing in another: nobody is led into the
// session of somebody else by a form that was made for him.
func TestFormOfAnotherBrowser(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	attacker, victim := visit(t, s.URL), visit(t, s.URL)
	form := attacker.get("/claim?t=" + token).hidden("/claim")
	victim.post("/claim", "t", token, "code", code, "csrf", form.Get("csrf")).expect(403, "/claim", "open for too long")
	if did := c.did(); len(did) > 0 || victim.cookie("sealpost") != "" {
		t.Errorf("%v", did)
	}
	victim.post("/claim", "code", code).expect(200, "/claim/choose") // the form shown again is his own
}

// Session fixation: a cookie that was planted does not become a session, and
// with each proof the secret is another one.
func TestFixation(t *testing.T) {
	c := newClaims()
	c.second = true
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.setCookie("sealpost", "planted")
	v.setCookie("sealpost-form", "planted-too")
	v.signIn().expect(200, "/claim/second")
	first := v.cookie("sealpost")
	v.post("/claim/second", "answer", "4711").expect(200, "/claim/choose")
	second := v.cookie("sealpost")
	if first == "planted" || second == first || second == "" {
		t.Errorf("secrets: %q, %q", first, second)
	}
	w := visit(t, s.URL)
	for _, old := range []string{"planted", first} {
		w.setCookie("sealpost", old)
		w.get("/claim/choose").expect(200, "/claim")
	}
	// Two cookies of one name: one of them is not ours, and none is believed.
	w.client.Jar = nil
	w.header.Set("Cookie", "sealpost="+second+"; sealpost=planted")
	w.get("/claim/choose").expect(200, "/claim")
	w.header.Set("Cookie", "sealpost="+second)
	w.get("/claim/choose").expect(200, "/claim/choose")
}

// What every answer has, and what the cookies are.
func TestHeaders(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, func(o *portal.Options) { o.URL = "https://keys.bank.example" })
	v := visit(t, s.URL)
	v.header.Set("Host", "KEYS.bank.example:443")
	for _, path := range []string{"/claim", "/claim/again", "/claim/sent", "/claim/take/steps", "/claim/take/steps/ios", "/claim/ended", "/claim/nowhere", "/claim/key"} {
		v.get(path)
		h := v.resp.Header
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "script") || strings.Contains(csp, "unsafe") ||
			h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Strict-Transport-Security") == "" || strings.Contains(v.page, "<script") || strings.Contains(v.page, "style=") {
			t.Errorf("%s: %v", path, h)
		}
	}
	v.get("/claim").expect(200, "/claim", "keys.bank.example")
	if got := v.resp.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "__Host-sealpost-form=") || !strings.HasSuffix(got, "; Path=/; HttpOnly; Secure; SameSite=Strict") {
		t.Errorf("cookie: %s", got)
	}
	for method, paths := range map[string][]string{"POST": {"/claim/sent", "/claim/choose", "/claim/take/steps", "/claim/take/steps/ios", "/"}, "DELETE": {"/claim", "/claim/take"}, "GET": {"/claim/end", "/claim/key"}} {
		for _, path := range paths {
			v.do(method, path, "", nil).expect(405, path)
			if v.resp.Header.Get("Allow") == "" && path != "/" {
				t.Errorf("%s %s: no Allow", method, path)
			}
		}
	}
}

func TestURLs(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://keys.bank.example": true, "https://keys.bank.example:8443/": true, "http://127.0.0.1:8080": true, "http://[::1]:80": true, "http://localhost": true,
		"": false, "http://keys.bank.example": false, "https://keys.bank.example/keys": false, "https://a:b@keys.bank.example": false, "ftp://keys": false, "https://k?x": false,
	} {
		if _, err := portal.New(portal.Options{Claims: newClaims(), URL: url}); (err == nil) != ok || !ok && !errors.Is(err, portal.ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
}
