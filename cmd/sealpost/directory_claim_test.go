package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	pkcs12 "software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/store"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

// withClaims is a directory that makes keys, and sends their notices through a
// mail server.
func withClaims(t testing.TB, mx string) *installation {
	t.Helper()
	in := aDirectory(t, provisionSections+"  claim: {}\n  mail: {address: \""+mx+"\", from: keys@keys.bank.example}\n")
	text := strings.Replace(string(in.read(t, filepath.Base(in.config))), "  store:", "  url: http://"+in.keys+"\n  store:", 1)
	in.config = in.write(t, filepath.Base(in.config), text)
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, in.makeAuthority()...)
	in.directory(t, exitOK, "escrow", "init")
	return in
}

// A key is made for somebody, a real Postfix brings him the notice, and with what
// it says he takes the key home over the pages; after a restart too. Neither the
// log nor the database has what opens a claim.
func TestDirectoryClaim(t *testing.T) {
	const anna, bert, passphrase = "anna@example.org", "bert@example.net", "a long passphrase 17"
	postfix := testkit.StartPostfix(t, testkit.PostfixOptions{})
	in := withClaims(t, postfix.Addr)
	in.start(t)
	keys := in.keydb(t, in.token(t, "provision"), nil)
	made := map[string]keydb.Certificate{}
	for _, who := range []string{anna, bert} {
		a, created, err := keys.Provision(t.Context(), keydb.ProvisionRequest{Address: who, Secret: map[string]string{bert: "KD-4711"}[who],
			References: []string{"K-7f3a91", "R-2c8e44"}, Language: "zh", Sender: "billing@bank.example"})
		if err != nil || !created {
			t.Fatal(err)
		}
		made[who] = a.Certificates[0]
	}
	postfix.WaitDelivered(t, 2)
	testkit.Poll(t, "two notices to be counted", func() bool { return in.metric(t, `sealpost_directory_notices_total{result="sent"}`) == 2 })
	if out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config); code != exitOK || !strings.Contains(out, "directory.mail "+postfix.Addr+": ok") {
		t.Errorf("check --probe: %d\n%s%s", code, out, errs)
	}
	in.stop(t)
	in.start(t) // what was sent counts, and is not sent again

	var secrets []string
	for _, who := range []string{anna, bert} {
		box := postfix.Mailbox(who)
		if len(box) != 1 || box[0].From != "keys@keys.bank.example" {
			t.Fatalf("%s has %d notices", who, len(box))
		}
		link, code := noticeOf(t, box[0].Raw)
		p := visitor(t)
		page := p.get(t, link)
		secrets = append(secrets, link[strings.LastIndex(link, "=")+1:], code, strings.ReplaceAll(code, "-", ""))
		page = p.submit(t, page, map[string]string{"code": code})
		if who == bert {
			p.submit(t, page, map[string]string{"answer": "kd4711"})
		}
		page = p.get(t, "http://"+in.keys+"/claim/take")
		file := p.submit(t, page, map[string]string{"passphrase": passphrase, "again": passphrase, "format": "modern"})
		_, cert, chain, err := pkcs12.DecodeChain(file.body, passphrase)
		if err != nil || !bytes.Equal(cert.Raw, made[who].DER) || len(chain) != 2 {
			t.Fatalf("%s: %v, a chain of %d\n%.300s", who, err, len(chain), file.body)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(chain[1])
		between.AddCert(chain[0])
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
			t.Errorf("%s: the chain in the file: %v", who, err)
		}
	}
	for step, want := range map[string]float64{"proven": 2, "taken": 2, "wrong_code": 0} {
		if n := in.metric(t, `sealpost_directory_claims_total{step="`+step+`"}`); n != want {
			t.Errorf("%s: %v are counted, want %v", step, n, want)
		}
	}
	in.stop(t)
	if kinds := in.directory(t, exitOK, "audit", "list"); strings.Count(kinds, string(store.AuditClaimed)) != 2 {
		t.Errorf("the audit log:\n%s", kinds)
	}
	for _, secret := range append(secrets, passphrase, "kd4711") {
		for _, name := range []string{"keys.db", "keys.db-wal", "server.log"} {
			data, err := os.ReadFile(filepath.Join(in.dir, name))
			if err == nil && bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s has %q", name, secret)
			}
		}
	}
}

// noticeOf gives the link and the code of a notice.
func noticeOf(t testing.TB, raw []byte) (link, code string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	link = regexp.MustCompile(`http://\S+/claim\?t=\S+`).FindString(string(text))
	code = regexp.MustCompile(`(?m)^\s+([2-9A-Z]{4}-[2-9A-Z]{4})\s*$`).FindString(string(text))
	if code = strings.TrimSpace(code); link == "" || code == "" || !strings.Contains(string(text), "K-7f3a91") || !strings.Contains(string(text), "领取") {
		t.Fatalf("the notice:\n%s", text)
	}
	return link, code
}

// A guest is a browser without scripts: it keeps cookies, and sends forms.
type guest struct{ http.Client }

type webPage struct {
	at   *url.URL
	body []byte
}

func visitor(t testing.TB) *guest {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &guest{http.Client{Jar: jar}}
}

func (g *guest) get(t testing.TB, link string) webPage {
	t.Helper()
	r, err := http.NewRequest("GET", link, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g.do(t, r)
}

func (g *guest) do(t testing.TB, r *http.Request) webPage {
	t.Helper()
	answer, err := g.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v\n%s", r.Method, answer.Request.URL, answer.Status, err, body)
	}
	return webPage{answer.Request.URL, body}
}

var (
	formPattern  = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	inputPattern = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	namePattern  = regexp.MustCompile(` name="([^"]*)"`)
	valuePattern = regexp.MustCompile(` value="([^"]*)"`)
	actionOfForm = regexp.MustCompile(`action="([^"]*)"`)
)

// first gives what a pattern catches; empty: nothing.
func first(p *regexp.Regexp, text string) string {
	if m := p.FindStringSubmatch(text); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// submit fills in the first form of a page that has one of the fields, and sends
// it to where it leads.
func (g *guest) submit(t testing.TB, p webPage, fields map[string]string) webPage {
	t.Helper()
	for _, form := range formPattern.FindAllString(string(p.body), -1) {
		values, fits := url.Values{}, false
		for _, input := range inputPattern.FindAllString(form, -1) {
			name := first(namePattern, input)
			value, mine := fields[name]
			fits = fits || mine
			if !mine {
				value = first(valuePattern, input)
			}
			values.Set(name, value)
		}
		if !fits {
			continue
		}
		to, err := p.at.Parse(first(actionOfForm, form))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest("POST", to.String(), strings.NewReader(values.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+p.at.Host)
		return g.do(t, r)
	}
	t.Fatalf("%s has no form with one of %v:\n%s", p.at, fields, p.body)
	return webPage{}
}

// The example of docs/claim.md is a configuration that can be served.
func TestClaimDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/claim.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/claim.md has no example")
	}
	in := newInstallation(t)
	in.config = in.write(t, "sealpost.yaml", example)
	server := in.ca.Server(t, "keys.example.com")
	in.write(t, "tls.pem", string(server.CertPEM))
	in.write(t, "tls.key", string(server.KeyPEM))
	in.write(t, "mail.password", "sesame\n")
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, in.makeAuthority()...)
	in.directory(t, exitOK, "escrow", "init")
	if out, errs, code := sealpost(t, "", "check", "--config", in.config); code != exitOK || strings.Contains(out+errs, "claim") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

// The key of links is made once, whoever makes it first, and kept from others.
func TestClaimKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "claim.key")
	var group sync.WaitGroup
	got := make([][]byte, 16)
	for i := range got {
		group.Go(func() {
			var err error
			if got[i], err = claimKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, key := range got {
		if len(key) != 32 || !bytes.Equal(key, got[0]) {
			t.Errorf("%x beside %x", key, got[0])
		}
	}
	left, err := filepath.Glob(path + "*")
	if err != nil || len(left) != 1 {
		t.Errorf("files are left over: %v", left)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := claimKey(path); err == nil {
		t.Error("a key that others can read is taken")
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("half a key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := claimKey(path); err == nil {
		t.Error("half a key is taken")
	}
	if _, err := claimKey(filepath.Join(path, "below a file")); err == nil {
		t.Error("a key in a folder that is none")
	}
}
