package userfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func hash(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func write(t testing.TB, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	// htpasswd writes $2y$, which is the same algorithm under another name.
	php := "$2y" + strings.TrimPrefix(hash(t, "sesame", bcrypt.MinCost), "$2a")
	write(t, path, "# comment", "", "anna:"+hash(t, "correct horse", bcrypt.MinCost), "ben:"+php+"\r")
	users, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if users.Len() != 2 {
		t.Errorf("%d users, want 2", users.Len())
	}
	for _, c := range []struct {
		user, password string
		want           bool
	}{
		{"anna", "correct horse", true},
		{"ben", "sesame", true},
		{"anna", "sesame", false},
		{"anna", "", false},
		{"Anna", "correct horse", false},
		{"", "", false},
		// The decoy is a real user's hash: its password must not let strangers in.
		{"nobody", "correct horse", false},
		{"nobody", "sesame", false},
	} {
		if got := users.Check(c.user, c.password); got != c.want {
			t.Errorf("Check(%q, %q) = %v", c.user, c.password, got)
		}
	}
}

func TestReloadKeepsTheOldUsersOnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "anna:"+hash(t, "one", bcrypt.MinCost))
	users, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "anna:one")
	if users.Reload() == nil {
		t.Error("a damaged file was taken")
	}
	if !users.Check("anna", "one") {
		t.Error("the users from before are gone")
	}
	write(t, path, "anna:"+hash(t, "two", bcrypt.MinCost))
	if err := users.Reload(); err != nil {
		t.Fatal(err)
	}
	if users.Check("anna", "one") || !users.Check("anna", "two") {
		t.Error("the new users do not hold")
	}
}

func TestMistakes(t *testing.T) {
	good := hash(t, "x", bcrypt.MinCost)
	costly := strings.Replace(good, "$04$", "$31$", 1)
	for name, c := range map[string]struct {
		lines  []string
		faults []int // lines
	}{
		"plain password":  {[]string{"anna:secret"}, []int{1}},
		"apr1":            {[]string{"anna:$apr1$abc$def"}, []int{1}},
		"no colon":        {[]string{"ok:" + good, "anna"}, []int{2}},
		"no name":         {[]string{":" + good}, []int{1}},
		"damaged":         {[]string{"anna:" + good[:40]}, []int{1}},
		"trailing bytes":  {[]string{"anna:" + good + ":x"}, []int{1}},
		"endless cost":    {[]string{"anna:" + costly}, []int{1}},
		"twice":           {[]string{"anna:" + good, "", "anna:" + good}, []int{3}},
		"several at once": {[]string{"anna:a", "ok:" + good, "ben:b"}, []int{1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(strings.Join(c.lines, "\n")))
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok || len(joined.Unwrap()) != len(c.faults) {
				t.Fatalf("got %v, want faults in lines %v", err, c.faults)
			}
			for i, e := range joined.Unwrap() {
				var fault *LineError
				if !errors.As(e, &fault) || fault.Line != c.faults[i] {
					t.Errorf("got %v, want a fault in line %d", e, c.faults[i])
				}
				if strings.Contains(e.Error(), "secret") {
					t.Errorf("the message repeats a password: %v", e)
				}
			}
		})
	}
}

func TestNoUsers(t *testing.T) {
	if _, err := parse([]byte("# nobody\n")); !errors.Is(err, ErrNoUsers) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("anna:$2a$04$abcdefghijklmnopqrstuu1234567890123456789012345678901234\n"))
	f.Add([]byte("#\n:\n::\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parse(data)
		if (table == nil) == (err == nil) {
			t.Fatalf("neither users nor an error, or both: %v", err)
		}
		if err == nil && (len(table.hashes) == 0 || table.decoy == nil) {
			t.Fatal("users without a decoy")
		}
	})
}
