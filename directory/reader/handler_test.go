package reader_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"sealpost/directory/portal"
	"sealpost/directory/reader"
)

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fake(t testing.TB, opts reader.Options) *reader.Reader {
	t.Helper()
	r, err := reader.NewFrom(opts, fstest.MapFS{"reader.wasm.gz": {Data: gzipped(t, "the module")}, "wasm_exec.js": {Data: []byte("starter")}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(r http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// Nothing may run, load or be framed beyond what the page needs.
func TestPolicies(t *testing.T) {
	r := fake(t, reader.Options{})
	page := get(r, "/read")
	base := regexp.MustCompile(`/read/[0-9a-f]{16}/`).FindString(page.Body.String())
	if base == "" {
		t.Fatal("the page names no files")
	}
	for path, want := range map[string][]string{
		"/read":                {"default-src 'none'", "connect-src 'none'", "script-src 'self';", "form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"},
		"/read/frame":          {"sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox;", "default-src 'none'", "img-src data:", "script-src 'sha256-", "form-action 'none'", "frame-ancestors 'self'"},
		base + "worker.js":     {"default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self'"},
		base + "read.js":       {"default-src 'none'"},
		base + "wasm_exec.js":  {"default-src 'none'"},
		base + "reader.wasm":   {"default-src 'none'"},
		"/read?lang=zh":        {"default-src 'none'", "connect-src 'none'"},
		base + "../frame":      nil,
		"/read/":               nil,
		"/read/0000/worker.js": nil,
		base:                   nil,
	} {
		w := get(r, path)
		policy := w.Header().Get("Content-Security-Policy")
		if want == nil {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
			continue
		}
		for _, part := range want {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: %q lacks %q", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe-inline") && path != "/read/frame" || strings.Contains(policy, "'unsafe-eval'") || strings.Contains(policy, "*") {
			t.Errorf("%s: %q", path, policy)
		}
		for name, value := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin", "X-Dns-Prefetch-Control": "off"} {
			if w.Header().Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, w.Header().Get(name))
			}
		}
		if cached := strings.Contains(w.Header().Get("Cache-Control"), "immutable"); cached != strings.HasPrefix(path, base) {
			t.Errorf("%s: Cache-Control is %q", path, w.Header().Get("Cache-Control"))
		}
	}
	if strings.Contains(page.Body.String(), " on") && regexp.MustCompile(`<[^>]+ on[a-z]+=`).MatchString(page.Body.String()) {
		t.Error("the page has a script within an element")
	}
}

func TestModuleIsServedPacked(t *testing.T) {
	r := fake(t, reader.Options{})
	path := regexp.MustCompile(`/read/[0-9a-f]{16}/`).FindString(get(r, "/read").Body.String()) + "reader.wasm"
	w := get(r, path, "Accept-Encoding", "br, gzip")
	unpacked, err := gzip.NewReader(w.Body)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Content-Type") != "application/wasm" {
		t.Fatalf("%v: %v", w.Header(), err)
	}
	if data, err := io.ReadAll(unpacked); err != nil || string(data) != "the module" {
		t.Errorf("%q, %v", data, err)
	}
	if w := get(r, path); w.Body.String() != "the module" || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("to one that knows no gzip: %v %q", w.Header(), w.Body)
	}
	req := httptest.NewRequest("POST", "/read", strings.NewReader("x"))
	refused := httptest.NewRecorder()
	r.ServeHTTP(refused, req)
	if refused.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", refused.Code)
	}
}

// A program without the module says so, and does not pretend.
func TestWithoutTheModule(t *testing.T) {
	r, err := reader.NewFrom(reader.Options{}, fstest.MapFS{"README.md": {Data: []byte("x")}})
	if err != nil || r.Built() {
		t.Fatalf("built: %v", err)
	}
	w := get(r, "/read")
	if body := w.Body.String(); w.Code != http.StatusServiceUnavailable || !strings.Contains(body, "not available on this server") || strings.Contains(body, "<script") {
		t.Errorf("%d: %s", w.Code, body)
	}
	if w := get(r, "/read?lang=zh"); !strings.Contains(w.Body.String(), "不提供") {
		t.Errorf("%s", w.Body)
	}
}

func TestPageSaysWhatItKnows(t *testing.T) {
	r := fake(t, reader.Options{
		Name: `Bank & "Sons"`, Logo: "/logo-1.svg", Style: "body{color:red}",
		Links: []portal.Link{{Label: "Imprint", Words: map[string]string{"zh": "关于我们"}, URL: "https://bank.example/imprint"}},
		Session: func(r *http.Request) (reader.Session, bool) {
			return reader.Session{Address: "<anna>@example.org", CSRF: `"token"`}, r.Header.Get("Cookie") == "s=1"
		},
	})
	with, without := get(r, "/read", "Cookie", "s=1").Body.String(), get(r, "/read", "Accept-Language", "zh-CN,en;q=0.5").Body.String()
	for _, want := range []string{"Bank &amp; &#34;Sons&#34;", `src="/logo-1.svg"`, "&lt;anna&gt;@example.org", `data-csrf="&#34;token&#34;"`, `data-call="/claim/key"`, ">Imprint<", "body{color:red}"} {
		if !strings.Contains(with, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(without, "data-csrf") || !strings.Contains(without, `lang="zh"`) || !strings.Contains(without, "关于我们") {
		t.Errorf("without a session, in Chinese: %s", without)
	}
}

// Each language says everything, and the page asks for nothing else.
func TestWordsAreComplete(t *testing.T) {
	for _, lost := range reader.MissingWords() {
		t.Error(lost)
	}
}
