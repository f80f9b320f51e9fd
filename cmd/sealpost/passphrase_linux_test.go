package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/testkit"
)

// A typist sits at a terminal; seen is what it shows him.
type typist struct {
	*os.File
	seen strings.Builder
}

// terminal opens a pair of pseudo terminals.
func terminal(t testing.TB) (*typist, *os.File) {
	t.Helper()
	us, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { us.Close() })
	n, err := unix.IoctlGetInt(int(us.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(us.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	it, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { it.Close() })
	return &typist{File: us}, it
}

// types waits for a question, and answers.
func (p *typist) types(t testing.TB, question, answer string) {
	t.Helper()
	buffer := make([]byte, 1024)
	testkit.Poll(t, question, func() bool {
		n, err := p.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, p.seen.String())
		}
		p.seen.Write(buffer[:n])
		return strings.HasSuffix(p.seen.String(), question)
	})
	testkit.Poll(t, "the echo to be off", func() bool {
		state, err := unix.IoctlGetTermios(int(p.Fd()), unix.TCGETS)
		return err == nil && state.Lflag&unix.ECHO == 0
	})
	if _, err := p.WriteString(answer + "\n"); err != nil {
		t.Fatal(err)
	}
}

// A passphrase is typed twice when it is new, and never shown.
func TestTypedPassphrase(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		code                int
	}{
		{"two different ones", rootPassphrase, rootPassphrase + "!", exitFailed},
		{"the same twice", rootPassphrase, rootPassphrase, exitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := aDirectory(t, "  ca: {certificate: ca.pem, key: ca.key, url: \"http://keys.bank.example\"}\n")
			args := in.makeAuthority("--config", in.config)
			args = append(args[:4:4], args[6:]...) // without the file
			us, it := terminal(t)
			cmd := command(t, append([]string{"directory"}, args...)...)
			cmd.Stdin, cmd.Stderr = it, it
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			us.types(t, "Passphrase of the root's key: ", c.first)
			us.types(t, "Once more: ", c.second)
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("%d, want %d", got, c.code)
			}
			if strings.Contains(us.seen.String(), rootPassphrase) {
				t.Error("the passphrase was shown")
			}
			if _, err := os.Stat(filepath.Join(in.dir, "root.age")); (err == nil) != (c.code == exitOK) {
				t.Error(err)
			}
		})
	}
}
