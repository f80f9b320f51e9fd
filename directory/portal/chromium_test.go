package portal_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sealpost/directory/portal"
	"sealpost/internal/testkit"
)

// audit lists what stands in the way of somebody with a screen reader or weak eyes.
const audit = testkit.Audit

// The page in a real browser: found and not found, on a wide and a narrow
// screen, by day and by night, with the keyboard, in both languages.
func TestInChromium(t *testing.T) {
	b := testkit.Chromium(t)
	s, anna := start(t, nil)
	run := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(b, steps...); err != nil {
			t.Fatal(err)
		}
	}
	inspect := func(name string) {
		t.Helper()
		wrong, err := chromedp.Run(b, chromedp.Evaluate[[]string](audit))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range wrong {
			t.Errorf("%s: %s", name, w)
		}
		picture(t, b, name)
	}
	text := func(selector string) string {
		t.Helper()
		out, err := chromedp.Run(b, chromedp.Text(chromedp.CSS(selector)))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		for device, width := range map[string]int64{"desktop": 1200, "phone": 320} {
			name := scheme + "-" + device
			run(chromedp.EmulateViewport(width, 900), chromedp.Navigate(s.URL), chromedp.WaitVisible(chromedp.CSS("#email")))
			inspect(name + "-empty")
			run(chromedp.SendKeys(chromedp.CSS("#email"), "anna@example.org\r"), chromedp.WaitVisible(chromedp.CSS("dl")))
			if got := text("article h3"); got != "Anna Example" {
				t.Errorf("%s: %q", name, got)
			}
			inspect(name + "-found")
			run(chromedp.SetValue(chromedp.CSS("#email"), "nobody@example.org"), chromedp.Click(chromedp.CSS("button")), chromedp.WaitVisible(chromedp.CSS(".empty")))
			inspect(name + "-unknown")
			run(chromedp.Navigate(s.URL+"/?email=anna@example.org&lang=zh"), chromedp.WaitVisible(chromedp.CSS("dl")))
			inspect(name + "-chinese")
		}
	}
	if got := b.Trouble(); len(got) > 0 {
		t.Errorf("the console says: %q", got)
	}
	run(chromedp.Navigate(s.URL), chromedp.SendKeys(chromedp.CSS("#email"), "anna\r"), chromedp.WaitVisible(chromedp.CSS("#trouble")))
	inspect("wrong")
	if got := downloaded(t, b, s.URL); !bytes.Equal(got, anna.Cert.Raw) {
		t.Errorf("%d bytes were saved, and they are not the certificate", len(got))
	}
	if strayed := b.Strayed(s.URL); len(strayed) > 0 {
		t.Errorf("the page went elsewhere: %q", strayed)
	}
}

// downloaded saves the first certificate as a person does, by the link.
func downloaded(t *testing.T, b *testkit.Browser, url string) []byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := chromedp.CallBrowser(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(b, chromedp.Navigate(url+"/?email=anna@example.org"), chromedp.Click(chromedp.CSS(".actions .button"))); err != nil {
		t.Fatal(err)
	}
	var saved []byte
	testkit.Poll(t, "the download", func() bool {
		names, err := filepath.Glob(filepath.Join(dir, "certificate-*.cer"))
		if err != nil || len(names) != 1 {
			return false
		}
		saved, err = os.ReadFile(names[0])
		return err == nil && len(saved) > 0
	})
	return saved
}

// picture keeps what was seen where SEALPOST_TEST_PICTURES says, to look at.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("SEALPOST_TEST_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Without a logo the page has no icon, and the browser nothing to complain of.
func TestWithoutLogoInChromium(t *testing.T) {
	b := testkit.Chromium(t)
	s, _ := start(t, func(o *portal.Options) { o.Logo = nil })
	if err := chromedp.Do(b, chromedp.Navigate(s.URL), chromedp.WaitVisible(chromedp.CSS("footer"))); err != nil {
		t.Fatal(err)
	}
	if got := b.Trouble(); len(got) > 0 {
		t.Errorf("the console says: %q", got)
	}
	if strayed := b.Strayed(s.URL); len(strayed) > 0 {
		t.Errorf("the page went elsewhere: %q", strayed)
	}
}
