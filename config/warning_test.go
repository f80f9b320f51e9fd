package config

import (
	"path/filepath"
	"strings"
	"testing"

	"sealpost/relay/policy"
)

// TestWarnings counts on keys, not on words: what is said is for people.
func TestWarnings(t *testing.T) {
	dir := workFolder(t)
	for name, c := range map[string]struct {
		text string
		keys []string
	}{
		"none":          {"", nil},
		"never":         {"policy: [{name: a, sender: a@b.example, encrypt: never}, {name: b}]\n", []string{"policy[0].encrypt"}},
		"plaintext":     {"policy: [{name: a, no_key: plaintext}]\n", []string{"policy[0].no_key"}},
		"open end":      {"policy: [{name: a, sender: a@b.example}]\n", []string{"policy[0]"}},
		"header at end": {"policy: [{name: a, header: {name: X-A}}]\n", []string{"policy[0]"}},
		"expired":       {"listen: [{address: \":25\", networks: [10.0.0.0/8], tls: {mode: starttls, cert: expired.pem, key: expired.key}}]\n", []string{"listen[0].tls.cert"}},
		"metrics":       {"metrics: {address: \":9225\"}\n", []string{"metrics.address"}},
		"unverified":    {"upstream: [{address: \"mx.example.com:25\", tls: require, verify: false}]\n", []string{"upstream[0].verify"}},
		"weak keys":     {"trust: {min_rsa_bits: 1024}\n", []string{"trust.min_rsa_bits"}},
		"trusted resolver": {"lookup: {sources: [{name: a, type: smimea, resolver: \"192.0.2.53:53\", trusted_resolvers: [\"192.0.2.53:53\"]}]}\n",
			[]string{"lookup.sources[0].trusted_resolvers[0]"}},
		"http lookup":                   {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: http, url: \"http://k.example/{address}\"}]}\n", []string{"lookup.sources[0].url"}},
		"clear over line":               {"upstream: [{address: \"mx.example.com:25\"}]\npolicy: [{name: a, no_key: plaintext}]\n", []string{"upstream[0].tls", "policy[0].no_key"}},
		"no encryption":                 {"lookup: {timeout: 1s}\npolicy: [{name: a, encrypt: never}]\n", []string{"policy[0].encrypt"}},
		"ldap":                          {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldaps://l.example\"}]}\n", nil},
		"ldap in the clear":             {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldap://l.example\", starttls: false}]}\n", []string{"lookup.sources[0].url"}},
		"ldap in the clear, further on": {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldapi://%2Frun%2Fldapi\", fallback_urls: [\"ldap://l.example\"], starttls: false}]}\n", []string{"lookup.sources[0].fallback_urls[0]"}},
		"ldap with StartTLS":            {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldap://l.example\"}]}\n", nil},
		"ldap here":                     {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldap://localhost\"}]}\n", nil},
		"ldap, anonymous":               {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldaps://l.example\", trust: source}]}\n", []string{"lookup.sources[0]"}},
		"ldap, login":                   {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldaps://l.example\", trust: source, bind_dn: \"cn=a\", password_file: pass}]}\n", nil},
		"ldap, local part":              {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: ldap, base: \"dc=example\", url: \"ldaps://l.example\", filter: \"(uid={local})\"}]}\n", []string{"lookup.sources[0].filter"}},
		"no authority yet": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, ca: {certificate: ca.pem, key: ca.key, address: \":80\"}}\n",
			[]string{"directory.ca", "directory.harvest.trust"}},
		"no master key yet": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, escrow: {key_file: none.key}}\n",
			[]string{"directory.escrow.key_file", "directory.harvest.trust"}},
		"a master key": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, escrow: {key_file: escrow.key}}\n",
			[]string{"directory.harvest.trust"}},
		"the key is lost": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, ca: {certificate: other.pem, key: ca.key, url: \"http://k.example\"}}\n",
			[]string{"directory.ca.key", "directory.harvest.trust"}},
		"lists by https": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, ca: {certificate: other.pem, key: other.key}}\n",
			[]string{"directory.ca", "directory.harvest.trust"}},
		"lists by http": {"directory: {address: \"127.0.0.1:1\", store: {file: d.db}, harvest: {trust: any}, ca: {certificate: other.pem, key: other.key, url: \"http://k.example\"}}\n",
			[]string{"directory.harvest.trust"}},
		"hold, nobody to tell": {"trust: {on_key_change: hold, known_keys: known.keys}\n", []string{"trust.on_key_change"}},
		"hold":                 {"trust: {on_key_change: hold, known_keys: known.keys}\ncontrol: control.sock\n", nil},
		"rfc4387 in the clear": {"trust: {roots: [roots.pem]}\nlookup: {sources: [{name: a, type: rfc4387, url: \"http://k.example/s\"}]}\n", []string{"lookup.sources[0].url"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(withBase(c.text)), around())
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, w := range warnings {
				keys = append(keys, w.Key)
			}
			if strings.Join(keys, " ") != strings.Join(c.keys, " ") {
				t.Errorf("got %v, want keys %v", warnings, c.keys)
			}
		})
	}
}

// TestCoversGlob also tries each claim on addresses: what a covers, a matches.
func TestCoversGlob(t *testing.T) {
	patterns := []string{"", "*", "<>", "a*", "*@x.example", "*@*.example", "a@x.example", "A@x.example", "?@x.example", "*?@x.example", "??@x.example", "**", "a*@x.example"}
	samples := []string{"", "a@x.example", "ab@x.example", "b@x.example", "b@y.x.example", "abc@z.example"}
	matches := func(p, s string) bool {
		if p == "" || p == "*" {
			return true
		}
		if s == "" {
			return p == "<>"
		}
		return policy.Glob(strings.ToLower(p), s)
	}
	claims := 0
	for _, a := range patterns {
		for _, b := range patterns {
			if !coversGlob(a, b) {
				continue
			}
			claims++
			for _, s := range samples {
				if matches(b, s) && !matches(a, s) {
					t.Errorf("%q does not cover %q: %q", a, b, s)
				}
			}
		}
	}
	if claims < 30 {
		t.Errorf("only %d pairs cover each other", claims)
	}
}

func TestSockets(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:25", "127.0.0.1:25", true},
		{"127.0.0.1:25", "127.0.0.1:26", false},
		{"127.0.0.1:25", "127.0.0.2:25", false},
		{":25", "127.0.0.1:25", true},
		{":25", "[::1]:25", true},
		{"0.0.0.0:25", "127.0.0.1:25", true},
		{"0.0.0.0:25", "[::1]:25", false},
		{"[::]:25", "127.0.0.1:25", true},
		{"0.0.0.0:25", "[::]:25", true},
	} {
		a, _ := socketOf("a", c.a)
		b, _ := socketOf("b", c.b)
		if a.overlaps(b) != c.want || b.overlaps(a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

// A key that could not be read is a mistake already: nothing follows from what
// it seems to be.
func TestNoWarningAboutWhatCouldNotBeRead(t *testing.T) {
	dir := workFolder(t)
	_, warnings, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(withBase("trust: {min_rsa_bits: many}\n")), around())
	if err == nil || len(warnings) != 0 {
		t.Errorf("%v, %v", err, warnings)
	}
}
