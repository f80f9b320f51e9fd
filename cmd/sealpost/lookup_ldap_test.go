package main

import (
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What an operator sees of a directory and of a certificate store: who has a
// certificate, who has none, and what the probe makes of mistakes.
func TestLookupInLDAPAndStore(t *testing.T) {
	in := newInstallation(t)
	s := testkit.StartSlapd(t, testkit.SlapdOptions{TLS: in.ca.Server(t)})
	s.Person(t, "anna", "anna@example.org", in.ca.For(t, "anna@example.org").Cert)
	s.Person(t, "none", "none@example.org")
	store := testkit.StartCertStore(t)
	store.Put(t, "stored@example.org/a.der", in.ca.For(t, "stored@example.org").Cert.Raw)
	in.write(t, "ldap.pass", testkit.SlapdPassword+"\n")
	in.write(t, "wrong.pass", "guess\n")
	upstream := "upstream:\n  - {address: \"" + testkit.StartSink(t, testkit.SinkOptions{}).Addr + "\", tls: none}\ntrust: {roots: [root.pem]}\n"
	source := func(keys string) string {
		return upstream + "lookup:\n  timeout: 10s\n  sources:\n    - {name: it, " + keys + "}\n"
	}
	directory := func(url, keys string) string {
		return source(`type: ldap, url: "` + url + `", base: "` + testkit.SlapdPeople + `"` + keys)
	}
	const login = `, bind_dn: "` + testkit.SlapdReader + `", password_file: ldap.pass`
	overTLS := directory(s.TLSURL, login+", tls_roots: [root.pem], trust: source")
	overStartTLS := directory(s.URL, login+", tls_roots: [root.pem], starttls: true")
	socket := directory(s.SocketURL, ", bind: external, scope: one")
	certs := source(`type: rfc4387, url: "` + store.URL + `"`)
	for _, test := range []struct {
		yaml, address string
		code          int
		says          string
	}{
		{overTLS, "anna@example.org", exitOK, "mail is sealed with"},
		{overTLS, "anna@example.org", exitOK, s.TLSURL + "/cn=anna"},
		{overStartTLS, "anna@example.org", exitOK, "mail is sealed with"},
		{socket, "anna@example.org", exitOK, "mail is sealed with"},
		{socket, "none@example.org", exitFailed, "no usable certificate (no-certificate)"},
		{socket, `"*)(mail=*"@example.org`, exitFailed, "no usable certificate (no-certificate)"},
		{directory(s.URL, ", filter: \"(|(mail={address})(cn={local}))\""), "anna@example.net", exitFailed, "certificate-address-mismatch"},
		{certs, "stored@example.org", exitOK, "mail is sealed with"},
		{certs, "nobody@example.org", exitFailed, "no usable certificate (no-certificate)"},
	} {
		in.configure(t, "", test.yaml)
		out, errs, code := sealpost(t, "", "lookup", "--config", in.config, test.address)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: exit code %d, no %q in\n%s%s", test.address, code, test.says, out, errs)
		}
	}
	for yaml, says := range map[string]string{
		overTLS: "source it: ok (none", overStartTLS: "source it: ok (none", socket: "source it: ok (none", certs: "source it: ok (none",
		directory(s.TLSURL, login): "source it: FAILED", // an unknown authority
		directory(s.URL, `, bind_dn: "`+testkit.SlapdReader+`", password_file: wrong.pass`):                       "check bind_dn and password_file",
		strings.Replace(directory(s.URL, ""), "ou=people", "ou=nobody", 1):                                        "check base",
		directory("ldap://"+testkit.FreeAddr(t), `, fallback_urls: ["`+s.URL+`"]`):                                "source it: ok (none",
		source(`type: rfc4387, url: "` + strings.Replace(store.URL, "search.cgi", "find", 1) + `"`):               "source it: FAILED",
		source(`type: rfc4387, url: "http://` + testkit.FreeAddr(t) + `/certificates/search.cgi", trust: source`): "source it: FAILED",
	} {
		in.configure(t, "", yaml)
		out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config)
		if want := !strings.Contains(says, "ok"); !strings.Contains(out, says) || want != (code == exitFailed) {
			t.Errorf("exit code %d, no %q in\n%s%s", code, says, out, errs)
		}
		if strings.Contains(out+errs, "guess") || strings.Contains(out+errs, testkit.SlapdPassword) {
			t.Errorf("the password stands in\n%s%s", out, errs)
		}
	}
}
