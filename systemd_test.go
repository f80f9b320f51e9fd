package sealpost_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

const unitFile = "docs/install/sealpost.service"

// The unit is read by systemd's own tools. The program that it starts is not
// installed here; another takes its place.
func TestSystemdUnit(t *testing.T) {
	testkit.Need(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "sealpost.service")
	text := strings.ReplaceAll(read(t, unitFile), "/usr/local/bin/sealpost", "/bin/true")
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "sealpost") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	// 1.5 of 10: what is left is that it talks to the network.
	if out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", unit).CombinedOutput(); err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
}
