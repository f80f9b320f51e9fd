package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sealpost/relay/policy"
)

// full and alone together set every key that there is.
const full = `
hostname: relay.bank.example
listen:
  - address: 127.0.0.1:10025
    protocol: lmtp
    networks: [127.0.0.0/8, "::1/128", 192.0.2.1]
    tls: {mode: starttls, cert: relay.pem, key: relay.key}
    auth: {users: users}
    xforward: [127.0.0.0/8]
    proxy: [10.1.0.0/16]
    bare_newline: normalize
    chunking: false
    harvest: true
  - {address: ":2525", networks: [10.0.0.0/8]}
limits: {message_size: 10MB, recipients: 100, connections: 10, connections_per_client: 5, errors: 3, auth_failures: 7,
  upstream: {connections: 5, messages_per_connection: 1, idle_timeout: 1s, connect_timeout: 250ms, command_timeout: 1m, end_timeout: 1h},
  command_timeout: 90s, rate_window: 1m30s, min_rate: 0, shutdown_timeout: 0s, message_memory: 64KiB, total_memory: 10MiB, temp_dir: certs}
upstream:
  - {address: "mx.bank.example:25", tls: require, server_name: mail.bank.example, tls_roots: [roots.pem], auth: {user: "123", password_file: pass}, chunking: false}
  - {address: 127.0.0.1:10026, tls: none}
  - {address: "[::1]:26"}
on_trouble: spool
spool: {dir: spool, key_file: new.key, size: 1GiB, retry: [1s, 24h], expire: 48h, delay_notice: 0s, patience: 5s, deliveries: 3, hold_recheck: 1m, hold_expire: 72h, hold_notice: true}
lookup:
  sources:
    - {name: local, type: files, dir: certs}
    - {name: keys, type: http, url: "https://keys.bank.example/?q={address}", trust: source, token_file: pass, tls_roots: [roots.pem], timeout: 2s}
    - name: dns
      type: smimea
      resolver: ["tls://192.0.2.53:853", "192.0.2.54:53"]
      trusted_resolvers: ["192.0.2.54:53"]
      server_name: dns.bank.example
      tls_roots: [roots.pem]
      unsigned: unavailable
    - name: corp
      type: ldap
      url: "ldaps://ldap.bank.example"
      fallback_urls: ["ldap://ldap2.bank.example:3890"]
      starttls: true
      server_name: ldap.bank.example
      tls_cert: relay.pem
      tls_key: relay.key
      bind: simple
      bind_dn: "cn=relay,dc=bank,dc=example"
      password_file: pass
      base: "ou=people,dc=bank,dc=example"
      scope: one
      filter: "(|(mail={address})(uid={local}))"
      attributes: [userCertificate;binary]
      referrals: ignore
      aliases: follow
      connections: 4
    - {name: store, type: rfc4387, url: "https://store.bank.example/search.cgi", attribute: email}
    - {name: copied, type: directory, url: "https://keys.bank.example", mirror: keys.mirror, stale: 2h}
  mode: all
  timeout: 5s
  cache: {entries: 10, ttl: 2h, negative_ttl: 1s, stale: 48h, file: lookup.cache, file_entries: 2000}
trust: {roots: [roots.pem], system_roots: true, min_rsa_bits: 3072, fold_local_part: true, on_key_change: hold, known_keys: known.keys,
  pins: [{address: anna@example.org, sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}]}
smime: {content: aes-128-gcm, rsa: oaep, kdf: sha256, drop: [], max_certificates: 2}
policy:
  - {name: internal, sender: "<>", recipient: "*@bank.example", listener: ":2525", client: [10.1.0.0/16], header: {name: X-Internal, value: "yes"}, encrypt: never}
  - {name: default, no_key: plaintext}
directory: {address: ":8443", url: "https://keys.bank.example", tls: {mode: files, cert: relay.pem, key: relay.key}, store: {file: d.db}, index: d.index,
  on_key_change: hold, require_token: true, trusted_proxies: [10.2.0.0/16], rate: {per_second: 1, burst: 2},
  harvest: {trust: any, max_age: 48h, size: 1MiB}, page: {name: A Bank, logo: logo.svg, texts: texts.yaml, colours: {accent: "#0b5394", header: "#102a43"}, links: [{text: Imprint, text_zh: 版本, url: "https://bank.example/imprint"}]},
  ca: {certificate: relay.pem, key: relay.key, lifetime: 100h, keys: p-256, pool: 3, address: "127.0.0.1:8088", url: "http://keys.bank.example"},
  escrow: {key_file: escrow.key}, provision: {exclude: ["*@partner.example"], roles: deny, rate: {per_hour: 5, burst: 6}, keep: 1h},
  claim: {key: claim.key, notice: 48h, session: 30m, delete_after: 72h, templates: certs, language: zh, reminders: 1, remind_after: 240h},
  mail: {address: "mx.bank.example:587", tls: require, tls_roots: [roots.pem], username: keys, password_file: pass, from: keys@bank.example},
  enrol: {address: "127.0.0.1:2626", protocol: lmtp, mailbox: keys@bank.example, upstream: {address: "mx.bank.example:25", tls: require, tls_roots: [roots.pem]}}}
harvest: {url: "https://keys.bank.example", token_file: pass, tls_roots: [roots.pem], size: 2MiB, memory: 8MiB}
metrics: {address: none}
log: {level: debug, format: text}
`

// alone is a directory without a relay, on what excludes parts of full.
const alone = `
hostname: keys.bank.example
directory: {address: ":8443", tls: {mode: acme, domains: [keys.bank.example], cache: certs, email: ops@bank.example, acme_url: "https://ca.bank.example/dir"},
  store: {postgres_url_file: pass}, index: d.index,
  escrow: {vault: {url: "https://vault.bank.example:8200", mount: keys/transit, key: escrow, namespace: bank, token_file: pass, tls_roots: [roots.pem]}}}
`

func TestEffectiveIsTheSameConfiguration(t *testing.T) {
	dir := workFolder(t)
	file := filepath.Join(dir, "sealpost.yaml")
	for name, text := range map[string]string{"full": full, "alone": alone, "least": withBase("")} {
		first, _, err := parse(file, []byte(text), around())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		effective := first.Effective()
		// Paths are absolute by now: the folder no longer matters.
		second, _, err := parse("/elsewhere/sealpost.yaml", effective, around())
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, effective)
		}
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%s: the effective configuration reads as another one:\n%s\n%s", name, effective, second.Effective())
		}
		if bytes.Contains(effective, []byte("sesame")) || bytes.Contains(effective, []byte("$2a$")) {
			t.Errorf("%s: a secret is shown:\n%s", name, effective)
		}
	}
}

// TestFullIsFull keeps the round trip honest when keys are added.
func TestFullIsFull(t *testing.T) {
	dir := workFolder(t)
	effective := ""
	for _, text := range []string{full, alone} {
		c, _, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(text), around())
		if err != nil {
			t.Fatal(err)
		}
		effective += string(c.Effective())
	}
	for _, key := range keysOf(reflect.TypeFor[Config]()) {
		if !strings.Contains(effective, key+":") {
			t.Errorf("the key %s is not in the full configuration", key)
		}
	}
}

func keysOf(t reflect.Type) []string {
	var out []string
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range fields(t) {
		out = append(append(out, f.Tag.Get("yaml")), keysOf(f.Type)...)
	}
	return out
}

func TestDefaults(t *testing.T) {
	dir := workFolder(t)
	c, warnings, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(withBase("")), around())
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	want, err := os.ReadFile("testdata/defaults.yaml")
	if err != nil && !*update {
		t.Fatal(err)
	}
	got := bytes.ReplaceAll(c.Effective(), []byte(dir), []byte("/etc/sealpost"))
	if *update {
		if err := os.WriteFile("testdata/defaults.yaml", got, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestHostnameOfTheMachine(t *testing.T) {
	dir := workFolder(t)
	at := surroundings{hostname: func() (string, error) { return "gate.bank.example", nil }, now: time.Now}
	text := strings.Replace(withBase(""), "hostname: relay.example.com\n", "", 1)
	c, _, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(text), at)
	if err != nil || c.Hostname != "gate.bank.example" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestRules(t *testing.T) {
	dir := workFolder(t)
	c, _, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(full), around())
	if err != nil {
		t.Fatal(err)
	}
	rules := c.Rules()
	if len(rules) != 2 {
		t.Fatalf("%d rules", len(rules))
	}
	r := rules[0]
	if r.Name != "internal" || r.Sender != "<>" || r.Recipient != "*@bank.example" || r.Listener != ":2525" || len(r.Client) != 1 ||
		*r.Header != (policy.HeaderMatch{Name: "X-Internal", Value: "yes"}) || r.Encrypt != policy.Never || r.NoKey != policy.Reject {
		t.Errorf("first rule: %+v", r)
	}
	if r := rules[1]; r.Encrypt != policy.Always || r.NoKey != policy.Plaintext || r.Header != nil {
		t.Errorf("second rule: %+v", r)
	}
}
