package reader_test

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"sealpost/directory/keybox"
	"sealpost/directory/reader"
	"sealpost/internal/testkit"
	"sealpost/smime/cms"
)

// withKey is the page with a claimed session, and the call that gives its key.
func withKey(t *testing.T, id *testkit.Identity) http.Handler {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	page := newReader(t, reader.Options{Session: func(r *http.Request) (reader.Session, bool) {
		return reader.Session{Address: "anna@example.org", CSRF: "a&b=c"}, true
	}})
	gone := false
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != keybox.Path {
			page.ServeHTTP(w, r)
			return
		}
		public, err := keybox.ParsePublic(r.PostFormValue(keybox.FieldPublic))
		if r.Method != http.MethodPost || r.PostFormValue(keybox.FieldCSRF) != "a&b=c" || err != nil || gone {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		gone = true // the second time, the session is over
		box, err := keybox.Seal(public, key, id.Cert.Raw)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", keybox.Type)
		_, _ = w.Write(box)
	})
}

// With the key of a claimed session: one call, which carries a public key and
// nothing of the mail, and nothing to type.
func TestReadsWithTheKeptKey(t *testing.T) {
	canary := testkit.NewCanary(t)
	id := issue(t, "rsa2048")
	v := visit(t, withKey(t, id), inOneProcess)
	v.enter("en")
	mail := v.file("mail.eml", sealed(t, statement(canary), id, cms.AES256CBC, cms.KeyOptions{}))
	v.choose(mail, "", "")
	v.see("read-kept")
	if trouble := v.open(); trouble != "" {
		t.Fatal(trouble)
	}
	v.shown()
	v.shows(string(canary))
	posts := 0
	for _, r := range v.site.made() {
		canary.Absent(t, r.url, append([]byte(r.url), r.body...))
		if r.method == http.MethodGet {
			continue
		}
		posts++
		form, err := url.ParseQuery(string(r.body))
		if err != nil || r.url != v.site.url+keybox.Path || len(form) != 2 || form.Get("csrf") == "" || len(form.Get("public")) != 43 {
			t.Errorf("%s %s: %q", r.method, r.url, r.body)
		}
	}
	if posts != 1 {
		t.Errorf("%d calls for the key", posts)
	}
	// The key is remembered for the next mail, and forgotten when she says so.
	v.do(chromedp.Click(css("#another")))
	v.choose(mail, "", "")
	if trouble := v.open(); trouble != "" {
		t.Fatal(trouble)
	}
	v.do(chromedp.Click(css("#another")), chromedp.Click(css("#forget")))
	v.choose(mail, "", "")
	if trouble := v.open(); !strings.Contains(trouble, "session is over") {
		t.Errorf("after the session: %q", trouble)
	}
	v.do(chromedp.Click(css("#which-own")))
	v.choose(mail, v.file("key.p12", keyFile(t, id, modern)), passphrase)
	if trouble := v.open(); trouble != "" {
		t.Errorf("with her own key file: %s", trouble)
	}
}

func TestTroubleInWords(t *testing.T) {
	id, other := issue(t, "rsa2048"), issue(t, "rsa2048")
	good := sealed(t, statement("x"), id, cms.AES256GCM, cms.KeyOptions{})
	damaged := bytes.Clone(good)
	copy(damaged[len(damaged)/2:], "AAAAAAAA")
	v := visit(t, newReader(t, reader.Options{}))
	huge := v.file("huge.eml", nil)
	if err := os.Truncate(huge, 200<<20); err != nil {
		t.Fatal(err)
	}
	mail, key := v.file("mail.eml", good), v.file("key.p12", keyFile(t, id, modern))
	ber := keyFile(t, id, modern)
	ber[1] = 0x80
	for i, c := range []struct{ mail, key, passphrase, en, zh string }{
		{"", key, passphrase, "choose the mail", "请先选择邮件"},
		{mail, "", "", "choose your key file", "请选择您的密钥文件"},
		{mail, key, "wrong", "passphrase does not open", "密码无法打开"},
		{mail, mail, "", "no key file", "这不是密钥文件"},
		{mail, v.file("ber.p12", ber), passphrase, "Thunderbird", "Thunderbird"},
		{mail, v.file("other.p12", keyFile(t, other, modern)), passphrase, "another key", "另一个密钥"},
		{v.file("picture.png", logo()), key, passphrase, "neither a mail", "既不是邮件"},
		{v.file("item.msg", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....")), key, passphrase, "Outlook", "Outlook"},
		{v.file("plain.eml", statement("x")), key, passphrase, "not encrypted", "没有加密"},
		{v.file("damaged.eml", damaged), key, passphrase, "damaged", "损坏"},
		{huge, key, passphrase, "larger than", "过大"},
	} {
		for _, lang := range []string{"en", "zh"} {
			v.enter(lang)
			if c.mail != "" {
				v.choose(c.mail, "", "")
			}
			if c.key != "" {
				v.do(chromedp.SetUploadFiles(css("#key"), []string{c.key}))
			}
			if c.passphrase != "" {
				v.do(chromedp.SetValue(css("#passphrase"), c.passphrase))
			}
			want := map[string]string{"en": c.en, "zh": c.zh}[lang]
			if got := v.open(); !strings.Contains(got, want) {
				t.Errorf("%d: %q, want %q", i, got, want)
			}
			if i == 2 {
				v.see("read-trouble-" + lang)
			}
		}
	}
	onlyItsOwn(t, v.site.made(), v.site.url)
}

// Dropped, as one does with a mouse.
func TestDropped(t *testing.T) {
	id := issue(t, "p256")
	v := visit(t, newReader(t, reader.Options{}))
	v.enter("en")
	file := v.file("dropped.eml", sealed(t, statement("x"), id, cms.AES128CBC, cms.KeyOptions{}))
	for _, kind := range []input.DispatchDragEventType{input.DispatchDragEventTypeDragEnter, input.DispatchDragEventTypeDragOver, input.DispatchDragEventTypeDrop} {
		if _, err := chromedp.Call(v, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: 200, Y: 300,
			Data: &input.DragData{Items: []*input.DragDataItem{}, Files: []string{file}, DragOperationsMask: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Poll(t, "the dropped file", func() bool { return strings.Contains(v.text("mail-name"), "dropped.eml") })
	v.do(chromedp.SetUploadFiles(css("#key"), []string{v.file("key.p12", keyFile(t, id, modern))}), chromedp.SetValue(css("#passphrase"), passphrase))
	if trouble := v.open(); trouble != "" {
		t.Error(trouble)
	}
}

// A mail of 100 MB opens, and its attachment comes out byte for byte.
func TestMailOf100MB(t *testing.T) {
	id := issue(t, "rsa2048")
	attachment := bytes.Repeat(pdf("x"), 180) // 54 MB, twice in base64
	data := sealed(t, mail("<p>large</p>", "large", "Large.pdf", attachment), id, cms.AES256CBC, cms.KeyOptions{})
	if len(data) < 100_000_000 {
		t.Fatalf("only %d bytes", len(data))
	}
	v := visit(t, newReader(t, reader.Options{}))
	v.enter("en")
	v.choose(v.file("large.eml", data), v.file("key.p12", keyFile(t, id, modern)), passphrase)
	if trouble := v.open(); trouble != "" {
		t.Fatal(trouble)
	}
	if got := v.text("list"); !strings.Contains(got, "Large.pdf") || !strings.Contains(got, "MB") {
		t.Errorf("the attachments: %q", got)
	}
	v.do(chromedp.Click(css("#list li:last-child a"))) // the first is the picture
	testkit.Poll(t, "the download", func() bool {
		info, err := os.Stat(filepath.Join(v.saved, "Large.pdf"))
		return err == nil && info.Size() == int64(len(attachment))
	})
	if got, err := os.ReadFile(filepath.Join(v.saved, "Large.pdf")); err != nil || !bytes.Equal(got, attachment) {
		t.Errorf("%d bytes came out, and they are others: %v", len(got), err)
	}
}

// When the module ends, or is none, the page says so and does not wait for ever.
func TestModuleThatFails(t *testing.T) {
	id := issue(t, "p256")
	data, key := sealed(t, statement("x"), id, cms.AES128CBC, cms.KeyOptions{}), keyFile(t, id, modern)
	for name, c := range map[string]struct{ module, starter, want string }{
		"out of memory": {"\x00asm\x01\x00\x00\x00", "class Go { importObject = {}; run () { return Promise.resolve() } }", "enough memory"},
		"no module":     {"garbage", "class Go { importObject = {} }", "could not load"},
	} {
		r, err := reader.NewFrom(reader.Options{}, fstest.MapFS{
			"reader.wasm.gz": {Data: gzipped(t, c.module)}, "wasm_exec.js": {Data: []byte(c.starter)},
		})
		if err != nil {
			t.Fatal(err)
		}
		v := visit(t, r)
		v.enter("en")
		v.choose(v.file("mail.eml", data), v.file("key.p12", key), passphrase)
		if got := v.open(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The pages as they are in the documentation, by day and by night, wide and narrow.
func TestLooks(t *testing.T) {
	id := issue(t, "rsa2048")
	v := visit(t, newReader(t, reader.Options{}), inOneProcess)
	mail, key := v.file("Statement.eml", sealed(t, statement("Example Bank, 1 Bridge Street"), id, cms.AES256CBC, cms.KeyOptions{})), v.file("anna.p12", keyFile(t, id, modern))
	for _, c := range []struct {
		name, scheme, lang string
		width              int64
	}{{"desktop", "light", "en", 1100}, {"phone", "light", "en", 390}, {"night", "dark", "zh", 1100}, {"narrow", "dark", "zh", 320}} {
		if _, err := chromedp.Call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}}}); err != nil {
			t.Fatal(err)
		}
		v.do(chromedp.EmulateViewport(c.width, 1000))
		v.enter(c.lang)
		v.see("read-empty-" + c.name)
		v.choose(mail, key, passphrase)
		v.see("read-chosen-" + c.name)
		if trouble := v.open(); trouble != "" {
			t.Fatal(trouble)
		}
		v.shown()
		v.shows("Bridge Street")
		v.rest(300) // until it is painted
		v.see("read-letter-" + c.name)
	}
	if got := v.Trouble(); len(got) > 0 {
		t.Errorf("the console says: %q", got)
	}
}
