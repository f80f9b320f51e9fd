package reader_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"software.sslmate.com/src/go-pkcs12"

	"sealpost/directory/reader"
	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
	"sealpost/smime"
	"sealpost/smime/cms"
)

const passphrase = "drei Brücken über 水"

var modern = pkcs12.Modern2023

// sealed is a mail as our relay sends it.
func sealed(t testing.TB, mail []byte, id *testkit.Identity, c cms.Cipher, opts cms.KeyOptions) []byte {
	t.Helper()
	cert, err := certificate.Parse(id.Cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	to, err := cms.NewRecipient(cert, opts)
	if err != nil {
		t.Fatal(err)
	}
	m, err := smime.ReadMessage(bytes.NewReader(mail), smime.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := smime.SealStream(&out, m, smime.SealOptions{}, c, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sealedByOpenSSL is a mail as others send it.
func sealedByOpenSSL(t testing.TB, mail []byte, id *testkit.Identity, args ...string) []byte {
	t.Helper()
	testkit.Need(t, "openssl")
	cert, _ := id.WriteFiles(t, t.TempDir(), "to")
	cmd := exec.Command("openssl", append(append([]string{"cms", "-encrypt", "-binary"}, args...), cert)...)
	cmd.Stdin = bytes.NewReader(mail)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keyFile(t testing.TB, id *testkit.Identity, kind *pkcs12.Encoder) []byte {
	t.Helper()
	data, err := kind.Encode(id.Key, id.Cert, nil, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func issue(t testing.TB, key string) *testkit.Identity {
	t.Helper()
	return testkit.NewCA(t).Issue(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: key})
}

// onlyItsOwn makes sure that the page has fetched its own files and nothing else,
// and sent nothing.
func onlyItsOwn(t *testing.T, made []request, url string) {
	t.Helper()
	kinds := map[string]bool{}
	for _, r := range made {
		path, ours := strings.CutPrefix(r.url, url+"/read")
		_, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		switch {
		case r.method != http.MethodGet || len(r.body) > 0:
			t.Errorf("%s %s with %d bytes", r.method, r.url, len(r.body))
		case !ours || strings.Contains(r.url, "?") && path != "?lang=en" && path != "?lang=zh":
			t.Errorf("a request for %s", r.url)
		case path != "/frame" && path[0] != '?' && name != "read.js" && name != "worker.js" && name != "wasm_exec.js" && name != "reader.wasm":
			t.Errorf("a request for %s", r.url)
		}
		kinds[name] = true
	}
	if !kinds["reader.wasm"] || !kinds["worker.js"] {
		t.Errorf("the requests of the Worker were not recorded: %v", made)
	}
}

func TestReadsInChromium(t *testing.T) {
	canary := testkit.NewCanary(t)
	mail := statement(canary)
	rsa, p256 := issue(t, "rsa2048"), issue(t, "p256")
	v := visit(t, newReader(t, reader.Options{}), inOneProcess)
	for i, c := range []struct {
		name string
		id   *testkit.Identity
		data []byte
		key  *pkcs12.Encoder
	}{
		{"statement.eml", rsa, sealed(t, mail, rsa, cms.AES256CBC, cms.KeyOptions{}), pkcs12.Modern2023},
		{"oaep.eml", rsa, sealed(t, mail, rsa, cms.AES256GCM, cms.KeyOptions{OAEP: true}), pkcs12.LegacyDES},
		{"p256.eml", p256, sealed(t, mail, p256, cms.AES128GCM, cms.KeyOptions{}), pkcs12.Modern2023},
		{"smime.p7m", p256, sealedByOpenSSL(t, mail, p256, "-aes256", "-outform", "DER"), pkcs12.LegacyRC2},
		{"openssl.eml", rsa, sealedByOpenSSL(t, mail, rsa, "-aes-128-gcm"), pkcs12.LegacyRC2},
	} {
		v.enter("en")
		v.choose(v.file(c.name, c.data), v.file(fmt.Sprint(i, ".p12"), keyFile(t, c.id, c.key)), passphrase)
		if trouble := v.open(); trouble != "" {
			t.Errorf("%s: %s", c.name, trouble)
			continue
		}
		v.shown()
		if got := v.text("subject"); got != "Your statement for November" {
			t.Errorf("%s: the subject is %q", c.name, got)
		}
		v.shows(string(canary), "2 418,55 €")
		name := fmt.Sprintf("Statement %d.pdf", i)
		run(v, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector("#list a").download = %q`, name)))
		if got := v.save(1, name); !bytes.Equal(got, pdf(canary)) {
			t.Errorf("%s: the attachment has %d bytes, and they are others", c.name, len(got))
		}
	}
	made := v.site.made()
	onlyItsOwn(t, made, v.site.url)
	for _, r := range made {
		canary.Absent(t, r.url, append([]byte(r.url), r.body...))
	}
	if got := v.Trouble(); len(got) > 0 {
		t.Errorf("the console says: %q", got)
	}
}
