package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sealpost/directory/escrow"
	"sealpost/internal/testkit"
)

var update = flag.Bool("update", false, "write golden files and documentation anew")

// base holds what every configuration needs.
func base() map[string]string {
	return map[string]string{
		"hostname": "hostname: relay.example.com\n",
		"listen":   "listen: [{address: 127.0.0.1:10025, networks: [127.0.0.0/8]}]\n",
		"upstream": "upstream: [{address: 127.0.0.1:10026}]\n",
		"lookup":   "lookup: {sources: [{name: local, type: files, dir: certs}]}\n",
	}
}

// withBase puts the parts of base that text lacks behind it.
func withBase(text string) string {
	if strings.HasPrefix(text, "#raw\n") {
		return text[len("#raw\n"):]
	}
	var keys map[string]yaml.Node
	_ = yaml.Unmarshal([]byte(text), &keys) // a text that is no YAML gets all parts
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, key := range []string{"hostname", "listen", "upstream", "lookup"} {
		if _, ok := keys[key]; !ok && !strings.Contains("\n"+text, "\n"+key+":") {
			text += base()[key]
		}
	}
	return text
}

// around is a machine without a full name, in the test's own time.
func around() surroundings {
	return surroundings{hostname: func() (string, error) { return "localbox", nil }, now: time.Now}
}

// workFolder has the files that test configurations name.
func workFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	ca := testkit.NewCA(t)
	year := time.Now().AddDate(1, 0, 0)
	ca.Issue(t, testkit.Leaf{DNSNames: []string{"relay.example.com"}, Name: "relay", Key: "p256", NotAfter: year}).WriteFiles(t, dir, "relay")
	ca.Issue(t, testkit.Leaf{Name: "other", Key: "p256", NotAfter: year}).WriteFiles(t, dir, "other")
	ca.Issue(t, testkit.Leaf{Name: "expired", Key: "p256", NotAfter: time.Now().Add(-time.Minute)}).WriteFiles(t, dir, "expired")
	key, err := os.ReadFile(filepath.Join(dir, "relay.key"))
	if err != nil {
		t.Fatal(err)
	}
	const anna = "anna:$2a$04$bL6ys6DxM1iSZdCEqwhMyuwClhhbnEpVX6cACSPM2Qm0FVH0LDKhG\n"
	for name, content := range map[string]string{
		"roots.pem": string(ca.PEM), "pass": "open sesame\n", "pass-open": "open sesame\n", "pass-lines": "one\ntwo\n", "pass-empty": "\n",
		"logo.svg": "<svg/>", "texts.yaml": "en: {title: Keys}\n", "texts-bad.yaml": "en: {titel: Keys}\n", "users": anna, "users-open": anna, "users-plain": "anna:hunter2\nben\n", "users-empty": "#\n", "open.key": string(key),
	} {
		mode := os.FileMode(0o600)
		if strings.Contains(name, "open") {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := escrow.CreateFile(filepath.Join(dir, "escrow.key"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "oldspool"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "oldspool", "spool.format"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A part is a named stretch of a golden file, behind a line "-- NAME --".
type part struct{ name, text string }

func readParts(t testing.TB, path string) (comment string, parts []part) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- ")
		switch {
		case ok:
			parts = append(parts, part{name: name})
		case len(parts) == 0:
			comment += line
		default:
			parts[len(parts)-1].text += line
		}
	}
	return comment, parts
}

// TestMistakes holds every text that an operator is told.
func TestMistakes(t *testing.T) {
	dir := workFolder(t)
	const golden = "testdata/mistakes.txt"
	comment, parts := readParts(t, golden)
	want := map[string]string{}
	for _, p := range parts {
		want[p.name] = p.text
	}
	fresh, cases := comment, 0
	for _, p := range parts {
		name, ok := strings.CutSuffix(p.name, ".yaml")
		if !ok {
			continue
		}
		cases++
		got := mistakes(t, dir, p.text)
		fresh += fmt.Sprintf("-- %s --\n%s-- %s.want --\n%s", p.name, p.text, name, got)
		if got != want[name+".want"] && !*update {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", name, p.text, got, want[name+".want"])
		}
	}
	if cases < 60 {
		t.Errorf("only %d cases", cases)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// mistakes is the error text of a configuration that must not be accepted.
func mistakes(t *testing.T, dir, text string) string {
	t.Helper()
	_, _, err := parse(filepath.Join(dir, "sealpost.yaml"), []byte(withBase(text)), around())
	var list ErrorList
	if !errors.As(err, &list) {
		t.Errorf("accepted:\n%s", text)
		return ""
	}
	out := strings.ReplaceAll(list.Error(), dir, "DIR") + "\n"
	if strings.Contains(out, "hunter2") || strings.Contains(out, "sesame") {
		t.Errorf("a secret is shown:\n%s", out)
	}
	if goTypes.MatchString(out) {
		t.Errorf("a Go type is shown:\n%s", out)
	}
	return out
}
