package sealpost_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sealpost/internal/testkit"
)

// An instruction is one line of the Dockerfile, continuations joined.
type instruction struct{ name, args string }

// stages reads the Dockerfile: the instructions of each stage, FROM first.
func stages(t *testing.T) [][]instruction {
	t.Helper()
	var all [][]instruction
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", "")
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if name == "FROM" {
			all = append(all, nil)
		}
		if len(all) == 0 {
			t.Fatalf("the Dockerfile begins with %q", line)
		}
		all[len(all)-1] = append(all[len(all)-1], instruction{name, strings.TrimSpace(args)})
	}
	if len(all) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want build and final", len(all))
	}
	return all
}

// argument gives the arguments of a stage's only instruction of that name.
func argument(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.args)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the Dockerfile's stage %q has %d times %s", stage[0].args, len(found), name)
	}
	return found[0]
}

// execForm reads an instruction's JSON list; the image has no shell for the
// other form.
func execForm(t *testing.T, args string) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatalf("%s is not in exec form: %v", args, err)
	}
	return list
}

func TestDockerfile(t *testing.T) {
	all := stages(t)
	build, final := all[0], all[1]
	for _, i := range build {
		if from := strings.Fields(i.args); i.name == "COPY" {
			for _, source := range from[:len(from)-1] {
				if _, err := os.Stat(source); err != nil {
					t.Errorf("COPY %s: %v", i.args, err)
				}
			}
		}
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if !strings.HasPrefix(build[0].args, "golang:"+language+"-") {
		t.Errorf("the image is built with %s, go.mod wants Go %s", build[0].args, language)
	}
	if final[0].args != "scratch" {
		t.Errorf("the final stage starts from %s", final[0].args)
	}
	if user := argument(t, final, "USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %s: must be numeric and not root", user)
	}
	for _, i := range final {
		if i.name == "COPY" && !strings.HasPrefix(i.args, "--from=build ") {
			t.Errorf("COPY %s takes something that was not built", i.args)
		}
	}
}

// What .dockerignore lets through must be what the program is built from.
func TestDockerContextHoldsThePackages(t *testing.T) {
	ignore := strings.Split(read(t, ".dockerignore"), "\n")
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./cmd/sealpost").Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		dir, ours := strings.CutPrefix(p, "sealpost/")
		room, _, _ := strings.Cut(dir, "/")
		if ours && !slices.Contains(ignore, "!"+room) {
			t.Errorf(".dockerignore keeps %s out, and the program imports it", p)
		}
	}
}

// buildForImage builds the program with the Dockerfile's own command.
func buildForImage(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sealpost")
	for _, i := range stages(t)[0] {
		if i.name != "RUN" || !strings.Contains(i.args, "go build") {
			continue
		}
		cmd := exec.Command("bash", "-c", strings.ReplaceAll(i.args, "/out/sealpost", out))
		cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "COMMIT=abc123")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", i.args, err, text)
		}
	}
	return out
}

func TestBinaryIsStatic(t *testing.T) {
	f, err := elf.Open(buildForImage(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program wants a dynamic loader")
		}
	}
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the program wants libraries: %v, %v", libs, err)
	}
}

// TestImageRuns lays out the image's file system as the Dockerfile does, and
// runs its commands in it: as its user, with nothing else there.
func TestImageRuns(t *testing.T) {
	testkit.NeedRoot(t)
	final := stages(t)[1]
	root, health := layImage(t, final), testkit.FreeAddr(t)
	configure(t, root, testkit.FreeAddr(t), health)
	program := execForm(t, argument(t, final, "ENTRYPOINT"))
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: userOf(t, final)}
		return cmd
	}
	version, err := inside(program[0], "version").CombinedOutput()
	if err != nil || !strings.Contains(string(version), "v1.2.3 (commit abc123") {
		t.Errorf("version: %v: %s", err, version)
	}
	serve := inside(append(program, execForm(t, argument(t, final, "CMD"))...)...)
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	_, check, _ := strings.Cut(argument(t, final, "HEALTHCHECK"), "CMD ")
	testkit.WaitPort(t, health)
	testkit.Poll(t, "the image's health check", func() bool { return inside(execForm(t, check)...).Run() == nil })
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("serve: %v\n%s", err, log.String())
	}
}

// layImage copies what the final stage copies. The roots are this machine's.
func layImage(t *testing.T, final []instruction) string {
	t.Helper()
	root := t.TempDir()
	for dir := root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range final {
		if i.name != "COPY" {
			continue
		}
		from, to := strings.Fields(i.args)[1], filepath.Join(root, strings.Fields(i.args)[2])
		if from == "/out/sealpost" {
			from = buildForImage(t)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if from == "/out/tmp" {
			if err := os.Mkdir(to, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(to, 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		} else if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp %s: %v: %s", from, err, out)
		}
	}
	return root
}

func userOf(t *testing.T, final []instruction) *syscall.Credential {
	t.Helper()
	var c syscall.Credential
	if _, err := fmt.Sscanf(argument(t, final, "USER"), "%d:%d", &c.Uid, &c.Gid); err != nil {
		t.Fatal(err)
	}
	return &c
}

// configure writes the file that the image's command names.
func configure(t *testing.T, root, listen, metrics string) {
	t.Helper()
	dir := filepath.Join(root, "etc", "sealpost")
	if err := os.MkdirAll(filepath.Join(dir, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`hostname: sealpost.example
listen: [{address: "%s", networks: [127.0.0.0/8]}]
upstream: [{address: "127.0.0.1:9", tls: none}]
lookup: {sources: [{name: pinned, type: files, dir: certs}]}
policy: [{name: default, encrypt: always, no_key: reject}]
metrics: {address: "%s"}
`, listen, metrics)
	if err := os.WriteFile(filepath.Join(dir, "sealpost.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
