package lookup_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

var update = flag.Bool("update", false, "write docs/certificates.md anew")

// The page that operators read is the table that TestCertificates goes through.
func TestCertificatesPage(t *testing.T) {
	_, all := testkit.Specimens(t)
	head, err := os.ReadFile("testdata/certificates-head.txt")
	if err != nil {
		t.Fatal(err)
	}
	page := string(head) + specimenTables(all)
	const path = "../docs/certificates.md"
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Error("docs/certificates.md is not what the tests know: go test ./lookup -run TestCertificatesPage -update")
	}
}

func specimenTables(all []testkit.Specimen) string {
	var b strings.Builder
	for _, theme := range testkit.Themes() {
		fmt.Fprintf(&b, "\n## %s\n\n| certificate | `trust: pki` | `trust: source` | said in |\n|---|---|---|---|\n", theme)
		for _, s := range all {
			if s.Theme == theme {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", specimenName(s), verdictLink(s.PKI), verdictLink(s.Source), s.RFC)
			}
		}
	}
	return b.String()
}

func specimenName(s testkit.Specimen) string {
	name := strings.ReplaceAll(s.Name, "*@", `\*@`)
	if s.Unread != "" {
		name += " †"
	}
	if s.Allow != "" {
		name += ", with `" + s.Allow + "`"
	}
	if s.Address != anna {
		name += ", for `" + s.Address + "`"
	}
	return name
}

func verdictLink(token reason.Token) string {
	if token == reason.None {
		return "used"
	}
	return fmt.Sprintf("[%s](reasons.md#%[1]s)", token)
}
