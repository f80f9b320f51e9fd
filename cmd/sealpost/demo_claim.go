package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/http/cookiejar"
	"net/mail"
	"net/url"
	"regexp"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"sealpost/internal/certificate"
	"sealpost/smime"
)

// What Walter knows, and chooses.
const (
	demoNumber     = "4711-0815" // his customer number, which the bank's system attaches
	demoPassphrase = "correct horse battery staple"
)

// showProvisioned plays the recipient without a key: a key is made for him, and
// he claims it.
func (d *demo) showProvisioned() error {
	d.say("\n4. Walter has no certificate, and never asked for one. The bank sends him the same statement.")
	statement, pdf, err := demoStatement(demoPerson{"Walter Brandt", demoWalter})
	if err != nil {
		return err
	}
	extra := "X-Sealpost-Secret: " + demoNumber + "\r\nX-Sealpost-Reference: Account ...0815\r\n"
	d.quote(strings.ReplaceAll(extra, "\r\n", "\n") + header(statement, "To", "Subject"))
	taken, _, err := d.transact(append([]byte(extra), statement...), demoWalter)
	if err != nil {
		return err
	}
	d.say("   Sealpost: 250 %s", taken)
	d.say("   Its directory has made a key for him, keeps it wrapped, and writes to him. The fields X-Sealpost-* are gone.")
	sealed, notice, err := d.mailForWalter()
	if err != nil {
		return err
	}
	text, err := noticeWords(notice)
	if err != nil {
		return err
	}
	link, code := demoLink.FindString(text), demoCode.FindString(text)
	d.say("\n5. What Walter gets: the statement, sealed to his new key, and a notice.")
	d.quote(header(notice, "From", "To", "Subject") + "...\n" + link + "\n..." + "\n    " + code + "\n...")
	file, err := d.claim(link, code)
	if err != nil {
		return err
	}
	d.say("   In his browser he types the code, answers with his customer number, and takes the key home (%d bytes of PKCS #12).", len(file))
	return d.openWith(file, sealed, pdf)
}

var (
	demoLink = regexp.MustCompile(`http://\S+/claim\?\S+`)
	demoCode = regexp.MustCompile(`\b[A-Z0-9]{4}-[A-Z0-9]{4,6}\b`)
)

// mailForWalter waits for the statement and the notice, in whichever order.
func (d *demo) mailForWalter() (sealed, notice []byte, err error) {
	for sealed == nil || notice == nil {
		got, err := d.next()
		if err != nil {
			return nil, nil, err
		}
		if bytes.Contains(bytes.ToLower(got.data), []byte("x-sealpost-")) || bytes.Contains(got.data, []byte(demoSecret)) {
			return nil, nil, errors.New("what only Sealpost may see has left")
		}
		if bytes.Contains(got.data, []byte("application/pkcs7-mime")) {
			sealed = got.data
		} else {
			notice = got.data
		}
	}
	return sealed, notice, nil
}

// openWith opens the statement with nothing but the file.
func (d *demo) openWith(file, sealed, pdf []byte) error {
	key, leaf, _, err := pkcs12.DecodeChain(file, demoPassphrase)
	if err != nil {
		return fmt.Errorf("the file with the key: %w", err)
	}
	cert, err := certificate.Parse(leaf.Raw)
	if err != nil {
		return err
	}
	entity, err := smime.Open(bytes.NewReader(sealed), smime.OpenOptions{Key: key, Certificate: cert})
	if err != nil {
		return err
	}
	text, attached, err := readStatement(entity)
	if err != nil {
		return err
	}
	if !strings.Contains(text, demoSecret) || !bytes.Equal(attached, pdf) {
		return errors.New("what was opened is something else")
	}
	d.say("   With it he opens the statement: %q, and statement.pdf, byte for byte.", demoSecret)
	return nil
}

// claim is a browser at the pages of the claim, without scripts.
func (d *demo) claim(link, code string) ([]byte, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &demoBrowser{client: &http.Client{Jar: jar}}
	defer b.client.CloseIdleConnections()
	u, err := url.Parse(link)
	if err != nil || link == "" || code == "" {
		return nil, errors.New("the notice has no link or no code")
	}
	if err := b.open(link); err != nil {
		return nil, err
	}
	forms := []struct {
		path   string
		fields url.Values
	}{
		{"/claim", url.Values{"t": {u.Query().Get("t")}, "code": {code}}},
		{"/claim/second", url.Values{"answer": {demoNumber}}},
		{"/claim/take", url.Values{"format": {"modern"}, "passphrase": {demoPassphrase}, "again": {demoPassphrase}}},
	}
	for _, f := range forms {
		at := u.Scheme + "://" + u.Host + f.path
		if f.path != "/claim" {
			if err := b.open(at); err != nil {
				return nil, err
			}
		}
		if err := b.submit(at, f.fields); err != nil {
			return nil, err
		}
	}
	return b.page, nil
}

// A demoBrowser keeps cookies and the page that it shows.
type demoBrowser struct {
	client *http.Client
	page   []byte
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *demoBrowser) open(at string) error {
	resp, err := b.client.Get(at)
	return b.show(resp, err)
}

// submit sends the form of the page that is shown.
func (b *demoBrowser) submit(at string, fields url.Values) error {
	found := csrfField.FindAllSubmatch(b.page, -1)
	if len(found) == 0 {
		return fmt.Errorf("%s shows no form", at)
	}
	fields.Set("csrf", string(found[len(found)-1][1]))
	resp, err := b.client.PostForm(at, fields)
	return b.show(resp, err)
}

func (b *demoBrowser) show(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b.page, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Request.URL.Path, resp.Status)
	}
	return err
}

// noticeWords is the plain half of a notice.
func noticeWords(raw []byte) (string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		return "", err
	}
	body := io.Reader(part)
	if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(part)
	}
	text, err := io.ReadAll(body)
	return strings.ReplaceAll(string(text), "\r\n", "\n"), err
}
