package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

var yamlBlock = regexp.MustCompile("(?ms)^```yaml[^\n]*\n(.*?)^```$")

// Every whole configuration that a page shows passes `check`, in a folder that
// has the files which it may name.
func TestShownConfigurationsPassCheck(t *testing.T) {
	root := testkit.ModuleRoot(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	in := newInstallation(t)
	in.serverCertificate(t)
	in.users(t, "mailer", "secret")
	for name, text := range map[string]string{
		"roots.pem": string(in.ca.PEM), "ca.pem": string(in.ca.PEM), "upstream.pass": "secret\n", "token": "secret\n", "keys.token": "secret\n", "ldap.pass": "secret\n",
	} {
		in.write(t, name, text)
	}
	if err := os.Rename(filepath.Join(in.dir, "users"), filepath.Join(in.dir, "users.htpasswd")); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains("\n"+block[1], "\nlisten:") {
				continue
			}
			checked++
			in.write(t, "sealpost.yaml", block[1])
			if _, errs, code := sealpost(t, "", "check", "--config", in.config); code != exitOK {
				t.Errorf("%s:\n%s\n%s", filepath.Base(page), errs, block[1])
			}
		}
	}
	if checked < 3 {
		t.Errorf("only %d configurations were found", checked)
	}
}
