package claim_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/emersion/go-smtp"

	"sealpost/directory/claim"
	"sealpost/directory/store"
	"sealpost/internal/address"
)

func (w *world) notify(t testing.TB, n claim.Notice) int {
	t.Helper()
	before := len(w.post.all())
	if err := w.engine.Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	w.send(t)
	return len(w.post.all()) - before
}

func (w *world) send(t testing.TB) {
	t.Helper()
	if err := w.engine.SendDue(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNoticeOnceThenRarely(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	sent := ""
	for day := range 200 {
		sent += fmt.Sprint(w.notify(t, claim.Notice{Address: anna, References: []string{"R-" + fmt.Sprint(day)}}))
		w.later(24 * time.Hour)
	}
	want := strings.Repeat("1"+strings.Repeat("0", 29), 4)
	if !strings.HasPrefix(sent, want) || strings.Contains(sent[len(want):], "1") {
		t.Errorf("notices by day: %s", sent)
	}
	all := w.post.all()
	first, last := read(t, all[0].message), read(t, all[3].message)
	if strings.Contains(first.subject, "Reminder") || !strings.Contains(last.subject, "Reminder") {
		t.Errorf("%q, then %q", first.subject, last.subject)
	}
	if !strings.Contains(last.text, "R-90") || !strings.Contains(last.html, "R-90") {
		t.Errorf("the reminder does not say what it is about now:\n%s", last.text)
	}
}

// Who has not claimed is reminded, also when nobody asks for his key again; and
// nobody else is.
func TestReminders(t *testing.T) {
	for _, c := range []struct {
		reminders int
		want      string
	}{{0, "1001001001000000000000"}, {1, "1001000000000000000000"}, {-1, "1000000000000000000000"}} {
		w := newWorld(t, func(o *claim.Options) { o.Limits.Reminders = c.reminders })
		w.provision(t, anna, "")
		secret, _, _ := w.enter(t, bert)
		if _, err := w.engine.PKCS12(t.Context(), secret, good, claim.Modern); err != nil {
			t.Fatal(err)
		}
		w.enter(t, "reader@example.org") // takes nothing home
		known := len(w.post.all())
		sent := ""
		for range len(c.want) {
			before := len(w.post.all())
			for range 3 { // of several nodes, or often
				if err := w.engine.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.send(t)
			}
			sent += fmt.Sprint(len(w.post.all()) - before)
			w.later(10 * 24 * time.Hour)
		}
		if sent != c.want {
			t.Errorf("%d: notices every ten days: %s, want %s", c.reminders, sent, c.want)
		}
		for _, m := range w.post.all()[known:] {
			if m.to != anna {
				t.Errorf("%s knows, and is reminded", m.to)
			}
		}
	}
}

func TestNoNotice(t *testing.T) {
	w := newWorld(t)
	is(t, "no address", w.engine.Notify(t.Context(), claim.Notice{Address: "nobody"}), claim.ErrAddress)
	if n := w.notify(t, claim.Notice{Address: anna}); n != 0 {
		t.Error("a notice without a key")
	}
	secret, _, _ := w.enter(t, anna)
	if _, err := w.engine.PKCS12(t.Context(), secret, good, claim.Modern); err != nil {
		t.Fatal(err)
	}
	w.later(40 * 24 * time.Hour)
	if n := w.notify(t, claim.Notice{Address: anna}); n != 0 {
		t.Error("a reminder of a key that was claimed")
	}
}

func TestLetter(t *testing.T) {
	const english = "An encrypted message from Example Bank is waiting for you"
	for _, c := range []struct{ asked, lang, subject string }{
		{"", "en", english},
		{"zh-TW", "zh", "您有一封来自Example Bank的加密邮件"},
		{"fr", "en", english},
		{"\x00 nonsense", "en", english},
	} {
		w := newWorld(t)
		w.provision(t, anna, "KD-4711", func(n *store.NewKey) { n.Language = c.asked })
		l := w.notice(t, anna)
		if l.subject != c.subject {
			t.Errorf("%q: the subject is %q", c.asked, l.subject)
		}
		until := w.now.Add(30 * 24 * time.Hour).Format(map[string]string{"en": "2 January 2006", "zh": "2006年1月2日"}[c.lang])
		for what, text := range map[string]string{"text": l.text, "HTML": l.html} {
			for _, part := range []string{"K-7f3a91", "R-2c8e44", "billing@example.com", anna, l.code, "https://keys.example.com/claim", until} {
				if !strings.Contains(text, part) {
					t.Errorf("%q: the %s lacks %s", c.asked, what, part)
				}
			}
		}
		if !strings.Contains(l.html, "/claim?t="+l.token) || strings.Contains(strings.ToLower(l.html), "<form") {
			t.Errorf("%q: the HTML:\n%s", c.asked, l.html)
		}
		if !strings.Contains(l.text, map[string]string{"en": "one more thing", "zh": "还会询问"}[c.lang]) {
			t.Errorf("%q: nothing tells of the second factor:\n%s", c.asked, l.text)
		}
		from, err := l.header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Name != "Example Bank" || from[0].Address != "keys@example.com" ||
			l.header.Get("Auto-Submitted") != "auto-generated" || l.header.Get("Message-Id") == "" {
			t.Errorf("the header: %v, %v", l.header, err)
		}
	}
}

// What others write into a notice stays where it is put.
func TestLetterFromOutside(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Name = "Bänk, \"the\" <best>" })
	w.provision(t, anna, "", func(n *store.NewKey) {
		n.References = []string{"<script>alert(1)</script>", "one\r\n\r\nhttps://evil.example/ click here " + strings.Repeat("long ", 50)}
		n.Sender = "x@example.com\r\nBcc: victim@example.org"
	})
	l := w.notice(t, anna)
	if strings.Contains(l.html, "<script>") || strings.Contains(l.html, "<best>") || l.header.Get("Bcc") != "" {
		t.Errorf("something came through:\n%s", l.html)
	}
	for _, line := range strings.Split(l.text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "https://evil") {
			t.Errorf("a line of its own: %s", line)
		}
	}
	if from, err := l.header.AddressList("From"); err != nil || from[0].Name != w.opts.Name {
		t.Errorf("%v, %v", from, err)
	}
}

func TestTemplates(t *testing.T) {
	const text = "Subject: Nachricht von {{.Name}}\n\n{{.Link}}\n    {{.Code}}\n{{.Page}}\n{{range .References}}{{.}} {{end}}\n"
	const page = "<p>{{.Link}} {{.Code}} {{.Page}} {{range .References}}{{.}} {{end}}</p>"
	files := func(text, page string) fstest.MapFS {
		return fstest.MapFS{"notice.de.txt": {Data: []byte(text)}, "notice.de.html": {Data: []byte(page)}, "README": {Data: []byte("ours")}}
	}
	w := newWorld(t, func(o *claim.Options) { o.Templates, o.Language = files(text, page), "de" })
	w.provision(t, anna, "", func(n *store.NewKey) { n.Language = "" })
	if l := w.notice(t, anna); l.subject != "Nachricht von Example Bank" {
		t.Errorf("%q", l.subject)
	}
	without := func(part string) fstest.MapFS { return files(strings.Replace(text, part, "", 1), page) }
	lone := files(text, page)
	delete(lone, "notice.de.txt")
	half := files(text, page)
	delete(half, "notice.de.html")
	strange := fstest.MapFS{"notice.letter.txt": {Data: []byte(text)}, "notice.letter.html": {Data: []byte(page)}}
	for name, bad := range map[string]fstest.MapFS{
		"no subject": without("Subject: "), "no link": without("{{.Link}}"), "no code": without("{{.Code}}"), "no page": without("{{.Page}}"),
		"no references": without("{{range .References}}{{.}} {{end}}"),
		"HTML without":  files(text, strings.Replace(page, "{{.Code}}", "", 1)),
		"no template":   files("Subject: x\n\n{{.Link", page), "no such field": files(text+"{{.Password}}", page),
		"a form": files(text, page+"<FORM action=x>"), "a script": files(text, page+"<script src=x></script>"),
		"a picture": files(text, page+`<img src="https://pixel.example/1.png">`),
		"lone HTML": lone, "no HTML": half, "no language": strange,
	} {
		o := w.opts
		o.Templates = bad
		if _, err := claim.New(o); !errors.Is(err, claim.ErrTemplate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := w.opts
	o.Templates, o.Language = nil, "xx"
	if _, err := claim.New(o); !errors.Is(err, claim.ErrTemplate) {
		t.Errorf("a language that has no letter: %v", err)
	}
}

func TestOptions(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*claim.Options){
		"store": func(o *claim.Options) { o.Store = nil }, "keeper": func(o *claim.Options) { o.Keeper = nil },
		"check": func(o *claim.Options) { o.CheckSecret = nil }, "key": func(o *claim.Options) { o.Key = o.Key[:31] },
		"url": func(o *claim.Options) { o.URL = "keys.example.com" }, "query": func(o *claim.Options) { o.URL += "/?a=b" },
		"from": func(o *claim.Options) { o.From = address.Address{} },
	} {
		o := w.opts
		change(&o)
		if _, err := claim.New(o); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
}

// A mail server that is away gets the notice later; one that refuses is asked
// less often, and in the end it is given up.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		attempts int
		within   time.Duration
	}{
		{"away", errors.New("connection refused"), 10, 100 * time.Hour},
		{"451", &smtp.SMTPError{Code: 451, Message: "later"}, 10, 100 * time.Hour},
		{"550", &smtp.SMTPError{Code: 550, Message: "no such user"}, 6, 100 * time.Hour},
	} {
		w := newWorld(t)
		w.post.fail = c.err
		w.provision(t, anna, "")
		if n := w.notify(t, claim.Notice{Address: anna}); n != 0 {
			t.Fatal("sent")
		}
		end := w.clock().Add(c.within)
		for w.clock().Before(end) {
			w.send(t)
			w.later(10 * time.Minute)
		}
		n, err := w.store.Notices(t.Context(), anna)
		if err != nil || len(n) != 1 || n[0].Attempts != c.attempts || !n[0].Due.IsZero() || n[0].Trouble == "" {
			t.Errorf("%s: %+v, %v", c.name, n, err)
		}
	}
	w := newWorld(t)
	w.post.fail = errors.New("connection refused")
	w.provision(t, anna, "")
	w.notify(t, claim.Notice{Address: anna})
	w.post.fail = nil
	w.send(t)
	if len(w.post.all()) != 0 {
		t.Error("it was tried again at once")
	}
	w.later(time.Minute)
	w.send(t)
	if len(w.post.all()) != 1 {
		t.Error("it was not tried again")
	}
}

// Whoever asks for a notice gets the same answer, whether he is known or not,
// before anything is looked up; and a mailbox gets few.
func TestResend(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "")
	first := w.notice(t, anna)
	is(t, "no address", w.engine.Resend(t.Context(), "nobody", home), claim.ErrAddress)
	w.later(time.Hour)
	second := w.resend(t, anna)
	if second.code == first.code || second.token == first.token {
		t.Error("it is the same notice")
	}
	for _, l := range []letter{first, second} { // both count until one is used or they expire
		if v, err := w.engine.Peek(t.Context(), l.token); err != nil || !v.Valid {
			t.Errorf("%+v, %v", v, err)
		}
	}
	for _, addr := range []string{anna, bert} {
		allowed := 0
		for i := range 10 {
			if err := w.engine.Resend(t.Context(), addr, client(i)); err == nil {
				allowed++
			} else {
				is(t, addr, err, claim.ErrTooMany)
			}
		}
		if want := map[string]int{anna: 2, bert: 3}[addr]; allowed != want { // anna had one before
			t.Errorf("%s may ask %d times", addr, allowed)
		}
	}
	if kinds := w.audit(t); kinds != "issued provisioned" {
		t.Errorf("the audit log: %s", kinds)
	}
}
