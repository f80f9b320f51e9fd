package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Zone is one that a DNS serves.
type Zone struct {
	Name     string   // without the final dot, as signed.example
	Records  []string // lines of a zone file; names are relative to the zone, and a class is left out
	Unsigned bool     // no signatures, and no DS in the root
	Island   bool     // signatures, but no DS in the root
	Expired  bool     // signatures whose time is over
	Lame     bool     // the root points to a server that knows nothing of the zone
	NSEC3    bool
	OptOut   bool                     // with NSEC3: unsigned names are not proved to be missing
	Spoil    func(text string) string // changes the zone file after it was signed
}

// file writes the zone's file, signed unless it says otherwise, and gives its
// path and the DS record for the root.
func (z Zone) file(t testing.TB, dir string) (path, ds string) {
	t.Helper()
	text := "$ORIGIN " + z.Name + ".\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n"
	if z.Name == "" {
		text = "$ORIGIN .\n$TTL 60\n@ SOA ns. hostmaster. 1 3600 600 86400 60\n"
	}
	text += "@ NS ns\nns A 127.0.0.1\n" + strings.Join(z.Records, "\n") + "\n"
	base := "zone." + z.Name
	plain := writeFile(t, dir, base, []byte(text))
	if z.Unsigned {
		return plain, ""
	}
	key := strings.TrimSpace(z.ldns(t, dir, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.Name+"."))
	from, until := time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	if z.Expired {
		from, until = from.Add(-72*time.Hour), from.Add(-24*time.Hour)
	}
	const day = "20060102150405"
	args := []string{"-i", from.UTC().Format(day), "-e", until.UTC().Format(day), "-f", base + ".signed"}
	if z.NSEC3 || z.OptOut {
		args = append(args, "-n", "-t", "0")
	}
	if z.OptOut {
		args = append(args, "-p")
	}
	z.ldns(t, dir, "ldns-signzone", append(args, base, key)...)
	path = plain + ".signed"
	if z.Spoil != nil {
		signed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spoiled := z.Spoil(string(signed))
		if spoiled == string(signed) {
			t.Fatalf("nothing of the zone %s was spoiled", z.Name)
		}
		writeFile(t, dir, base+".signed", []byte(spoiled))
	}
	line, err := os.ReadFile(filepath.Join(dir, key+".ds"))
	if err != nil {
		t.Fatal(err)
	}
	return path, string(line)
}

func (z Zone) ldns(t testing.TB, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s for zone %s: %v\n%s", program, z.Name, err, stderr.String())
	}
	return string(out)
}

// delegation is what the root has about the zone.
func (z Zone) delegation(ds string) string {
	lines := fmt.Sprintf("%s. NS ns.%s.\nns.%s. A 127.0.0.1\n", z.Name, z.Name, z.Name)
	if z.Unsigned || z.Island {
		return lines
	}
	return lines + ds
}
