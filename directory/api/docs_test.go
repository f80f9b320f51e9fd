package api_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/directory/api"
	"sealpost/directory/harvest"
	"sealpost/directory/store"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// Every line that docs/api.md shows works as it stands, but for the directory's
// address.
func TestThePageIsTrue(t *testing.T) {
	testkit.Need(t, "curl", "openssl", "bash")
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 10 {
		t.Fatalf("only %d examples", len(blocks))
	}
	d := newDirectory(t, func(d *directory, o *api.Options) {
		h, err := harvest.New(harvest.Options{Trust: lookup.TrustOptions{Roots: []*x509.Certificate{d.ca.Cert}}})
		if err != nil {
			t.Fatal(err)
		}
		o.Harvester = h
	})
	dir := t.TempDir()
	carl, dora := d.ca.For(t, "carl@example.org"), d.ca.For(t, "dora@example.org")
	carl.WriteFiles(t, dir, "carl")
	signed := testkit.SignedData{Content: []byte("Content-Type: text/plain\r\n\r\nHello.\r\n"), Signs: []testkit.Signature{{ID: dora}}}.
		Mail(t, "From: dora@example.org\r\nTo: keys@bank.example\r\nDate: "+time.Now().Format(time.RFC1123Z)+"\r\nMessage-ID: <1@example.org>\r\n")
	if err := os.WriteFile(filepath.Join(dir, "signed.eml"), signed, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		script := strings.ReplaceAll(b[1], "https://keys.bank.example", d.URL)
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "TOKEN="+d.secret[store.ScopeAdmin])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s%v: %s", b[1], err, out)
		}
		switch {
		case strings.Contains(script, "@carl.pem"):
			d.call(t, "GET /v1/certificates?email=carl@example.org", "", "").expect(t, 200, "")
		case strings.Contains(script, "DELETE"):
			d.call(t, "GET /v1/certificates?email=carl@example.org", "", "").expect(t, 404, reason.NoCertificate)
		case strings.Contains(script, "/v1/messages"):
			d.call(t, "GET /v1/certificates?email=dora@example.org", "", "").expect(t, 200, "")
		case strings.Contains(script, "since=$NEXT"):
			hash := strings.Fields(string(out))[len(strings.Fields(string(out)))-2]
			last, err := os.ReadFile(filepath.Join(dir, "page.ndjson"))
			if err != nil || !strings.Contains(string(last), hash) {
				t.Errorf("the page's hash is not %s: %v\n%s", hash, err, last)
			}
		}
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "sealed.eml"))
	if err != nil || !strings.Contains(string(sealed), "enveloped-data") {
		t.Errorf("nothing was sealed: %v", err)
	}
}
