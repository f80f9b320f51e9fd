package main

import (
	"crypto/x509"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// people who can be written to, and people who cannot, each for one reason.
func (in *installation) odd(t testing.TB) {
	t.Helper()
	hour := time.Hour
	for address, leaf := range map[string]testkit.Leaf{
		"rsa@example.org":      {},
		"curve@example.org":    {Key: "p384"},
		"expired@example.org":  {NotBefore: time.Now().Add(-3 * hour), NotAfter: time.Now().Add(-hour)},
		"future@example.org":   {NotBefore: time.Now().Add(hour), NotAfter: time.Now().Add(3 * hour)},
		"weak@example.org":     {Key: "rsa1024"},
		"signing@example.org":  {Usage: x509.KeyUsageDigitalSignature},
		"web@example.org":      {ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		"signonly@example.org": {Key: "ed25519"},
		"ca@example.org":       {Change: func(c *x509.Certificate) { c.IsCA = true }},
	} {
		in.personWith(t, address, leaf)
	}
}

// refusals are what these people's certificates are refused for.
var refusals = map[string]string{
	"expired@example.org": "certificate-expired", "future@example.org": "certificate-not-yet-valid", "weak@example.org": "certificate-weak-key",
	"signing@example.org": "certificate-usage", "web@example.org": "certificate-usage", "signonly@example.org": "certificate-key-unsupported",
	"ca@example.org": "certificate-is-ca", "nobody@example.org": "no-certificate",
}

func TestLookupSaysWhy(t *testing.T) {
	in := newInstallation(t)
	in.odd(t)
	keys := newKeyserver(t, in)
	in.configure(t, "127.0.0.1:25", "lookup:\n  timeout: 500ms\n  sources:\n    - {name: pinned, type: files, dir: certs}\n"+keys.source(""))
	out, _, code := sealpost(t, "", "lookup", "--config", in.config, "rsa@example.org")
	for _, want := range []string{"rsa@example.org: mail is sealed with aes-256-cbc\n", "  pinned  files  found ", "  keys    http   not asked", "Certificate 1 of pinned: USED\n", "subject     CN=rsa@example.org",
		"issuer      CN=Sealpost Test Root", "key         RSA 2048", "SHA-256     ", "of its key  ", "found in    ", "usages      digitalSignature, keyEncipherment; for emailProtection",
		"vouched by  the source pinned itself", "expires in ", "aes-256-cbc: smime.content is auto", "no control socket"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%d: no %q in\n%s", code, want, out)
		}
	}
	for address, reason := range refusals {
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, address)
		if code != exitFailed || !strings.Contains(out, "no usable certificate ("+reason+")") || !strings.Contains(errs, "not every address") {
			t.Errorf("%s: %d\n%s%s", address, code, out, errs)
		}
		if reason != "no-certificate" && !regexp.MustCompile(`not used\n +why +it .* \(`+reason+`; RFC `).MatchString(out) {
			t.Errorf("%s: it does not say why:\n%s", address, out)
		}
	}
	in.enroll("other@example.org", in.ca.For(t, "other@example.org"))
	for _, address := range []string{"500@trouble.example", "other@trouble.example", "slow@trouble.example"} {
		out, _, code := sealpost(t, "", "lookup", "--config", in.config, address)
		if code != exitFailed || !strings.Contains(out, "cannot be looked up now (") || !strings.Contains(out, "  keys    http   unavailable") {
			t.Errorf("%s: %d\n%s", address, code, out)
		}
	}
	if _, errs, code := sealpost(t, "", "lookup", "--config", in.config, "not an address"); code != exitUsage || errs == "" {
		t.Errorf("no address: %d, %s", code, errs)
	}
}

func TestLookupJSON(t *testing.T) {
	in := newInstallation(t)
	in.odd(t)
	in.configure(t, "127.0.0.1:25", "")
	out, _, code := sealpost(t, "", "lookup", "--json", "--config", in.config, "rsa@example.org", "expired@example.org", "nobody@example.org")
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	for i, want := range []string{"found", "none", "none"} {
		var r map[string]any
		if err := decoder.Decode(&r); err != nil {
			t.Fatal(err)
		}
		members(t, r, "address", "outcome", "sources", "certificates")
		if r["outcome"] != want {
			t.Errorf("%v: %v", r["address"], r["outcome"])
		}
		for _, s := range r["sources"].([]any) {
			members(t, s, "name", "outcome", "seconds")
		}
		for _, c := range r["certificates"].([]any) {
			members(t, c, "source", "where", "subject", "issuer", "serial", "not_before", "not_after", "key", "sha256", "addresses", "used")
			if used := c.(map[string]any)["used"]; used != (i == 0) {
				t.Errorf("%v: used is %v", r["address"], used)
			}
		}
		if n := len(r["certificates"].([]any)); n != []int{1, 1, 0}[i] {
			t.Errorf("%v: %d certificates", r["address"], n)
		}
	}
}

// members wants these in a JSON object.
func members(t testing.TB, object any, names ...string) {
	t.Helper()
	m, _ := object.(map[string]any)
	for _, name := range names {
		if _, ok := m[name]; !ok {
			t.Errorf("no %q in %v", name, object)
		}
	}
}
