package importer

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/certificate"
	"sealpost/internal/testkit"
)

// someCertificates are DER certificates for these addresses.
func someCertificates(t testing.TB, addresses ...string) [][]byte {
	t.Helper()
	ca := testkit.NewCA(t)
	var all [][]byte
	for _, a := range addresses {
		all = append(all, ca.Issue(t, testkit.Leaf{Addresses: []string{a}, Key: "p256"}).Cert.Raw)
	}
	return all
}

func pemOf(ders ...[]byte) string {
	var b strings.Builder
	for _, der := range ders {
		b.WriteString("subject=someone\n")
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}

// folded is an LDIF value in base64, in lines of 76.
func folded(attribute string, der []byte) string {
	line := attribute + ":: " + base64.StdEncoding.EncodeToString(der)
	var b strings.Builder
	for len(line) > 76 {
		b.WriteString(line[:76] + "\n ")
		line = line[76:]
	}
	return b.String() + line + "\n"
}

func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// all reads paths; places are relative to dir.
func all(t testing.TB, dir string, paths ...string) (found []string, failed map[string]error) {
	t.Helper()
	failed = map[string]error{}
	r := Reader{}
	err := r.Files(paths, func(it Item) error {
		it.Each(func(it Item) {
			where := strings.TrimPrefix(it.Where, dir+"/")
			if it.Err != nil {
				failed[where] = it.Err
				return
			}
			whose := ""
			for _, a := range it.Addresses {
				whose += " " + a.String()
			}
			found = append(found, fmt.Sprintf("%s %s%s", where, strings.Join(it.Cert.Addresses, ","), whose))
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, failed
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	c := someCertificates(t, "a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org", "f@example.org")
	write(t, dir, "in/a.pem", "text before\n"+pemOf(c[0], c[1]))
	write(t, dir, "in/deep/c.cer", string(c[2]))
	write(t, dir, "in/.hidden.pem", pemOf(c[3]))
	write(t, dir, "in/people.ldif", "version: 1\n\n# comment\n  of two lines\ndn: cn=D\nmail: d@example.org\nmail: dora@example.org\n"+
		folded("userCertificate;binary", c[3])+"\ndn: cn=nobody\ncn: nobody\n\n\ndn: cn=E\n"+folded("userCertificate", c[4])+"mail:: "+
		base64.StdEncoding.EncodeToString([]byte("e@example.org"))+"\n")
	write(t, dir, "keys/f.der", string(c[5]))
	write(t, dir, "in/list.csv", "address,file\nf@example.org,../keys/f.der\nf@example.org , ../keys/absent.der\nno address,x\none\n")
	write(t, dir, "in/notes.txt", "nothing here")
	if err := os.Symlink("..", filepath.Join(dir, "in", "deep", "loop")); err != nil {
		t.Fatal(err)
	}
	found, failed := all(t, dir, filepath.Join(dir, "in"), filepath.Join(dir, "gone.pem"))
	want := []string{
		"in/a.pem:3 a@example.org", "in/a.pem:" + fmt.Sprint(3+strings.Count(pemOf(c[0]), "\n")) + " b@example.org",
		"in/deep/c.cer c@example.org",
		"in/list.csv:2: " + dir + "/keys/f.der f@example.org f@example.org",
		"in/people.ldif:5 d@example.org d@example.org dora@example.org",
	}
	for _, w := range want {
		if !contains(found, w) {
			t.Errorf("not found: %s\nfound: %s", w, strings.Join(found, "\n       "))
		}
	}
	if len(found) != 6 {
		t.Errorf("%d certificates, want 6: %s", len(found), strings.Join(found, "\n"))
	}
	for where, want := range map[string]error{
		"gone.pem": os.ErrNotExist, "in/notes.txt": certificate.ErrNone, "in/list.csv:5": errColumns,
		"in/list.csv:3: " + dir + "/keys/absent.der": os.ErrNotExist,
	} {
		if !errors.Is(failed[where], want) {
			t.Errorf("%s: %v, want %v", where, failed[where], want)
		}
	}
	if failed["in/list.csv:4"] == nil || len(failed) != 5 {
		t.Errorf("failed: %v", failed)
	}
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// Each fault of an entry leaves the others alone.
func TestBrokenEntries(t *testing.T) {
	dir := t.TempDir()
	c := someCertificates(t, "a@example.org")
	good := "dn: cn=A\n" + folded("usercertificate;binary", c[0]) + "\n"
	for name, test := range map[string]struct {
		entry string
		want  error
	}{
		"URL":       {"dn: cn=B\nuserCertificate:< file:///etc/passwd\n\n", errURLValue},
		"base64":    {"dn: cn=B\nuserCertificate:: !!!!\n\n", errBase64},
		"no colon":  {"dn: cn=B\nnonsense\n\n", errNoColon},
		"change":    {"dn: cn=B\nchangetype: delete\n\n", errChange},
		"no DER":    {"dn: cn=B\nuserCertificate:: AAAA\n\n", certificate.ErrNone},
		"long line": {"dn: cn=B\nuserCertificate:: " + strings.Repeat("AAAA\n ", maxLine/4+2) + "\n\n", errLine},
	} {
		path := write(t, dir, strings.ReplaceAll(name, " ", "")+".ldif", good+test.entry+good)
		found, failed := all(t, dir, path)
		if len(found) != 2 || len(failed) != 1 {
			t.Errorf("%s: found %v, failed %v", name, found, failed)
		}
		for where, err := range failed {
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %s: %v, want %v", name, where, err, test.want)
			}
		}
	}
}

func TestBrokenPEM(t *testing.T) {
	dir := t.TempDir()
	c := someCertificates(t, "a@example.org")
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"cut":     {pemOf(c[0]) + "-----BEGIN CERTIFICATE-----\nMIIB\n", certificate.ErrTruncated},
		"damaged": {pemOf(c[0]) + "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", certificate.ErrTruncated},
		"key":     {pemOf(c[0]) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", certificate.ErrPrivateKey},
		"line":    {pemOf(c[0]) + strings.Repeat("x", maxLine+2), errLine},
	} {
		found, failed := all(t, dir, write(t, dir, name+".pem", test.text))
		if len(found) != 1 || len(failed) != 1 {
			t.Errorf("%s: found %v, failed %v", name, found, failed)
		}
		for _, err := range failed {
			if !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
	}
}

func TestStandardInput(t *testing.T) {
	c := someCertificates(t, "a@example.org", "b@example.org")
	var done int64
	r := Reader{Stdin: strings.NewReader(pemOf(c...)), Progress: func(n, _ int64) { done = n }}
	n := 0
	if err := r.Files([]string{"-"}, func(it Item) error { n++; return it.Err }); err != nil || n != 2 {
		t.Errorf("%d certificates, %v", n, err)
	}
	if int(done) != len(pemOf(c...)) {
		t.Errorf("progress %d of %d bytes", done, len(pemOf(c...)))
	}
}

// Whatever a file holds, an item is a certificate or an error, and reading it
// ends.
func FuzzFile(f *testing.F) {
	c := someCertificates(f, "a@example.org")
	for _, name := range []string{"x.ldif", "x.csv", "x.pem", "x"} {
		f.Add(name, []byte("dn: x\nmail: a@example.org\n"+folded("userCertificate;binary", c[0])))
		f.Add(name, []byte(pemOf(c[0])))
		f.Add(name, c[0])
		f.Add(name, []byte("a@example.org,/dev/null\n\"\n"))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if filepath.Ext(name) == ".csv" {
			return // it would open files: see FuzzLDIF's sibling TestFiles
		}
		r := Reader{}
		err := r.stream(filepath.Base(name), "", bytes.NewReader(data), func(it Item) error {
			n := 0
			it.Each(func(one Item) {
				if n++; (one.Cert == nil) == (one.Err == nil) {
					t.Errorf("certificate %v, error %v", one.Cert, one.Err)
				}
			})
			if n == 0 {
				t.Error("a piece without a word about it")
			}
			quick := plainPEM(it.piece)
			if slow, err := certificate.ParseAll(it.piece); quick != nil && (err != nil || len(slow) != 1 || !bytes.Equal(slow[0].Raw, quick.Raw)) {
				t.Errorf("the quick way finds a certificate, and the other %v, %v", slow, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
