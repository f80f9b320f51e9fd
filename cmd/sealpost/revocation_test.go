package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What a support desk sees of withdrawn certificates, and of authorities that
// do not answer.
func TestLookupSaysWhatAuthoritiesSay(t *testing.T) {
	in := newInstallation(t)
	a := in.ca.Authority(t)
	in.personWith(t, "good@example.org", testkit.Leaf{Change: a.Points("crl")})
	in.personWith(t, "asked@example.org", testkit.Leaf{Change: a.Points("ocsp")})
	in.personWith(t, "silent@example.org", testkit.Leaf{})
	a.Withdraw(in.personWith(t, "gone@example.org", testkit.Leaf{Change: a.Points("crl")}).Cert, 1)
	a.Withdraw(in.personWith(t, "stolen@example.org", testkit.Leaf{Change: a.Points("ocsp")}).Cert, 1)
	check := func(mode, who string, wantCode int, words ...string) {
		t.Helper()
		in.configure(t, "127.0.0.1:25", "lookup:\n  timeout: 20s\n  sources:\n    - {name: pinned, type: files, dir: certs, trust: pki}\n"+
			"trust: {roots: [root.pem], revocation: "+mode+", fetch: {networks: [127.0.0.0/8]}}\n")
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, who)
		if code != wantCode {
			t.Errorf("%s, %s: exit code %d\n%s%s", mode, who, code, out, errs)
		}
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("%s, %s: no %q in\n%s", mode, who, w, out)
			}
		}
	}
	for _, mode := range []string{"soft", "hard"} {
		check(mode, "good@example.org", exitOK, "USED", "not withdrawn, says "+a.URL+"/crl")
		check(mode, "asked@example.org", exitOK, "USED", "not withdrawn, says "+a.URL+"/ocsp")
		check(mode, "gone@example.org", exitFailed, "certificate-revoked", "keyCompromise", a.URL+"/crl")
		check(mode, "stolen@example.org", exitFailed, "certificate-revoked", "keyCompromise", a.URL+"/ocsp")
	}
	check("soft", "silent@example.org", exitOK, "USED", "unknown: ", "names no list")
	check("hard", "silent@example.org", exitFailed, "cannot be looked up now", "revocation-unknown")
	check("off", "gone@example.org", exitOK, "USED")
	a.Stop()
	check("soft", "good@example.org", exitOK, "USED", "unknown: ")
	check("hard", "good@example.org", exitFailed, "cannot be looked up now", "revocation-unknown")
}
