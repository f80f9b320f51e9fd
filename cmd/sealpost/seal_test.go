package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// keyFiles writes a certificate and its key.
func keyFiles(t testing.TB, id *testkit.Identity) (cert, key string) {
	t.Helper()
	return id.WriteFiles(t, t.TempDir(), "person")
}

// seal, then open with our own command and with OpenSSL: for every kind of key
// and cipher, and for both line ends.
func TestSealAndOpen(t *testing.T) {
	ca := testkit.NewCA(t)
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	for _, kind := range []string{"rsa2048", "p256", "p384", "p521", "x25519"} {
		id := ca.Issue(t, testkit.Leaf{Key: kind, Addresses: []string{"anna@example.org"}})
		cert, key := keyFiles(t, id)
		options := []string{"--cipher=aes-256-cbc", "--cipher=aes-128-gcm"}
		switch kind {
		case "rsa2048":
			options = append(options, "--oaep")
		case "p256":
			options = append(options, "--kdf=sha256")
		}
		for n, option := range options {
			in := message
			if n == 0 {
				in = strings.ReplaceAll(message, "\r\n", "\n") // a file as Unix has it
			}
			sealed, errs, code := sealpost(t, in, "seal", "--to", cert, option)
			if code != exitOK || errs != "" {
				t.Fatalf("%s %s: seal: %d, %s", kind, option, code, errs)
			}
			canary.Absent(t, "the sealed message", []byte(sealed))
			if !strings.Contains(sealed, "Subject: Your statement\r\n") || strings.Contains(sealed, "auditor@") {
				t.Errorf("%s %s: the header outside:\n%.500s", kind, option, sealed)
			}
			entity, errs, code := sealpost(t, sealed, "open", "--cert", cert, "--key", key)
			if code != exitOK || entity != entityOf(message) {
				t.Errorf("%s %s: open: %d, %s\n%q", kind, option, code, errs, entity)
			}
			if kind == "x25519" { // OpenSSL 3.0 has no RFC 8418
				continue
			}
			if got := string(testkit.OpenSSLOpen(t, []byte(sealed), id)); got != entityOf(message) {
				t.Errorf("%s %s: OpenSSL opened %q", kind, option, got)
			}
		}
	}
}

// One message to several, in one copy: each opens it.
func TestSealToSeveral(t *testing.T) {
	ca := testkit.NewCA(t)
	args := []string{"seal"}
	var certs, keys []string
	for _, kind := range []string{"rsa2048", "p256"} {
		cert, key := keyFiles(t, ca.Issue(t, testkit.Leaf{Key: kind, Addresses: []string{kind + "@example.org"}}))
		certs, keys, args = append(certs, cert), append(keys, key), append(args, "--to", cert)
	}
	message := sampleMail(testkit.NewCanary(t))
	sealed, _, _ := sealpost(t, message, args...)
	for i := range keys {
		if out, errs, code := sealpost(t, sealed, "open", "-k", keys[i], "-c", certs[i]); code != exitOK || out != entityOf(message) {
			t.Errorf("%d: %d, %s", i, code, errs)
		}
	}
}

// open reads what OpenSSL has sealed, in each form that it writes.
func TestOpenWhatOpenSSLSealed(t *testing.T) {
	testkit.Need(t, "openssl")
	ca := testkit.NewCA(t)
	const entity = "Content-Type: text/plain\r\n\r\nsealed by OpenSSL\r\n"
	for _, kind := range []string{"rsa2048", "p256"} {
		cert, key := keyFiles(t, ca.Issue(t, testkit.Leaf{Key: kind, Addresses: []string{"anna@example.org"}}))
		for _, options := range []string{"-aes-256-cbc", "-aes-128-cbc -stream", "-aes-256-gcm", "-aes-256-cbc -crlfeol"} {
			args := append([]string{"cms", "-encrypt", "-binary", "-subject", "x"}, strings.Fields(options)...)
			cmd := exec.Command("openssl", append(args, cert)...)
			cmd.Stdin = strings.NewReader(entity)
			sealed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			out, errs, code := sealpost(t, string(sealed), "open", "--cert", cert, "--key", key)
			if code != exitOK || out != entity {
				t.Errorf("%s, %s: %d, %q, %s", kind, options, code, out, errs)
			}
		}
	}
}

// What cannot work says why, on stderr, and gives no half of a message.
func TestSealAndOpenRefuse(t *testing.T) {
	ca := testkit.NewCA(t)
	cert, key := keyFiles(t, ca.For(t, "anna@example.org"))
	other, otherKey := keyFiles(t, ca.Issue(t, testkit.Leaf{Key: "p256", Addresses: []string{"bert@example.org"}}))
	signing, _ := keyFiles(t, ca.Issue(t, testkit.Leaf{Key: "ed25519", Addresses: []string{"anna@example.org"}}))
	dir := t.TempDir()
	locked, garbage, missing := filepath.Join(dir, "locked.key"), filepath.Join(dir, "garbage"), filepath.Join(dir, "missing")
	if out, err := exec.Command("openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	message := sampleMail(testkit.NewCanary(t))
	sealed, _, _ := sealpost(t, message, "seal", "--to", cert)
	authenticated, _, _ := sealpost(t, message, "seal", "--cipher=aes-256-gcm", "--to", cert)
	damaged := []byte(authenticated)
	for i := len(damaged) - 160; i < len(damaged)-84; i++ { // one line, in the ciphertext
		if damaged[i] != '\r' && damaged[i] != '\n' {
			damaged[i] = 'A'
		}
	}
	for _, c := range []struct {
		name, in, args string
		code           int
		says           string
	}{
		{"another's key", sealed, "open -c " + other + " -k " + otherKey, exitFailed, "sealpost: "},
		{"key and certificate of two people", sealed, "open -c " + cert + " -k " + otherKey, exitFailed, otherKey + " is not the key of the certificate in " + cert},
		{"an encrypted key", sealed, "open -c " + cert + " -k " + locked, exitFailed, locked + ": the key is encrypted; take the passphrase off first: openssl pkey"},
		{"no key in the file", sealed, "open -c " + cert + " -k " + cert, exitFailed, cert + ": holds no private key in PEM"},
		{"garbage for a certificate", sealed, "open -c " + garbage + " -k " + key, exitFailed, garbage + ": "},
		{"no certificate file", sealed, "open -c " + missing + " -k " + key, exitFailed, missing + ": no such file"},
		{"no key file", sealed, "open -c " + cert + " -k " + missing, exitFailed, missing + ": no such file"},
		{"damaged", string(damaged), "open -c " + cert + " -k " + key, exitFailed, "sealpost: "},
		{"cut short", sealed[:len(sealed)/2], "open -c " + cert + " -k " + key, exitFailed, "sealpost: "},
		{"not sealed", message, "open -c " + cert + " -k " + key, exitFailed, "sealpost: "},
		{"nothing", "", "open -c " + cert + " -k " + key, exitFailed, "sealpost: "},
		{"too large", sealed, "open --max-size 10 -c " + cert + " -k " + key, exitFailed, "sealpost: "},
		{"seal to garbage", message, "seal -t " + garbage, exitFailed, garbage + ": "},
		{"seal to no file", message, "seal -t " + missing, exitFailed, missing + ": no such file"},
		{"seal to a key that only signs", message, "seal -t " + signing, exitFailed, signing + ": "},
		{"seal with no such cipher", message, "seal --cipher des3 -t " + cert, exitUsage, "aes-256-cbc"},
		{"seal to nobody", message, "seal", exitUsage, "--to"},
		{"seal an endless header", strings.Repeat("A: b\r\n", 50000) + "\r\n", "seal -t " + cert, exitFailed, "sealpost: "},
	} {
		out, errs, code := sealpost(t, c.in, strings.Fields(c.args)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %d, %q, %s", c.name, code, out, errs)
		}
		if strings.Contains(errs, "panic") || strings.Contains(errs, "goroutine") {
			t.Errorf("%s: %s", c.name, errs)
		}
	}
}

// A PEM file may hold the chain too, in any order; the key says which is meant.
func TestOpenWithAChain(t *testing.T) {
	ca := testkit.NewCA(t)
	id := ca.For(t, "anna@example.org")
	cert, key := keyFiles(t, id)
	message := sampleMail(testkit.NewCanary(t))
	sealed, _, _ := sealpost(t, message, "seal", "--to", cert)
	chain := filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(chain, append(ca.PEM, id.CertPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := sealpost(t, sealed, "open", "-c", chain, "-k", key); code != exitOK || out != entityOf(message) {
		t.Errorf("%d, %s", code, errs)
	}
}
