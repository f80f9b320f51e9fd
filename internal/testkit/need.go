// Package testkit starts the real neighbours that tests talk to, and makes the
// keys and certificates they need. Only tests import it.
package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// Need makes sure that the programs a test talks to are installed. Under
// `make test` (SEALPOST_TEST_ALL=1) a missing one fails the test; with plain
// `go test` the test is left out, and the output says so.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if _, err := os.Stat("/usr/sbin/" + p); err == nil {
			continue
		}
		if os.Getenv("SEALPOST_TEST_ALL") != "" {
			t.Fatalf("%s is not installed, and `make test` needs it: run .ci/setup", p)
		}
		t.Skipf("LEFT OUT: %s is not installed; `make test` installs it and runs this test", p)
	}
}

// NeedRoot makes sure that the test runs as root, under the same terms as Need.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("SEALPOST_TEST_ALL") != "" {
		t.Fatal("this test starts a real mail system and must be root")
	}
	t.Skip("LEFT OUT: only root can run this test; `make test` as root runs it")
}

// NeedPerl makes sure that Perl has a module which a program uses only for
// some of its work, under the same terms as Need.
func NeedPerl(t testing.TB, module, debianPackage string) {
	t.Helper()
	if exec.Command("perl", "-M"+module, "-e", "1").Run() == nil {
		return
	}
	if os.Getenv("SEALPOST_TEST_ALL") != "" {
		t.Fatalf("Perl's %s is not installed, and `make test` needs it: run .ci/setup", module)
	}
	t.Skipf("LEFT OUT: Perl's %s (%s) is not installed; `make test` installs it and runs this test", module, debianPackage)
}

// NeedBuilt makes sure of what `make page` compiles into the program, under the
// same terms as Need.
func NeedBuilt(t testing.TB, built bool) {
	t.Helper()
	switch {
	case built:
	case os.Getenv("SEALPOST_TEST_ALL") != "":
		t.Fatal("the page /read is not compiled into this test: run make page")
	default:
		t.Skip("LEFT OUT: the page /read is not compiled into this test; `make test` does that, and runs it")
	}
}

// NeedPKITS gives the folder of NIST's Public Key Interoperability Test Suite,
// which Debian has among the test vectors of python3-cryptography; without it
// the same terms hold as for Need.
func NeedPKITS(t testing.TB) string {
	t.Helper()
	const dir = "/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data"
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if os.Getenv("SEALPOST_TEST_ALL") != "" {
		t.Fatal("python3-cryptography-vectors is not installed, and `make test` needs it: run .ci/setup")
	}
	t.Skip("LEFT OUT: python3-cryptography-vectors is not installed; `make test` installs it and runs this test")
	return ""
}
