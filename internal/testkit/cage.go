package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// neighbours is where .ci/setup lays out the mail systems that Debian does not
// install beside Postfix, one folder a package.
const neighbours = "/var/cache/sealpost-test"

// cageLifetime ends a server that a crashed test left behind.
const cageLifetime = "900" // seconds

// A cage is the root directory of one server and its processes: its files, its
// libraries, its users, and nothing of this machine but the network.
type cage struct {
	dir string
	log string // what the server writes to its standard output, as seen from here
}

// newCage copies what .ci/setup has laid out and adds users. Their ids are of
// nobody else on this machine.
func newCage(t testing.TB, pkg string, users ...string) *cage {
	t.Helper()
	needLaidOut(t, pkg)
	NeedRoot(t)
	dir := filepath.Join(privateDir(t, pkg), "root")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(neighbours, pkg))); err != nil {
		t.Fatal(err)
	}
	c := &cage{dir: dir, log: filepath.Join(filepath.Dir(dir), "log")}
	passwd, group := "root:x:0:0::/:/bin/false\n", "root:x:0:\n"
	for i, user := range users {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/false\n", user, cageUser+i, cageUser+i)
		group += fmt.Sprintf("%s:x:%d:\n", user, cageUser+i)
	}
	c.write(t, "etc/passwd", passwd)
	c.write(t, "etc/group", group)
	c.write(t, "etc/hosts", "127.0.0.1 localhost\n")
	c.write(t, "etc/resolv.conf", "lookup file\n")
	c.write(t, "dev/null", "") // a plain file will do: nothing is said to it or read from it
	if err := os.Chmod(filepath.Join(dir, "dev/null"), 0o666); err != nil {
		t.Fatal(err)
	}
	return c
}

// cageUser is the id of the first user in a cage.
const cageUser = 64990

func needLaidOut(t testing.TB, pkg string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(neighbours, pkg)); err == nil {
		return
	}
	if os.Getenv("SEALPOST_TEST_ALL") != "" {
		t.Fatalf("%s is not laid out, and `make test` needs it: run .ci/setup", pkg)
	}
	t.Skipf("LEFT OUT: %s is not laid out; `make test` does that and runs this test", pkg)
}

// write makes a file that only root may change, and the folders around it.
func (c *cage) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mkdir makes a folder that belongs to one of the users, by its number.
func (c *cage) mkdir(t testing.TB, name string, mode os.FileMode, user int) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	err := os.MkdirAll(path, 0o755)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil {
		err = os.Chown(path, user, user)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a program of the cage in it until the test ends.
func (c *cage) start(t testing.TB, program string, args ...string) {
	t.Helper()
	Need(t, "timeout", "chroot")
	log, err := os.Create(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args = append([]string{"--kill-after=5", cageLifetime, sbin("chroot"), c.dir, program}, args...)
	cmd := exec.Command("timeout", args...) // heads a process group, and passes our signal on to it
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s: %v", program, err)
		}
		_ = cmd.Wait() // ended by our signal, which Wait calls an error
	})
}

// read gives what is in these files of the cage, and in the server's output.
func (c *cage) read(t testing.TB, names ...string) string {
	t.Helper()
	var all strings.Builder
	for _, path := range append([]string{c.log}, names...) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.dir, path)
		}
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		all.Write(text)
	}
	return all.String()
}
