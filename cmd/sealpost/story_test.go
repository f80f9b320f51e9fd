package main

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	readpage "sealpost/directory/reader"
	"sealpost/internal/testkit"
)

// The bank's directory in the world, and the people of the story.
const (
	storyURL    = "https://keys.bank.example"
	storyWalter = "walter@nokey.example"
	storySecret = "4711-0815"
	storyPass   = "correct horse battery staple"
)

// A story is a relay with its directory, real Postfix behind it, and a real
// browser before it.
type story struct {
	*testing.T
	*installation
	tab     *testkit.Browser
	postfix *testkit.Postfix
	message string
	canary  testkit.Canary
	saved   string // where the browser puts downloads
}

// Somebody whom nobody knows is sent a statement. It arrives sealed, and a notice
// with it; he shows that the mailbox is his, takes the key home, and OpenSSL and
// NSS open the statement with it; so does the page in the browser. He deletes the
// copy of his key, and the next statement is sealed to the same key.
func TestStoryOfARecipientWithoutAKey(t *testing.T) {
	s := tellStory(t)
	sealed, notice := s.firstStatement()
	file := s.claim(notice)
	s.opens(sealed, file)
	s.reads(sealed)
	s.deletes()
	s.secondStatement(file)
	s.secretsStayed()
}

func tellStory(t *testing.T) *story {
	testkit.Need(t, "chromium", "openssl", "postfix", "certutil")
	page, err := readpage.New(readpage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	testkit.NeedBuilt(t, page.Built())
	s := &story{T: t, installation: newInstallation(t), canary: testkit.NewCanary(t), saved: t.TempDir()}
	s.message = sampleMail(s.canary)
	s.postfix = testkit.StartPostfix(t, testkit.PostfixOptions{})
	s.keys = testkit.FreeAddr(t)
	s.ca.Issue(t, testkit.Leaf{DNSNames: []string{"keys.bank.example"}, Key: "p256"}).WriteFiles(t, s.dir, "web")
	s.configure(t, s.postfix.Addr, `lookup:
  sources:
    - {name: pinned, type: files, dir: certs}
    - {name: keydb, type: directory}
policy:
  - {name: statements, sender: "statements@*", no_key: provision}
  - {name: default}
directory:
  address: `+s.keys+`
  url: `+storyURL+`
  tls: {mode: files, cert: web.pem, key: web.key}
  store: {file: keys.db}
  page: {name: The Bank}
  ca: {certificate: ca.pem, key: ca.key, url: "http://keys.bank.example", pool: 1}
  escrow: {key_file: escrow.key}
  provision: {}
  claim: {}
  mail: {address: "`+s.postfix.Addr+`", from: keys@bank.example}
`)
	s.write(t, "passphrase", rootPassphrase+"\n")
	s.directory(t, exitOK, s.makeAuthority()...)
	s.directory(t, exitOK, "escrow", "init")
	s.start(t)
	s.tab = testkit.Chromium(t, chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP keys.bank.example "+s.keys))
	if _, err := chromedp.CallBrowser(s.tab, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: s.saved}); err != nil {
		t.Fatal(err)
	}
	return s
}

// send sends a statement to Walter.
func (s *story) send() {
	s.Helper()
	own := "X-Sealpost-Secret: " + storySecret + "\r\nX-Sealpost-Reference: Customer 0815\r\nX-Sealpost-Reference: Branch Hauptplatz\r\n"
	if got := s.dial(s).submit(s, own+s.message, storyWalter); !strings.HasPrefix(got, "250") {
		s.Fatal(got)
	}
}

// firstStatement gives what arrives: the sealed mail and the notice.
func (s *story) firstStatement() (sealed, notice []byte) {
	s.Helper()
	s.send()
	for _, got := range s.postfix.WaitDelivered(s, 2) {
		if got.To != storyWalter {
			s.Fatalf("mail to %s", got.To)
		}
		if bytes.Contains(got.Raw, []byte("application/pkcs7-mime")) {
			sealed = got.Raw
		} else {
			notice = got.Raw
		}
	}
	if sealed == nil || notice == nil {
		s.Fatal("not one sealed mail and one notice")
	}
	return sealed, notice
}

// claim goes from the notice to the file with the key.
func (s *story) claim(notice []byte) []byte {
	s.Helper()
	text, err := noticeWords(notice)
	if err != nil {
		s.Fatal(err)
	}
	link := regexp.MustCompile(`https://\S+/claim\?\S+`).FindString(text)
	code := regexp.MustCompile(`(?m)^ +([A-Z0-9]{4}-[A-Z0-9]{4,6})$`).FindStringSubmatch(text)
	if link == "" || code == nil || !strings.Contains(text, "Customer 0815") || !strings.Contains(text, "Branch Hauptplatz") {
		s.Fatalf("the notice says\n%s", text)
	}
	s.do(chromedp.Navigate(link))
	s.at("/claim")
	s.do(chromedp.SendKeys(chromedp.CSS("#code"), code[1]+"\r"))
	s.at("/claim/second")
	s.do(chromedp.SendKeys(chromedp.CSS("#answer"), "4711 0815\r"))
	s.at("/claim/choose")
	s.do(chromedp.Click(chromedp.CSS(`main a[href^="/claim/take"]`)))
	s.at("/claim/take")
	s.do(chromedp.SendKeys(chromedp.CSS("#passphrase"), storyPass), chromedp.SendKeys(chromedp.CSS("#again"), storyPass),
		chromedp.Click(chromedp.CSS("main form.card button")))
	return s.download("key-*.p12")
}

// opens has two readers that are not ours open the mail with nothing but the file.
func (s *story) opens(sealed, file []byte) {
	s.Helper()
	for name, open := range map[string]func(testing.TB, []byte, []byte, string) []byte{
		"openssl": testkit.OpenSSLOpenWithFile, "nss": testkit.NSSOpenWithFile,
	} {
		if got := open(s, sealed, file, storyPass); string(got) != entityOf(s.message) {
			s.Errorf("%s opened\n%q", name, got)
		}
	}
}

// reads opens the mail on the page, with the key that the directory still has.
func (s *story) reads(sealed []byte) {
	s.Helper()
	file := s.write(s, "statement.eml", string(sealed))
	defer os.Remove(file)
	s.do(chromedp.Navigate(storyURL + "/claim/choose"))
	s.at("/claim/choose")
	s.do(chromedp.Click(chromedp.CSS(`main a[href^="/read"]`)))
	s.at("/read")
	s.until(`!document.getElementById("form").hidden`)
	s.do(chromedp.SetUploadFiles(chromedp.CSS("#mail"), []string{file}, chromedp.NodeReady), chromedp.Click(chromedp.CSS("#open")))
	s.until(`!document.getElementById("letter").hidden || !document.getElementById("trouble").hidden`)
	if trouble := s.eval(`document.getElementById("trouble").innerText`); trouble != "" {
		s.Fatalf("the page says: %s", trouble)
	}
	s.until(`document.querySelector("#list a") !== null`)
	s.do(chromedp.Click(chromedp.CSS("#list a")))
	if got := s.download(string(s.canary) + "*.pdf"); string(got) != "%PDF-1.4\n" {
		s.Errorf("the attachment is %q", got)
	}
}

// deletes has the directory forget the key.
func (s *story) deletes() {
	s.Helper()
	s.do(chromedp.Navigate(storyURL + "/claim/delete"))
	s.at("/claim/delete")
	s.do(chromedp.Click(chromedp.CSS(`input[value="now"]`)), chromedp.Click(chromedp.CSS("#sure")), chromedp.Click(chromedp.CSS("button.danger")))
	s.at("/claim/choose")
	s.do(chromedp.WaitVisible(chromedp.CSS("#done")))
	s.noKeyLeft()
	if left := s.eval(`String(document.querySelectorAll('main a[href^="/claim/take"]').length)`); left != "0" {
		s.Error("the key can still be taken")
	}
}

// noKeyLeft asks the database, and the record of what was done with the key.
func (s *story) noKeyLeft() {
	s.Helper()
	if status := s.escrowStatus(s); status.Unclaimed != 0 || status.Claimed != 0 || status.Deleted != 1 {
		s.Errorf("the directory still has the key: %+v", status)
	}
	said := s.directory(s, exitOK, "audit", "list")
	for _, kind := range []string{"provisioned", "key-used", "claimed", "key-deleted"} {
		if !strings.Contains(said, kind) {
			s.Errorf("the audit log has no %s:\n%s", kind, said)
		}
	}
	s.directory(s, exitOK, "audit", "verify")
}

// secondStatement arrives without another notice, and the file opens it too.
func (s *story) secondStatement(file []byte) {
	s.Helper()
	s.send()
	s.opens(s.postfix.WaitDelivered(s, 3)[2].Raw, file)
	if n := s.metric(s, `sealpost_provisioned_total{result="created"}`); n != 1 {
		s.Errorf("%v keys were made", n)
	}
}

// secretsStayed looks everywhere for what nobody but Walter may see.
func (s *story) secretsStayed() {
	s.Helper()
	all := s.postfix.Mailbox(storyWalter)
	for _, got := range all {
		if bytes.Contains(got.Raw, []byte(storySecret)) || bytes.Contains(bytes.ToLower(got.Raw), []byte("x-sealpost")) {
			s.Errorf("the secret left:\n%s", got.Raw)
		}
		s.canary.Absent(s, "mail", got.Raw)
	}
	if len(all) != 3 {
		s.Errorf("%d mails, want two statements and one notice", len(all))
	}
	s.nowhere(s, s.canary)
	if log := s.log(s); strings.Contains(log, storySecret) || strings.Contains(log, storyPass) {
		s.Error("a secret is in the log")
	}
	if strayed := s.tab.Strayed(storyURL); len(strayed) > 0 {
		s.Errorf("the pages went elsewhere: %q", strayed)
	}
	if trouble := s.tab.Trouble(); len(trouble) > 0 {
		s.Errorf("the console says: %q", trouble)
	}
}

func (s *story) do(steps ...chromedp.Action[chromedp.Void]) {
	s.Helper()
	if err := chromedp.Do(s.tab, steps...); err != nil {
		s.Fatalf("%v; the console says %q", err, s.tab.Trouble())
	}
}

func (s *story) eval(script string) string {
	s.Helper()
	out, err := chromedp.Run(s.tab, chromedp.Evaluate[string](script))
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// until waits for a condition on the page.
func (s *story) until(script string) {
	s.Helper()
	testkit.Poll(s, script, func() bool {
		ok, err := chromedp.Run(s.tab, chromedp.Evaluate[bool](script))
		return err == nil && ok
	})
}

// at waits until the page has this path and is whole.
func (s *story) at(path string) {
	s.Helper()
	testkit.Poll(s, "the page "+path, func() bool {
		where, err := chromedp.Run(s.tab, chromedp.Location())
		u, bad := url.Parse(where)
		return err == nil && bad == nil && u.Path == path
	})
	s.do(chromedp.WaitVisible(chromedp.CSS("footer")))
}

// download waits for one file, and gives its bytes.
func (s *story) download(pattern string) (data []byte) {
	s.Helper()
	testkit.Poll(s, "the download "+pattern, func() bool {
		names, err := filepath.Glob(filepath.Join(s.saved, pattern))
		if err != nil || len(names) != 1 {
			return false
		}
		data, err = os.ReadFile(names[0])
		return err == nil && len(data) > 0
	})
	return data
}
