package sealpost_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// shownBlocks gives the fenced blocks of a page whose info string ends in the
// words given, such as "sealpost.yaml filter".
func shownBlocks(t *testing.T, page, info string) []string {
	t.Helper()
	block := regexp.MustCompile("(?ms)^```[a-z]+ " + regexp.QuoteMeta(info) + "\n(.*?)^```$")
	var all []string
	for _, m := range block.FindAllStringSubmatch(read(t, page), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s shows no block %q", page, info)
	}
	return all
}

// buildPlain builds the program into a folder that can be put into PATH.
func buildPlain(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "./cmd/sealpost").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

func TestShownConfigurationsPassCheck(t *testing.T) {
	bin := buildPlain(t)
	for _, c := range []struct{ page, info string }{
		{"docs/postfix.md", "sealpost.yaml smarthost"},
		{"docs/postfix.md", "sealpost.yaml filter"},
		{"docs/install.md", "sealpost.yaml install"},
	} {
		dir := configFolder(t, shownBlocks(t, c.page, c.info))
		out, err := exec.Command(filepath.Join(bin, "sealpost"), "check", "--config", filepath.Join(dir, "sealpost.yaml")).CombinedOutput()
		if err != nil {
			t.Errorf("%s, %s: %v\n%s", c.page, c.info, err, out)
		}
	}
}

// The steps that docs/install.md shows are done as they stand there, in another
// folder than /etc.
func TestInstallStepsWork(t *testing.T) {
	testkit.Need(t, "openssl")
	bin := buildPlain(t)
	dir := configFolder(t, shownBlocks(t, "docs/install.md", "sealpost.yaml install"))
	steps := strings.Join(shownBlocks(t, "docs/install.md", "install"), "")
	shell := exec.Command("bash", "-euxc", strings.ReplaceAll(steps, "/etc/sealpost", dir))
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"anna@example.org", "default", "sealed"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the steps print nothing about %q:\n%s", want, out)
		}
	}
}

// configFolder lays out what the pages call /etc/sealpost.
func configFolder(t *testing.T, yaml []string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sealpost.yaml"), []byte(strings.Join(yaml, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
