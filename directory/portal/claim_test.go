package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/directory/claim"
	"sealpost/directory/keybox"
	"sealpost/internal/testkit"
)

// From the link to the file, and to the end.
func TestClaim(t *testing.T) {
	c := newClaims()
	c.second = true
	s, p := serveClaims(t, c, nil)
	p.Mount(http.NotFoundHandler())
	v := visit(t, s.URL)
	v.get("/claim/choose").expect(200, "/claim", "Your mail address") // nobody is signed in
	v.signIn().expect(200, "/claim/second", "customer number")
	v.get("/claim/take").expect(200, "/claim/second") // nothing else is allowed yet
	v.post("/claim/second", "answer", " ").expect(400, "/claim/second", "Please type what")
	v.post("/claim/second", "answer", "0815").expect(403, "/claim/second", "Tries left: 3")
	v.post("/claim/second", "answer", "4711").expect(200, "/claim/choose", anna, "A3BF", "/read?lang=en")
	v.get("/claim/take").expect(200, "/claim/take", "At least 12 characters")
	v.post("/claim/take", "passphrase", "").expect(400, "/claim/take", "choose a passphrase")
	v.post("/claim/take", "passphrase", "short", "again", "short").expect(400, "/claim/take", "too short")
	v.post("/claim/take", "passphrase", "anna anna anna", "again", "anna anna anna").expect(400, "/claim/take", "your mail address in it")
	v.post("/claim/take", "passphrase", "correct horse battery", "again", "correct hose battery", "format", "legacy").expect(400, "/claim/take", "differ", `value="legacy" checked`)
	if strings.Contains(v.page, "battery") {
		t.Error("the page repeats a passphrase")
	}
	c.did()
	v.post("/claim/take", "passphrase", "correct horse battery", "again", "correct horse battery", "format", "legacy").expect(200, "/claim/take")
	if v.page != "the file, locked with correct horse battery" || v.resp.Header.Get("Content-Disposition") != `attachment; filename="key-a3bf8623.p12"` || !slices.Equal(c.did(), []string{"pkcs12 legacy"}) {
		t.Errorf("%v %q", v.resp.Header, v.page)
	}
	v.get("/claim/choose").expect(200, "/claim/choose", "23 November 2026")
	v.get("/claim/delete").expect(200, "/claim/delete", "stay closed for ever", "You took the key home on 23 November 2026")
	v.post("/claim/delete", "when", "now").expect(400, "/claim/delete", "Please confirm", `value="now" checked`)
	v.post("/claim/delete", "when", "later", "sure", "yes").expect(200, "/claim/choose", "will be deleted on")
	v.get("/claim/delete").post("/claim/delete", "when", "now", "sure", "yes").expect(200, "/claim/choose", "Our copy of the key is deleted")
	v.get("/claim/take").expect(410, "/claim/take", "hold no copy")
	v.get("/claim/choose").post("/claim/end").expect(200, "/claim/ended", "signed out")
	v.get("/claim/choose").expect(200, "/claim")
	if v.cookie("sealpost") != "" {
		t.Error("the cookie is still there")
	}
}

// Without the link: an address and a code. What is said does not depend on
// whether the address is known.
func TestClaimWithoutLink(t *testing.T) {
	s, _ := serveClaims(t, newClaims(), nil)
	v := visit(t, s.URL)
	v.get("/claim").post("/claim", "address", "anna", "code", code).expect(400, "/claim", "complete mail address", `value="anna"`)
	v.post("/claim", "address", "nobody@example.org", "code", code).expect(403, "/claim", "do not belong together")
	unknown := strings.ReplaceAll(v.page, "nobody@example.org", "X")
	v.post("/claim", "address", anna, "code", "WRONG").expect(403, "/claim", "do not belong together")
	if strings.ReplaceAll(v.page, anna, "X") != unknown {
		t.Error("a known address has another answer")
	}
	v.post("/claim", "address", anna, "code", code).expect(200, "/claim/choose")
}

// The answer to who wants a new notice is the same for everybody.
func TestNewNotice(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.get("/claim/again").post("/claim/again", "address", "anna").expect(400, "/claim/again", "complete mail address")
	v.get("/claim/again").post("/claim/again", "address", anna).expect(200, "/claim/sent", "a new notice is on its way")
	known := v.page
	v.get("/claim/again").post("/claim/again", "address", "nobody@example.org").expect(200, "/claim/sent")
	if v.page != known {
		t.Error("an unknown address has another answer")
	}
	for _, client := range c.clients {
		if !client.IsLoopback() {
			t.Errorf("the limits count for %v", client)
		}
	}
}

// What the engine refuses comes out as words, and with the status that fits.
func TestClaimRefused(t *testing.T) {
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.get("/claim?t=made-up").expect(200, "/claim", "not complete", "Your mail address")
	v.get("/claim?t="+token).post("/claim", "code", "WRONG").expect(403, "/claim", "Tries left: 4", "a…a@example.org")
	for range 4 {
		v.post("/claim", "code", "WRONG").expect(403, "/claim")
	}
	v.post("/claim", "code", code).expect(429, "/claim", "too many tries")
	c.tries = 0
	w := visit(t, s.URL).signIn().expect(200, "/claim/choose")
	v.get("/claim?t="+token).expect(200, "/claim", "has been used", "Your mail address")
	v.do("POST", "/claim", "application/x-www-form-urlencoded", strings.NewReader("t="+token+"&code="+code+"&csrf="+v.hidden("/claim").Get("csrf"))).expect(410, "/claim", "has been used")
	for _, trouble := range []struct {
		err    error
		status int
		words  string
	}{
		{errors.New("the database is away"), 503, "cannot answer"}, {claim.ErrTooMany, 429, "too many tries"},
		{claim.ErrGone, 410, "hold no copy"},
	} {
		c.err = trouble.err
		w.get("/claim/choose").expect(trouble.status, "/claim/choose", trouble.words)
		v.get("/claim?t="+token).expect(trouble.status, "/claim", trouble.words)
	}
	c.err = claim.ErrExpired
	v.post("/claim", "t", token, "code", code, "csrf", v.get("/claim").hidden("/claim").Get("csrf")).expect(410, "/claim", "its time is over")
	c.err = claim.ErrSession
	w.page = ""
	w.post("/claim/take", "passphrase", "correct horse battery").expect(401, "/claim/take", "signed out after a while")
}

// A private key that is sent by mistake is refused with a warning, and touches
// no disk.
func TestPrivateKeyByMistake(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	c := newClaims()
	s, _ := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	v.signIn().expect(200, "/claim/choose").get("/claim/own").expect(200, "/claim/own", "keys@bank.example", "certmgr.msc")
	v.upload("/claim/own", nil).expect(400, "/claim/own", "choose a file")
	v.get("/claim/own").upload("/claim/own", []byte("hello")).expect(422, "/claim/own", "it cannot be read", anna)
	canary := testkit.NewCanary(t)
	secret := "-----BEGIN PRIVATE KEY-----\n" + string(canary) + strings.Repeat("A", 200<<10)
	v.get("/claim/own").upload("/claim/own", []byte(secret)).expect(422, "/claim/own", "holds a private key", "did not store it", "replaced by whoever issued it")
	canary.Absent(t, "the page", []byte(v.page))
	v.get("/claim/own").upload("/claim/own", []byte(secret+strings.Repeat("A", 200<<10))).expect(413, "/claim/own", "too large")
	canary.AbsentInTree(t, folder)
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("files were made: %v, %v", left, err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Fatal(err)
	}
	v.get("/claim/own").upload("/claim/own", []byte("-----BEGIN CERTIFICATE-----")).expect(200, "/claim/choose", "Your certificate is published")
}

// The page that reads mail gets the key sealed, in a session only.
func TestKeyForTheReader(t *testing.T) {
	c := newClaims()
	s, p := serveClaims(t, c, nil)
	v := visit(t, s.URL)
	opener, err := keybox.NewOpener()
	if err != nil {
		t.Fatal(err)
	}
	v.post("/claim/key", "public", opener.Public()).expect(401, "/claim/key")
	v.signIn().expect(200, "/claim/choose")
	r, err := http.NewRequest("GET", s.URL+"/read", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := p.Reading(r); ok {
		t.Error("a session without a cookie")
	}
	r.AddCookie(&http.Cookie{Name: "sealpost", Value: v.cookie("sealpost")})
	csrf, who, ok := p.Reading(r)
	if !ok || who != anna {
		t.Fatalf("%v %s", ok, who)
	}
	c.did()
	v.post("/claim/key", "public", opener.Public(), "csrf", "made-up").expect(403, "/claim/key")
	v.post("/claim/key", "public", "short", "csrf", csrf).expect(400, "/claim/key")
	if did := c.did(); len(did) > 0 {
		t.Errorf("%v", did)
	}
	v.post("/claim/key", "public", opener.Public(), "csrf", csrf).expect(200, "/claim/key", "sealed to ")
	if v.resp.Header.Get("Content-Type") != keybox.Type || v.resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", v.resp.Header)
	}
	c.err = claim.ErrGone
	if _, _, ok := p.Reading(r); ok {
		t.Error("a session in trouble")
	}
}

// What the API refuses before a page is asked is said in the words of the claim.
func TestRefusedBefore(t *testing.T) {
	_, p := serveClaims(t, newClaims(), nil)
	for status, words := range map[int]string{429: "too many tries", 503: "Nothing is lost", 500: "Nothing is lost", 404: "no such page", 405: "no such page"} {
		w := httptest.NewRecorder()
		p.Refuse(w, httptest.NewRequest("GET", "/claim/second", nil), status)
		if page := w.Body.String(); w.Code != status || !strings.Contains(page, words) || strings.Contains(page, "Find a certificate") != (status < 429) {
			t.Errorf("%d: %d %s", status, w.Code, page)
		}
	}
}

// The steps for each program need no session, and are there in both languages.
func TestGuides(t *testing.T) {
	s, _ := serveClaims(t, newClaims(), nil)
	v := visit(t, s.URL)
	for program, words := range map[string][2]string{
		"outlook": {"Certificate Import Wizard", "证书导入向导"}, "apple": {"Keychain Access", "钥匙串访问"},
		"ios": {"VPN &amp; Device Management", "已下载描述文件"}, "thunderbird": {"Manage S/MIME Certificates", "管理 S/MIME 证书"},
	} {
		path := "/claim/take/steps/" + program
		v.get("/claim/take/steps").expect(200, "/claim/take/steps", `href="`+path+"?lang=en")
		v.get(path).expect(200, path, words[0], "Bank of Examples", path+"?lang=zh")
		v.get(path+"?lang=zh").expect(200, path, words[1], path+"?lang=en")
	}
	v.get("/claim/take/steps/pine").expect(404, "/claim/take/steps/pine")
}
