package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// aDirectory is an installation with a directory and nothing else.
func aDirectory(t testing.TB, extra string) *installation {
	t.Helper()
	in := newInstallation(t)
	in.alone, in.keys = true, testkit.FreeAddr(t)
	in.config = in.write(t, "directory.yaml", "hostname: keys.bank.example\nmetrics: {address: \""+in.monitor+"\"}\n"+
		"directory:\n  address: "+in.keys+"\n  store: {file: keys.db}\n"+extra)
	return in
}

// directory runs a subcommand; it must end with this code.
func (in *installation) directory(t testing.TB, code int, args ...string) string {
	t.Helper()
	out, errs, got := sealpost(t, "", append([]string{"directory"}, append(args, "--config", in.config)...)...)
	if got != code {
		t.Fatalf("directory %s: %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out + errs
}

func listed(t testing.TB, lines string) (all []entryReport) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var r entryReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

func TestDirectoryCommands(t *testing.T) {
	in := aDirectory(t, "")
	anna, bert := in.person(t, "anna@example.org"), in.person(t, "bert@example.org")
	old := in.personWith(t, "old@example.org", testkit.Leaf{Addresses: []string{"old@example.org"}, Key: "rsa1024"})
	in.write(t, "certs/more.pem", string(bert.CertPEM)+string(old.CertPEM)+string(anna.CertPEM))
	people := filepath.Join(in.dir, "certs")

	if said := in.directory(t, exitFailed, "import", people); !strings.Contains(said, "2 added, 2 there already") ||
		!strings.Contains(said, "2 refused: certificate-weak-key") || !strings.Contains(said, "more.pem:") {
		t.Errorf("import: %s", said)
	}
	all := listed(t, in.directory(t, exitOK, "list", "--json"))
	if len(all) != 2 || all[0].Status != "active" || all[0].Origin != "import" {
		t.Fatalf("list: %+v", all)
	}
	if said := in.directory(t, exitOK, "show", "anna@example.org"); !strings.Contains(said, "RSA 2048") || !strings.Contains(said, "anna@example.org") {
		t.Errorf("show: %s", said)
	}
	shown := listed(t, in.directory(t, exitOK, "show", "bert@example.org", "--json"))
	if len(shown) != 1 || shown[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256(bert.Cert.Raw)) {
		t.Fatalf("show: %+v", shown)
	}
	fp := shown[0].SHA256
	in.directory(t, exitOK, "hold", fp, "--why", "asked by phone")
	if one := listed(t, in.directory(t, exitOK, "list", "--status", "held", "--json")); len(one) != 1 || one[0].Why != "asked by phone" {
		t.Errorf("held: %+v", one)
	}
	in.directory(t, exitOK, "accept", strings.ToUpper(fp))
	in.directory(t, exitOK, "revoke", fp, "--why", "key lost")
	if said := in.directory(t, exitFailed, "accept", fp); !strings.Contains(said, "for good") {
		t.Errorf("accept of a revoked one: %s", said)
	}
	if said := in.directory(t, exitOK, "status"); !strings.Contains(said, "active      1") || !strings.Contains(said, "revoked     1") {
		t.Errorf("status: %s", said)
	}
	in.directory(t, exitUsage, "show", "nonsense")
	in.directory(t, exitFailed, "show", "nobody@example.org")
	in.directory(t, exitFailed, "revoke", strings.Repeat("ab", 32))
}

// What is exported can be imported again, in each form, and by OpenSSL.
func TestDirectoryExport(t *testing.T) {
	in := aDirectory(t, "")
	for _, who := range []string{"anna@example.org", "bert@example.org", "bert@xn--exmple-cua.org"} {
		in.person(t, who)
	}
	in.directory(t, exitOK, "import", filepath.Join(in.dir, "certs"))
	for _, format := range []string{"pem", "ldif"} {
		text := in.directory(t, exitOK, "export", "--format", format)
		again := aDirectory(t, "")
		said := again.directory(t, exitOK, "import", again.write(t, "all."+format, text))
		if !strings.Contains(said, "3 added") {
			t.Errorf("%s: %s\n%s", format, said, text)
		}
		if n := len(listed(t, again.directory(t, exitOK, "list", "--json", "--domain", "exämple.org"))); n != 1 {
			t.Errorf("%s: %d in the domain", format, n)
		}
	}
}

func TestDirectoryTokens(t *testing.T) {
	in := aDirectory(t, "")
	out, errs, code := sealpost(t, "", "directory", "token", "create", "billing", "--scope", "read,batch", "--expires", "90d", "--config", in.config)
	secret := strings.TrimSpace(out)
	if code != exitOK || !strings.HasPrefix(secret, "sealpost_") || strings.Contains(secret, "\n") || strings.Contains(errs, secret) {
		t.Fatalf("%d, %s%s", code, out, errs)
	}
	said := in.directory(t, exitOK, "token", "list")
	if !strings.Contains(said, "billing") || !strings.Contains(said, "read,batch") || strings.Contains(said, secret) {
		t.Errorf("list: %s", said)
	}
	in.directory(t, exitFailed, "token", "create", "x", "--scope", "everything")
	id, _, _ := strings.Cut(said, " ")
	in.directory(t, exitOK, "token", "delete", id)
	if said := in.directory(t, exitOK, "token", "list"); said != "" {
		t.Errorf("list: %s", said)
	}
}

// A configuration without a directory has no commands for one.
func TestNoDirectory(t *testing.T) {
	in := newInstallation(t)
	in.configure(t, testkit.FreeAddr(t), "")
	if said := in.directory(t, exitUsage, "list"); !strings.Contains(said, "no section directory") {
		t.Error(said)
	}
}

// check knows a directory that is alone, and asks its database.
func TestCheckDirectory(t *testing.T) {
	in := aDirectory(t, "")
	if out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config); code != exitOK || !strings.Contains(out, "directory: ok (0 changes)") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	in.write(t, "keys.db", "this is no database, and long enough to be seen as one that is damaged")
	if out, errs, code := sealpost(t, "", "check", "--probe", "--config", in.config); code != exitFailed || !strings.Contains(out, "directory: FAILED") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}
