package reader_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/chromedp"

	"sealpost/directory/portal"
	"sealpost/directory/reader"
	"sealpost/internal/testkit"
)

// A request is one that the browser made, wherever it was to go.
type request struct {
	method, url string
	header      http.Header
	body        []byte
}

// A site is the directory's page, and at the same time the browser's proxy: all
// that leaves the browser, from whatever corner of it, comes by here.
type site struct {
	http.Handler
	url, host string
	mu        sync.Mutex
	requests  []request
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if ofChromium(r.URL.Hostname()) {
		http.Error(w, "there is no way out", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, request{r.Method, r.URL.String(), r.Header, body})
	s.mu.Unlock()
	if r.Host != s.host {
		http.Error(w, "there is no way out", http.StatusForbidden)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.Handler.ServeHTTP(w, r)
}

// ofChromium tells what Chromium does on its own account: looking for news of
// itself, and asking which fields it might fill in.
func ofChromium(host string) bool {
	return strings.HasSuffix(host, ".googleapis.com") || strings.HasSuffix(host, ".google.com")
}

// made gives the requests since the last time.
func (s *site) made() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// module builds what the page runs, from the sources as they are: it can never
// be of yesterday.
var module = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "reader-module")
	if err != nil {
		return "", err
	}
	made = dir
	out, err := exec.Command("go", "run", "./build", "-o", dir).CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return dir, err
})

var made string // where module has built; "" when no test has asked for it

func TestMain(m *testing.M) {
	code := m.Run()
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(code)
}

func newReader(t testing.TB, opts reader.Options) *reader.Reader {
	t.Helper()
	dir, err := module()
	if err != nil {
		t.Fatal(err)
	}
	opts.Name, opts.Style = "Example Bank", portal.Style()
	r, err := reader.NewFrom(opts, os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A visitor is a person before the page.
type visitor struct {
	*testkit.Browser
	t     testing.TB
	site  *site
	saved string // where downloads go
	files string // what can be chosen
}

// visit starts a browser that has no way around the site.
func visit(t testing.TB, h http.Handler, more ...chromedp.ExecAllocatorOption) *visitor {
	t.Helper()
	testkit.Need(t, "chromium")
	s := &site{Handler: h}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url, s.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	b := testkit.Chromium(t, append(more, chromedp.Flag("proxy-server", server.URL), chromedp.Flag("proxy-bypass-list", "<-loopback>"))...)
	v := &visitor{b, t, s, t.TempDir(), t.TempDir()}
	if _, err := chromedp.CallBrowser(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: v.saved}); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v, steps...); err != nil {
		v.t.Fatalf("%v; the console says %q", err, v.Trouble())
	}
}

// see looks at the page as it is now with the eyes of somebody who sees badly,
// and keeps a picture where SEALPOST_TEST_PICTURES says; those of the
// documentation where SEALPOST_SCREENSHOTS does.
func (v *visitor) see(name string) {
	v.t.Helper()
	for _, wrong := range run(v, chromedp.Evaluate[[]string](testkit.Audit)) {
		v.t.Errorf("%s: %s", name, wrong)
	}
	run(v, chromedp.Evaluate[bool](`(document.activeElement.blur(), scrollTo(0, 0), true)`))
	dirs := []string{os.Getenv("SEALPOST_TEST_PICTURES")}
	if name == "read-chosen-desktop" || name == "read-letter-desktop" {
		dirs = append(dirs, os.Getenv("SEALPOST_SCREENSHOTS"))
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), run(v, chromedp.FullScreenshot(100)), 0o644); err != nil {
			v.t.Fatal(err)
		}
	}
}

// text is what an element says.
func (v *visitor) text(id string) string {
	v.t.Helper()
	return run(v, chromedp.Evaluate[string](`document.getElementById("`+id+`").innerText`))
}

func run[T any](v *visitor, a chromedp.Action[T]) T {
	v.t.Helper()
	out, err := chromedp.Run(v, a)
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

func (v *visitor) file(name string, data []byte) string {
	v.t.Helper()
	path := filepath.Join(v.files, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		v.t.Fatal(err)
	}
	return path
}

func css(s string) chromedp.CSS { return chromedp.CSS(s) }

// enter opens the page.
func (v *visitor) enter(lang string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.site.url + "/read?lang=" + lang))
	testkit.Poll(v.t, "the form", func() bool {
		return run(v, chromedp.Evaluate[bool](`!document.getElementById("form").hidden`)) || len(v.Trouble()) > 0
	})
	if got := v.Trouble(); len(got) > 0 {
		v.t.Fatalf("the console says: %q", got)
	}
}

// choose chooses the mail, and the key file if one is asked for.
func (v *visitor) choose(mail, key, passphrase string) {
	v.t.Helper()
	v.do(chromedp.SetUploadFiles(css("#mail"), []string{mail}, chromedp.NodeReady))
	if key != "" {
		v.do(chromedp.SetUploadFiles(css("#key"), []string{key}), chromedp.SetValue(css("#passphrase"), passphrase))
	}
}

// open presses the button, and waits for the letter or for the trouble.
func (v *visitor) open() (trouble string) {
	v.t.Helper()
	run(v, chromedp.Evaluate[bool](`document.getElementById("trouble").hidden = true`))
	v.do(chromedp.Click(css("#open")))
	testkit.Poll(v.t, "the letter, or why not", func() bool {
		return run(v, chromedp.Evaluate[bool](`!document.getElementById("letter").hidden || !document.getElementById("trouble").hidden`))
	})
	if run(v, chromedp.Evaluate[bool](`document.getElementById("trouble").hidden`)) {
		return ""
	}
	return v.text("trouble")
}

// shown waits until the frame shows the HTML.
func (v *visitor) shown() {
	v.t.Helper()
	testkit.Poll(v.t, "the frame", func() bool {
		return run(v, chromedp.Evaluate[bool](`document.querySelector("#bodies iframe[data-shown]") !== null`))
	})
}

// inOneProcess lets the test look into the frames.
var inOneProcess = chromedp.Flag("disable-features", "IsolateSandboxedIframes,site-per-process,Translate,BlinkGenPropertyTrees")

// save saves the n-th attachment, and gives its bytes.
func (v *visitor) save(n int, name string) []byte {
	v.t.Helper()
	v.do(chromedp.Click(css("#list li:nth-child(" + string(rune('0'+n)) + ") a")))
	var data []byte
	testkit.Poll(v.t, "the download "+name, func() bool {
		var err error
		data, err = os.ReadFile(filepath.Join(v.saved, name))
		return err == nil && len(data) > 0
	})
	return data
}

// shows waits until the frame shows these words.
func (v *visitor) shows(words ...string) {
	v.t.Helper()
	testkit.Poll(v.t, fmt.Sprintf("a frame with %q", words), func() bool {
		seen := v.inFrames()
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(seen, w) })
	})
}

// inFrames is what a person sees in the frames.
func (v *visitor) inFrames() string {
	v.t.Helper()
	seen, err := chromedp.Call(v, domsnapshot.CaptureSnapshot, domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{}})
	if err != nil {
		v.t.Fatal(err)
	}
	var b strings.Builder
	for _, doc := range seen.Documents[1:] {
		for _, i := range doc.Layout.Text {
			if i >= 0 {
				b.WriteString(seen.Strings[i] + "\n")
			}
		}
	}
	return b.String()
}
