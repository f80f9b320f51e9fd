package api_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"mime"
	"mime/multipart"
	"os/exec"
	"strings"
	"testing"

	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup/keydb"
)

const annaPath = "GET /v1/certificates?email=anna@example.org"

func TestLookupInEveryForm(t *testing.T) {
	d := newDirectory(t, nil)
	second := d.enter(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	want := map[string]bool{string(d.anna.Cert.Raw): true, string(second.Cert.Raw): true}
	for accept, kind := range map[string]string{
		"":                               "application/json",
		"Accept: */*":                    "application/json",
		"Accept: text/html, */*;q=0.1":   "application/json",
		"Accept: application/x-pem-file": "application/x-pem-file",
		"Accept: application/pkix-cert":  "application/pkix-cert",
		"Accept: application/pkcs7-mime; smime-type=certs-only":                                 "application/pkcs7-mime; smime-type=certs-only",
		"Accept: application/pkcs7-mime":                                                        "application/pkcs7-mime; smime-type=certs-only",
		"Accept: application/json;q=0.5, application/pem-certificate-chain":                     "application/x-pem-file",
		"Accept: application/json;q=0, application/*;q=0.1":                                     "application/x-pem-file",
		"Accept: application/pkix-cert;q=0.3\nAccept: application/x-pem-file":                   "application/x-pem-file",
		"Accept: application/pkcs7-mime;smime-type=enveloped-data, application/pkix-cert;q=0.2": "application/pkix-cert",
	} {
		a := d.call(t, annaPath, accept, "").expect(t, 200, "")
		if got := a.Header.Get("Content-Type"); got != kind {
			t.Errorf("%q: %s, want %s", accept, got, kind)
			continue
		}
		for _, der := range certificatesOf(t, a) {
			if !want[string(der)] {
				t.Errorf("%q: a certificate that is not hers", accept)
			}
		}
		if n := len(certificatesOf(t, a)); n != 2 && !(kind == "application/pkix-cert" && n == 1) {
			t.Errorf("%q: %d certificates", accept, n)
		}
	}
	d.call(t, annaPath, "Accept: text/html", "").expect(t, 406, reason.NotAcceptable)
}

// certificatesOf reads an answer in any form.
func certificatesOf(t testing.TB, a answer) [][]byte {
	t.Helper()
	var all [][]byte
	if a.Header.Get("Content-Type") == "application/json" {
		addr, err := address.Parse("anna@example.org")
		if err != nil {
			t.Fatal(err)
		}
		read, err := keydb.ReadAnswer(a.body, addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range read.Certificates {
			all = append(all, c.DER)
		}
		return all
	}
	certs, err := certificate.ParseAll(a.body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range certs {
		all = append(all, c.Raw)
	}
	return all
}

// OpenSSL reads the certs-only form as its own.
func TestOpenSSLReadsTheBundle(t *testing.T) {
	testkit.Need(t, "openssl")
	d := newDirectory(t, nil)
	a := d.call(t, annaPath, "Accept: application/pkcs7-mime", "").expect(t, 200, "")
	cmd := exec.Command("openssl", "pkcs7", "-inform", "DER", "-print_certs")
	cmd.Stdin = bytes.NewReader(a.body)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, after, _ := bytes.Cut(out, []byte("-----BEGIN"))
	block, _ := pem.Decode(append([]byte("-----BEGIN"), after...))
	if block == nil || !bytes.Equal(block.Bytes, d.anna.Cert.Raw) {
		t.Errorf("OpenSSL finds another certificate: %s", out)
	}
}

func TestTags(t *testing.T) {
	d := newDirectory(t, nil)
	first := d.call(t, annaPath, "", "").expect(t, 200, "")
	tag := first.Header.Get("ETag")
	if pem := d.call(t, annaPath, "Accept: application/x-pem-file", "").Header.Get("ETag"); tag == "" || pem == tag {
		t.Errorf("tags %q and %q: a strong one is for one form", tag, pem)
	}
	for _, field := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		a := d.call(t, annaPath, "If-None-Match: "+field, "").expect(t, 304, "")
		if len(a.body) > 0 || a.Header.Get("ETag") != tag || a.Header.Get("Cache-Control") == "" {
			t.Errorf("If-None-Match %s: %v", field, a.Header)
		}
	}
	d.call(t, annaPath, `If-None-Match: "other"`, "").expect(t, 200, "")
	d.enter(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	if a := d.call(t, annaPath, "If-None-Match: "+tag, "").expect(t, 200, ""); a.Header.Get("ETag") == tag {
		t.Error("the tag stays, the answer changes")
	}
}

func TestHeadHasTheHeaderOfGet(t *testing.T) {
	d := newDirectory(t, nil)
	for _, path := range []string{"/v1/certificates?email=anna@example.org", "/v1/certificates?email=nobody@example.org", "/openapi.json"} {
		get, head := d.call(t, "GET "+path, "", ""), d.call(t, "HEAD "+path, "", "")
		get.Header.Del("Date")
		head.Header.Del("Date")
		if len(head.body) > 0 || head.StatusCode != get.StatusCode {
			t.Errorf("%s: %s and %s", path, head.Status, get.Status)
		}
		g, _ := json.Marshal(get.Header)
		h, _ := json.Marshal(head.Header)
		if !bytes.Equal(g, h) {
			t.Errorf("%s:\nGET  %s\nHEAD %s", path, g, h)
		}
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	d := newDirectory(t, nil)
	for query, token := range map[string]reason.Token{
		"": reason.RequestMalformed, "email": reason.AddressInvalid, "email=": reason.AddressInvalid,
		"email=anna": reason.AddressInvalid, "email=*@example.org": reason.NoCertificate, "email=%25@example.org": reason.AddressRouting,
		"email=@example.org": reason.AddressInvalid, "email=anna@example.org&email=bob@example.org": reason.RequestMalformed,
		"Email=anna@example.org": reason.RequestMalformed, "email=anna@example.org&limit=10": reason.RequestMalformed,
		"email=anna%4gexample.org": reason.RequestMalformed, "email=anna@example.org;x=1": reason.RequestMalformed,
		"email=Anna@example.org": reason.NoCertificate, // local parts are compared exactly
	} {
		status := 400
		if token == reason.NoCertificate {
			status = 404
		}
		d.call(t, "GET /v1/certificates?"+query, "", "").expect(t, status, token)
	}
	for _, spelled := range []string{"anna@EXAMPLE.org", "anna%40example.org", "%61nna@example.org"} {
		d.call(t, "GET /v1/certificates?email="+spelled, "", "").expect(t, 200, "")
	}
}

func TestSearchOfRFC4387(t *testing.T) {
	d := newDirectory(t, nil)
	for _, name := range []string{"uri", "email"} {
		a := d.call(t, "GET /certificates/search.cgi?"+name+"=anna%40example.org", "", "").expect(t, 200, "")
		if !bytes.Equal(a.body, d.anna.Cert.Raw) || a.Header.Get("Content-Type") != "application/pkix-cert" {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
	d.call(t, "GET /certificates/search.cgi?uri=nobody@example.org", "", "").expect(t, 404, reason.NoCertificate)
	for _, query := range []string{"", "certHash=AAAAAAAAAAAAAAAAAAAAAAAAAAA", "name=Anna", "iHash=AAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"uri=anna@example.org&uri=anna@example.org", "uri=anna@example.org&email=anna@example.org", "uri=%zz"} {
		d.call(t, "GET /certificates/search.cgi?"+query, "", "").expect(t, 400, reason.RequestMalformed)
	}
	d.call(t, "GET /certificates/search.cgi?uri=anna", "", "").expect(t, 400, reason.AddressInvalid)
	second := d.enter(t, testkit.Leaf{Addresses: []string{"anna@example.org"}, Key: "p256"})
	a := d.call(t, "GET /certificates/search.cgi?uri=anna@example.org", "", "").expect(t, 200, "")
	_, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	found := map[string]bool{}
	for range 2 {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(p); err != nil || p.Header.Get("Content-Type") != "application/pkix-cert" {
			t.Fatal(err, p.Header)
		}
		found[b.String()] = true
	}
	if !found[string(second.Cert.Raw)] || !found[string(d.anna.Cert.Raw)] {
		t.Error("the parts are other certificates")
	}
	tag := a.Header.Get("ETag")
	d.call(t, "GET /certificates/search.cgi?uri=anna@example.org", "If-None-Match: "+tag, "").expect(t, 304, "")
}

func TestBatch(t *testing.T) {
	d := newDirectory(t, nil)
	token := d.with(store.ScopeBatch) + "\nContent-Type: application/json"
	a := d.call(t, "POST /v1/certificates:batch", token, `{"addresses":["nobody@example.org","anna@EXAMPLE.org","what?","anna@example.org"]}`).expect(t, 200, "")
	var batch keydb.Batch
	if err := json.Unmarshal(a.body, &batch); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, -1, 1} {
		item := batch.Answers[i]
		switch {
		case want < 0 && (item.Error == nil || item.Error.Reason != reason.AddressInvalid || item.Address != "what?"):
			t.Errorf("%d: %+v", i, item)
		case want >= 0 && (item.Error != nil || item.Certificates == nil || len(item.Certificates) != want):
			t.Errorf("%d: %+v", i, item)
		}
	}
	large := `{"addresses":[` + strings.Repeat(`"a@example.org",`, keydb.MaxBatch) + `"b@example.org"]}`
	for body, why := range map[string]reason.Token{
		large: reason.RequestTooLarge,
		`{"addresses":["` + strings.Repeat("a", 3<<20) + `"]}`: reason.RequestTooLarge,
	} {
		d.call(t, "POST /v1/certificates:batch", token, body).expect(t, 413, why)
	}
	for _, body := range []string{"", "{}", "[]", `{"addresses":null}`, `{"addresses":[1]}`, `{"addresses":[]} x`, `{"adresses":[]}`, `{"addresses":["a`, "nul"} {
		d.call(t, "POST /v1/certificates:batch", token, body).expect(t, 400, reason.RequestMalformed)
	}
	d.call(t, "POST /v1/certificates:batch", d.with(store.ScopeBatch), `{"addresses":[]}`).expect(t, 415, reason.MediaTypeUnknown)
	d.call(t, "POST /v1/certificates:batch", token+"\nContent-Encoding: gzip", `{"addresses":[]}`).expect(t, 415, reason.MediaTypeUnknown)
}

func TestRequireToken(t *testing.T) {
	d := newDirectory(t, func(_ *directory, o *api.Options) { o.RequireToken = true })
	for _, path := range []string{annaPath, "GET /certificates/search.cgi?uri=anna@example.org"} {
		a := d.call(t, path, "", "").expect(t, 401, reason.TokenRequired)
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Error("no WWW-Authenticate")
		}
		d.call(t, path, "Authorization: Bearer wrong", "").expect(t, 401, reason.TokenRequired)
		d.call(t, path, "Authorization: Basic YTpi", "").expect(t, 401, reason.TokenRequired)
		d.call(t, path, d.with(store.ScopeFeed), "").expect(t, 403, reason.TokenScope)
		d.call(t, path, d.with(store.ScopeAdmin), "").expect(t, 200, "")
		a = d.call(t, path, d.with(store.ScopeRead), "").expect(t, 200, "")
		if !strings.HasPrefix(a.Header.Get("Cache-Control"), "private") {
			t.Errorf("others may keep it: %s", a.Header.Get("Cache-Control"))
		}
	}
}
