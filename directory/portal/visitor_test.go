package portal_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"sealpost/directory/portal"
)

// serveClaims serves the pages with this engine.
func serveClaims(t testing.TB, c portal.Claims, change func(*portal.Options)) (*httptest.Server, *portal.Portal) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	p := newPortal(t, c, "http://"+s.Listener.Addr().String(), change)
	s.Config.Handler = p
	s.Start()
	t.Cleanup(s.Close)
	return s, p
}

func newPortal(t testing.TB, c portal.Claims, url string, change ...func(*portal.Options)) *portal.Portal {
	t.Helper()
	opts := portal.Options{Claims: c, Name: "Bank of Examples", Logo: []byte(svg), Enrol: "keys@bank.example", URL: url}
	for _, f := range change {
		if f != nil {
			f(&opts)
		}
	}
	p, err := portal.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A visitor is a browser without a window.
type visitor struct {
	t      testing.TB
	url    string
	client *http.Client
	header http.Header // sent with each request
	page   string      // that is shown
	resp   *http.Response
}

func visit(t testing.TB, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, url: url, client: &http.Client{Jar: jar}, header: http.Header{}}
}

func (v *visitor) do(method, target, kind string, body io.Reader) *visitor {
	v.t.Helper()
	req, err := http.NewRequest(method, v.url+target, body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header = v.header.Clone()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if v.resp, err = v.client.Do(req); err != nil {
		v.t.Fatal(err)
	}
	defer v.resp.Body.Close()
	data, err := io.ReadAll(v.resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.page = string(data)
	return v
}

func (v *visitor) get(target string) *visitor { v.t.Helper(); return v.do("GET", target, "", nil) }

// post sends fields, as the form that is shown would: with what is hidden in it.
func (v *visitor) post(target string, fields ...string) *visitor {
	v.t.Helper()
	form := v.hidden(target)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.do("POST", target, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// upload sends a file.
func (v *visitor) upload(target string, content []byte) *visitor {
	v.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, values := range v.hidden(target) {
		if err := w.WriteField(name, values[0]); err != nil {
			v.t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("certificate", "mine.cer")
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		v.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		v.t.Fatal(err)
	}
	return v.do("POST", target, w.FormDataContentType(), &b)
}

var (
	formOf   = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*)".*?</form>`)
	hiddenIn = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	linkOf   = regexp.MustCompile(`href="(/[^"]*)"`)
)

func (v *visitor) hidden(action string) url.Values {
	form := url.Values{}
	for _, f := range formOf.FindAllStringSubmatch(v.page, -1) {
		if f[1] != action {
			continue
		}
		for _, h := range hiddenIn.FindAllStringSubmatch(f[0], -1) {
			form.Set(h[1], h[2])
		}
	}
	return form
}

// expect wants a status, the path on which one is, and words on the page.
func (v *visitor) expect(status int, path string, words ...string) *visitor {
	v.t.Helper()
	if v.resp.StatusCode != status || v.resp.Request.URL.Path != path {
		v.t.Fatalf("%s at %s, not %d at %s:\n%s", v.resp.Status, v.resp.Request.URL.Path, status, path, v.main())
	}
	for _, w := range words {
		if !strings.Contains(v.page, w) {
			v.t.Errorf("%s: no %q in\n%s", path, w, v.main())
		}
	}
	return v
}

func (v *visitor) main() string {
	_, after, _ := strings.Cut(v.page, "<main")
	main, _, _ := strings.Cut(after, "</main>")
	return main
}

// cookie gives one of the browser's cookies.
func (v *visitor) cookie(name string) string {
	u, err := url.Parse(v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (v *visitor) setCookie(name, value string) {
	u, err := url.Parse(v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	v.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value}})
}

// signIn proves with the link's code.
func (v *visitor) signIn() *visitor {
	v.t.Helper()
	return v.get("/claim?t="+token).expect(200, "/claim", "a…a@example.org").post("/claim", "code", code)
}

// port gives the port of the server.
func (v *visitor) port() string {
	u, err := url.Parse(v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		v.t.Fatal(err)
	}
	return port
}
