package lookup_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

// A folder is a directory of certificates under test.
type folder struct {
	testing.TB
	dir   string
	files *lookup.Files
	noted map[string]int // addresses told to Changed
}

// newFolder watches a directory that holds the given files at the start.
func newFolder(t testing.TB, start map[string][]byte) *folder {
	t.Helper()
	f := &folder{TB: t, dir: t.TempDir(), noted: map[string]int{}}
	for name, data := range start {
		f.write(name, data)
	}
	var err error
	f.files, err = lookup.NewFiles(lookup.FilesOptions{
		Dir: f.dir, Interval: time.Hour, Log: slog.New(slog.DiscardHandler),
		Changed: func(a address.Address) { f.noted[a.Key()]++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.files.Close)
	clear(f.noted)
	return f
}

func (f *folder) write(name string, data []byte) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), data, 0o600); err != nil {
		f.Fatal(err)
	}
}

// lookup gives the judged answer, the directory vouching.
func (f *folder) lookup(addr string) lookup.Answer {
	f.Helper()
	return trusted(f, f.files, lookup.TrustOptions{Vouch: lookup.Itself}).Lookup(context.Background(), parse(f, addr))
}

func (f *folder) want(addr string, outcome lookup.Outcome, token reason.Token) {
	f.Helper()
	if a := f.lookup(addr); a.Outcome != outcome || a.Reason != token {
		f.Errorf("%s: %v, reason %q (%v); want %v, %q", addr, a.Outcome, a.Reason, a.Err, outcome, token)
	}
}

// wantProblems compares the names of the files that have one.
func (f *folder) wantProblems(names ...string) {
	f.Helper()
	var got []string
	for _, p := range f.files.Problems() {
		got = append(got, filepath.Base(p.Path))
	}
	if !slices.Equal(got, names) {
		f.Errorf("problems with %q, want %q", got, names)
	}
}

func (f *folder) reload() {
	f.Helper()
	if err := f.files.Reload(); err != nil {
		f.Error(err)
	}
}

func TestFilesFind(t *testing.T) {
	ca := testkit.NewCA(t)
	pemOf := func(addresses ...string) []byte {
		return ca.Issue(t, testkit.Leaf{Name: "x", Addresses: addresses, Key: "p256"}).CertPEM
	}
	carl := ca.For(t, "carl@example.org")
	sub := ca.Intermediate(t, nil)
	f := newFolder(t, map[string][]byte{
		"anna@example.org.pem":  pemOf(anna),
		"some name.crt":         pemOf("bob@example.org", "bob@example.net"),
		"carl.der":              carl.Cert.Raw,
		"bundle.pem":            append(pemOf("dora@example.org"), pemOf("emil@example.org")...),
		"idn.pem":               pemOf("f@xn--bcher-kva.example"),
		"gerd@example.org.pem":  pemOf("somebody@example.com"),
		"heidi.pem":             append(sub.Issue(t, testkit.Leaf{Addresses: []string{"heidi@example.org"}}).CertPEM, sub.PEM...),
		"both.pem":              append(carl.KeyPEM, carl.CertPEM...),
		"half@example.org.pem":  pemOf("half@example.org")[:100],
		"ivan@example.org.pem":  append(pemOf("ivan@example.org"), carl.CertPEM[:100]...),
		"html.pem":              []byte("<html>"),
		"empty@example.org.pem": nil,
		"nobody.pem":            pemOf(),
		"issuer.pem":            sub.PEM,
		"README":                []byte("not looked at"),
		".hidden.pem":           []byte("not looked at"),
		"huge@example.org.pem":  make([]byte, 2<<20),
		"key@example.org.pem":   carl.KeyPEM,
		"Klara@Example.ORG.pem": pemOf("Klara@example.org"),
		"another case.pem":      pemOf("Ludwig@example.org"),
		"weak@example.org.p7b":  certsOnly(t, ca.Issue(t, testkit.Leaf{Addresses: []string{"weak@example.org"}, Key: "rsa1024"}).Cert.Raw),
	})
	for _, addr := range []string{
		anna, "bob@example.org", "bob@example.net", "carl@example.org", "dora@example.org", "emil@example.org",
		"f@bücher.example", "f@xn--bcher-kva.example", "heidi@example.org", "ivan@example.org", "Klara@example.org",
	} {
		f.want(addr, lookup.Found, reason.None)
	}
	f.want("unknown@example.org", lookup.None, reason.NoCertificate)
	f.want("weak@example.org", lookup.None, reason.CertificateWeakKey)
	f.want("ludwig@example.org", lookup.None, reason.CertificateAddress)
	f.want("gerd@example.org", lookup.Unavailable, reason.CertificateAddress)
	for _, unreadable := range []string{"half", "empty", "huge", "key"} {
		f.want(unreadable+"@example.org", lookup.Unavailable, reason.CertificateUnreadable)
	}
	f.wantProblems("both.pem", "empty@example.org.pem", "half@example.org.pem", "html.pem", "huge@example.org.pem",
		"ivan@example.org.pem", "key@example.org.pem", "nobody.pem")
	if a := f.lookup("heidi@example.org"); len(a.Candidates) != 2 {
		t.Errorf("%d candidates: the issuer in the same file is missing", len(a.Candidates))
	}
}

func certsOnly(t testing.TB, certs ...[]byte) []byte {
	return testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 7, 2), testkit.TLV(0xa0, testkit.TLV(0x30,
		testkit.TLV(2, []byte{1}), testkit.TLV(0x31), testkit.TLV(0x30, testkit.OID(t, 1, 2, 840, 113549, 1, 7, 1)),
		testkit.TLV(0xa0, certs...), testkit.TLV(0x31))))
}

func TestFilesChange(t *testing.T) {
	ca := testkit.NewCA(t)
	annaPEM, bobPEM := ca.For(t, anna).CertPEM, ca.For(t, "bob@example.org").CertPEM
	f := newFolder(t, map[string][]byte{"keep.pem": ca.For(t, "keep@example.org").CertPEM})
	f.want(anna, lookup.None, reason.NoCertificate)

	f.write("a.pem", annaPEM)
	f.reload()
	f.want(anna, lookup.Found, reason.None)
	f.wantNoted(anna)

	f.write("a.pem", bobPEM) // in place, and soon after
	f.reload()
	f.want(anna, lookup.None, reason.NoCertificate)
	f.want("bob@example.org", lookup.Found, reason.None)
	f.wantNoted(anna, "bob@example.org")

	f.reload()
	f.wantNoted()

	if err := os.Remove(filepath.Join(f.dir, "a.pem")); err != nil {
		t.Fatal(err)
	}
	f.reload()
	f.want("bob@example.org", lookup.None, reason.NoCertificate)
	f.wantNoted("bob@example.org")
	f.want("keep@example.org", lookup.Found, reason.None)
}

func (f *folder) wantNoted(addresses ...string) {
	f.Helper()
	slices.Sort(addresses)
	if got := slices.Sorted(maps.Keys(f.noted)); !slices.Equal(got, addresses) {
		f.Errorf("told of %q, want %q", got, addresses)
	}
	clear(f.noted)
}

// A file that is being written leaves what was there before in use.
func TestFilesHalfWritten(t *testing.T) {
	ca := testkit.NewCA(t)
	old, renewed := ca.For(t, anna), ca.For(t, anna)
	for _, name := range []string{"anna@example.org.pem", "some name.pem"} {
		f := newFolder(t, map[string][]byte{name: old.CertPEM})
		for _, n := range []int{0, 10, len(renewed.CertPEM) / 2, len(renewed.CertPEM) - 10} {
			f.write(name, renewed.CertPEM[:n])
			f.reload()
			f.want(anna, lookup.Found, reason.None)
			f.wantProblems(name)
		}
		f.write(name, renewed.CertPEM)
		f.reload()
		if got := f.lookup(anna).Usable(0); len(got) != 1 || !slices.Equal(got[0].Raw, renewed.Cert.Raw) {
			t.Errorf("%s: the old certificate is still in use", name)
		}
		f.wantProblems()
	}
}

func TestFilesDirectoryInTrouble(t *testing.T) {
	ca := testkit.NewCA(t)
	f := newFolder(t, map[string][]byte{"a.pem": ca.For(t, anna).CertPEM})
	away := f.dir + ".away"
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(f.dir, away)
	if err := f.files.Reload(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory gone: %v", err)
	}
	f.want(anna, lookup.Unavailable, reason.LookupUnavailable)
	f.want("unknown@example.org", lookup.Unavailable, reason.LookupUnavailable)

	if err := os.Mkdir(f.dir, 0o700); err != nil { // as a mount point without its file system
		t.Fatal(err)
	}
	if err := f.files.Reload(); err == nil {
		t.Error("an emptied directory is taken for the truth")
	}
	f.want("unknown@example.org", lookup.Unavailable, reason.LookupUnavailable)

	if err := os.Remove(f.dir); err != nil {
		t.Fatal(err)
	}
	rename(away, f.dir)
	f.reload()
	f.want(anna, lookup.Found, reason.None)
	f.want("unknown@example.org", lookup.None, reason.NoCertificate)
}

func TestFilesOddEntries(t *testing.T) {
	f := newFolder(t, nil)
	f.want(anna, lookup.None, reason.NoCertificate) // empty from the start is the truth
	if err := os.Mkdir(filepath.Join(f.dir, "dir@example.org.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(f.dir, "link@example.org.pem")); err != nil {
		t.Fatal(err)
	}
	f.reload()
	f.wantProblems("dir@example.org.pem", "link@example.org.pem")
	f.want("dir@example.org", lookup.Unavailable, reason.CertificateUnreadable)
	f.want("link@example.org", lookup.Unavailable, reason.CertificateUnreadable)
}

// The directory is watched without anybody asking for it.
func TestFilesWatch(t *testing.T) {
	cert := testkit.NewCA(t).For(t, anna).CertPEM
	dir := t.TempDir()
	addr := parse(t, anna)
	synctest.Test(t, func(t *testing.T) {
		files, err := lookup.NewFiles(lookup.FilesOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		if err := os.WriteFile(filepath.Join(dir, "a.pem"), cert, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if a := files.Lookup(context.Background(), addr); a.Outcome != lookup.Found {
			t.Errorf("%v", a.Outcome)
		}
	})
}

func TestFilesLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "broken.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	files, err := lookup.NewFiles(lookup.FilesOptions{Dir: dir, Interval: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	files.Close()
	files.Close() // does no harm
	if err := files.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "broken.pem"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	if p := files.Problems(); len(p) != 1 || !errors.Is(p[0].Err, certificate.ErrMalformed) {
		t.Errorf("problems %v", p)
	}
	if _, err := lookup.NewFiles(lookup.FilesOptions{Dir: filepath.Join(dir, "missing"), Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}
