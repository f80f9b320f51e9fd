package portal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"sealpost/directory/portal"
	"sealpost/internal/testkit"
)

// A reader is somebody in front of a real browser, at the name that the pages
// have in the world.
type reader struct {
	*testkit.Browser
	t *testing.T
}

const bank = "https://keys.bank.example"

// openBank has a browser meet these pages over TLS.
func openBank(t *testing.T, c portal.Claims) reader {
	t.Helper()
	p := newPortal(t, c, bank, func(o *portal.Options) {
		o.Links = []portal.Link{{Label: "Imprint", URL: "https://bank.example/imprint"}, {Label: "Privacy", URL: "https://bank.example/privacy"}}
	})
	p.Mount(http.NotFoundHandler())
	s := httptest.NewTLSServer(p)
	t.Cleanup(s.Close)
	return reader{testkit.Chromium(t, chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP keys.bank.example "+s.Listener.Addr().String())), t}
}

func (r reader) run(steps ...chromedp.Action[chromedp.Void]) {
	r.t.Helper()
	if err := chromedp.Do(r.Browser, steps...); err != nil {
		r.t.Fatal(err)
	}
}

// at waits until the page has this path.
func (r reader) at(path string) {
	r.t.Helper()
	testkit.Poll(r.t, "the page "+path, func() bool {
		where, err := chromedp.Run(r.Browser, chromedp.Location())
		u, bad := url.Parse(where)
		return err == nil && bad == nil && u.Path == path
	})
	r.run(chromedp.WaitVisible(chromedp.CSS("footer")))
}

// press clicks what leads on from the main part, a button or a link.
func (r reader) press(selector, path string) {
	r.t.Helper()
	r.run(chromedp.Click(chromedp.CSS("main " + selector)))
	r.at(path)
}

// look examines the page as audit does, and by what a screen reader is told of
// it; and makes a picture.
func (r reader) look(name string) {
	r.t.Helper()
	wrong, err := chromedp.Run(r.Browser, chromedp.Evaluate[[]string](audit))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, w := range wrong {
		r.t.Errorf("%s: %s", name, w)
	}
	r.listen(name)
	picture(r.t, r.Browser, name)
}

// listen wants landmarks, and a name for everything that can be used.
func (r reader) listen(name string) {
	r.t.Helper()
	tree, err := chromedp.Call(r.Browser, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		r.t.Fatal(err)
	}
	word := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	seen := map[string]int{}
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		role := word(n.Role)
		seen[role]++
		switch role {
		case "textbox", "button", "link", "radio", "checkbox", "heading", "navigation", "complementary":
			if strings.TrimSpace(word(n.Name)) == "" {
				r.t.Errorf("%s: a %s has no name", name, role)
			}
		}
	}
	for _, role := range []string{"banner", "main", "contentinfo", "heading"} {
		if seen[role] == 0 {
			r.t.Errorf("%s: no %s for a screen reader: %v", name, role, seen)
		}
	}
}

// The whole way in a real browser, over TLS with the cookies of the real world:
// on a wide and a narrow screen, by day and by night, in both languages.
func TestClaimInChromium(t *testing.T) {
	for _, how := range []struct {
		name, scheme, lang string
		width              int64
	}{{"desktop", "light", "en", 1100}, {"phone", "light", "en", 390}, {"night", "dark", "en", 390}, {"phone-chinese", "light", "zh", 320}, {"night-chinese", "dark", "zh", 1100}} {
		t.Run(how.name, func(t *testing.T) {
			c := newClaims()
			c.second = true
			r := openBank(t, c)
			if _, err := chromedp.Call(r, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: how.scheme}}}); err != nil {
				t.Fatal(err)
			}
			r.run(chromedp.EmulateViewport(how.width, 800))
			r.walk(c, how.name+"-", how.lang, how.width)
			if got := r.Strayed(bank); len(got) > 0 {
				t.Errorf("the pages went elsewhere: %q", got)
			}
			for _, said := range r.Trouble() {
				if !strings.Contains(said, "status of 4") { // a form that is wrong is answered so
					t.Errorf("the console says: %s", said)
				}
			}
		})
	}
}

// shots are the pages that docs/portal.md shows.
var shots = map[string]bool{
	"desktop-code": true, "desktop-choose": true, "phone-take": true, "phone-steps-ios": true, "desktop-private": true, "desktop-delete": true,
	"phone-chinese-code": true, "night-choose": true,
}

func (r reader) walk(c *claims, name, lang string, width int64) {
	t := r.t
	t.Helper()
	keep := func(what string) {
		r.look(name + what)
		if shots[name+what] {
			screenshot(t, r.Browser, "claim-"+name+what, width)
		}
	}
	r.run(chromedp.Navigate(bank + "/claim?t=" + token + "&lang=" + lang))
	r.at("/claim")
	keep("code")
	r.press("form.card button", "/claim")
	r.run(chromedp.WaitVisible(chromedp.CSS("#trouble")))
	r.look(name + "code-empty")
	r.run(chromedp.SendKeys(chromedp.CSS("#code"), code+"\r"))
	r.at("/claim/second")
	keep("second")
	r.run(chromedp.SendKeys(chromedp.CSS("#answer"), "4711\r"))
	r.at("/claim/choose")
	keep("choose")
	r.press(`a[href^="/claim/take"]`, "/claim/take")
	keep("take")
	r.run(chromedp.SendKeys(chromedp.CSS("#passphrase"), "short"), chromedp.SendKeys(chromedp.CSS("#again"), "short\r"), chromedp.WaitVisible(chromedp.CSS("#trouble")))
	r.look(name + "take-short")
	if got := r.save(); string(got) != "the file, locked with correct horse battery" {
		t.Errorf("saved: %q", got)
	}
	r.press(`.tiles a[href*="ios"]`, "/claim/take/steps/ios")
	keep("steps-ios")
	for _, p := range []string{"", "/outlook", "/apple", "/thunderbird"} {
		r.run(chromedp.Navigate(bank + "/claim/take/steps" + p + "?lang=" + lang))
		r.look(name + "steps" + strings.ReplaceAll(p, "/", "-"))
	}
	r.run(chromedp.Navigate(bank + "/claim/own?lang=" + lang))
	r.look(name + "own")
	mistake := filepath.Join(t.TempDir(), "mine.p12")
	if err := os.WriteFile(mistake, []byte("-----BEGIN PRIVATE KEY-----"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(chromedp.SetUploadFiles(chromedp.CSS("#certificate"), []string{mistake}), chromedp.Click(chromedp.CSS("main form.card button")), chromedp.WaitVisible(chromedp.CSS("#trouble")))
	keep("private")
	r.run(chromedp.Navigate(bank + "/claim/delete?lang=" + lang))
	keep("delete")
	r.run(chromedp.Click(chromedp.CSS(`input[value="now"]`)), chromedp.Click(chromedp.CSS("#sure")), chromedp.Click(chromedp.CSS("button.danger")))
	r.at("/claim/choose")
	r.run(chromedp.WaitVisible(chromedp.CSS("#done")))
	r.look(name + "deleted")
	r.run(chromedp.Click(chromedp.CSS("header button")))
	r.at("/claim/ended")
	r.look(name + "ended")
	r.press(`a[href^="/claim/again"]`, "/claim/again")
	r.look(name + "again")
	r.run(chromedp.SendKeys(chromedp.CSS("#address"), anna+"\r"))
	r.at("/claim/sent")
	r.look(name + "sent")
	if !c.deleted.Before(time.Now()) {
		t.Errorf("deleted at %v", c.deleted)
	}
}

// save takes the key home as a file.
func (r reader) save() []byte {
	r.t.Helper()
	dir := r.t.TempDir()
	if _, err := chromedp.CallBrowser(r.Browser, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}); err != nil {
		r.t.Fatal(err)
	}
	r.run(chromedp.SendKeys(chromedp.CSS("#passphrase"), "correct horse battery"), chromedp.SendKeys(chromedp.CSS("#again"), "correct horse battery"),
		chromedp.Click(chromedp.CSS("main form.card button")))
	var saved []byte
	testkit.Poll(r.t, "the download", func() bool {
		names, err := filepath.Glob(filepath.Join(dir, "key-*.p12"))
		if err != nil || len(names) != 1 {
			return false
		}
		saved, err = os.ReadFile(names[0])
		return err == nil && len(saved) > 0
	})
	return saved
}

// The cookies as the browser keeps them, and another site that has it send our
// forms: in the real browser nothing comes of it.
func TestOtherSiteInChromium(t *testing.T) {
	c := newClaims()
	r := openBank(t, c)
	r.run(chromedp.Navigate(bank + "/claim?t=" + token))
	r.run(chromedp.SendKeys(chromedp.CSS("#code"), code+"\r"))
	r.at("/claim/choose")
	kept, err := chromedp.Call(r, network.GetCookies, network.GetCookiesParams{URLs: []string{bank + "/"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.Cookies) != 2 {
		t.Errorf("%d cookies", len(kept.Cookies))
	}
	for _, k := range kept.Cookies {
		if !strings.HasPrefix(k.Name, "__Host-sealpost") || !k.Secure || !k.HTTPOnly || k.SameSite != network.CookieSameSiteStrict || !k.Session {
			t.Errorf("cookie: %+v", k)
		}
	}
	c.did()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<form method="post" action="` + bank + `/claim/delete"><input name="when" value="now"><input name="sure" value="yes"><button>Win</button></form>`))
	}))
	t.Cleanup(evil.Close)
	r.run(chromedp.Navigate(evil.URL), chromedp.Click(chromedp.CSS("button")))
	r.at("/claim/delete")
	page, err := chromedp.Run(r.Browser, chromedp.Text(chromedp.CSS("#trouble")))
	if err != nil || !strings.Contains(page, "another site") {
		t.Errorf("%q, %v", page, err)
	}
	if did := c.did(); len(did) > 0 {
		t.Errorf("another site did %v", did)
	}
}
