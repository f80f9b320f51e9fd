package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// The test binary is the program too: with this variable set it is sealpost,
// so that tests run the real thing as a process.
const beSealpost = "SEALPOST_TEST_IS_SEALPOST"

func TestMain(m *testing.M) {
	if os.Getenv(beSealpost) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(m.Run())
}

// command is sealpost with these arguments.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	// The race detector would have each process sleep a second at its end.
	cmd.Env = append(os.Environ(), beSealpost+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// sealpost runs a command to its end.
func sealpost(t testing.TB, in string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &e
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// An installation is a configured Sealpost with what belongs to it: a folder,
// a root, certificates in files, and the running process.
type installation struct {
	dir     string
	config  string
	addr    string // of its listener
	monitor string // of /metrics
	ca      *testkit.CA
	people  map[string]*testkit.Identity
	cmd     *exec.Cmd
	ended   chan struct{}
	exit    int    // the exit code it is to end with
	alone   bool   // a directory without a relay
	keys    string // where its directory answers

	mu    sync.Mutex
	heard []string // every reply that a dialog got
}

// newInstallation makes the folder; people get a certificate in certs/.
func newInstallation(t testing.TB, people ...string) *installation {
	t.Helper()
	in := &installation{
		dir: t.TempDir(), addr: testkit.FreeAddr(t), monitor: testkit.FreeAddr(t),
		ca: testkit.NewCA(t), people: map[string]*testkit.Identity{},
	}
	in.config = filepath.Join(in.dir, "sealpost.yaml")
	for _, sub := range []string{"certs", "tmp"} {
		if err := os.Mkdir(filepath.Join(in.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	in.write(t, "root.pem", string(in.ca.PEM))
	for _, p := range people {
		in.person(t, p)
	}
	return in
}

func (in *installation) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(in.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (in *installation) person(t testing.TB, address string) *testkit.Identity {
	t.Helper()
	return in.personWith(t, address, testkit.Leaf{})
}

// personWith is person for other certificates than the ordinary one.
func (in *installation) personWith(t testing.TB, address string, leaf testkit.Leaf) *testkit.Identity {
	t.Helper()
	if leaf.Addresses == nil {
		leaf.Addresses = []string{address}
	}
	id := in.ca.Issue(t, leaf)
	in.enroll(address, id)
	in.write(t, "certs/"+address+".pem", string(id.CertPEM))
	return id
}

// enroll makes somebody known who has no file: to the key server, and to the
// test.
func (in *installation) enroll(address string, id *testkit.Identity) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.people[address] = id
}

func (in *installation) identity(address string) *testkit.Identity {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.people[address]
}

// configure writes a configuration: the usual one for this upstream, with more
// lines behind it. A section that extra has takes the place of ours.
func (in *installation) configure(t testing.TB, upstream, extra string) {
	t.Helper()
	sections := []string{
		"hostname: relay.bank.example\n",
		"listen:\n  - address: " + in.addr + "\n    networks: [127.0.0.0/8]\n",
		"upstream:\n  - {address: \"" + upstream + "\", tls: none}\n",
		"limits: {temp_dir: tmp}\n",
		"lookup:\n  sources:\n    - {name: pinned, type: files, dir: certs}\n",
		"policy:\n  - {name: default, encrypt: always, no_key: reject}\n",
		"metrics: {address: \"" + in.monitor + "\"}\n",
		"log: {level: debug, format: text}\n",
	}
	var b strings.Builder
	for _, s := range sections {
		name, _, _ := strings.Cut(s, ":")
		if !strings.Contains("\n"+extra, "\n"+name+":") {
			b.WriteString(s)
		}
	}
	in.write(t, "sealpost.yaml", b.String()+extra)
}

// start runs `serve` until the test ends.
func (in *installation) start(t testing.TB) {
	t.Helper()
	in.startWith(t)
}

// startWith is start with more variables in the environment.
func (in *installation) startWith(t testing.TB, env ...string) {
	t.Helper()
	t.Cleanup(func() { in.stop(t) })
	in.launch(t, env...)
}

// launch begins a process that whoever started the first one will stop.
func (in *installation) launch(t testing.TB, env ...string) {
	t.Helper()
	in.cmd = command(t, "serve", "--config", in.config)
	log, err := os.OpenFile(filepath.Join(in.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	in.cmd.Stdout, in.cmd.Stderr = log, log
	in.cmd.Env = append(in.cmd.Env, "TMPDIR="+filepath.Join(in.dir, "tmp"))
	in.cmd.Env = append(in.cmd.Env, env...)
	if err := in.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.ended = make(chan struct{})
	go func() {
		_ = in.cmd.Wait() // the exit code is in ProcessState
		close(in.ended)
	}()
	testkit.Poll(t, "sealpost at "+in.addr, func() bool {
		select {
		case <-in.ended:
			t.Fatalf("sealpost ended: %v\n%s", in.cmd.ProcessState, in.log(t))
		default:
		}
		// The log says when the other listeners are open too.
		return in.answers() && strings.Contains(in.log(t), "effective")
	})
}

// stop sends SIGTERM; the exit code must be in.exit.
func (in *installation) stop(t testing.TB) {
	t.Helper()
	if in.ended == nil {
		return // it could not be started
	}
	select {
	case <-in.ended:
	default:
		if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-in.ended:
	case <-time.After(40 * time.Second):
		in.cmd.Process.Kill()
		t.Error("sealpost did not stop on SIGTERM")
		return
	}
	if code := in.cmd.ProcessState.ExitCode(); code != in.exit {
		t.Errorf("sealpost ended with %d\n%s", code, in.log(t))
	}
	if t.Failed() {
		t.Logf("sealpost's log:\n%s", in.log(t))
	}
}

func (in *installation) log(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(in.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// waitLog waits for a line of the log that holds all of these.
func (in *installation) waitLog(t testing.TB, parts ...string) string {
	t.Helper()
	var found string
	testkit.Poll(t, fmt.Sprintf("a log line with %q", parts), func() bool {
		for line := range strings.Lines(in.log(t)) {
			ok := true
			for _, p := range parts {
				ok = ok && strings.Contains(line, p)
			}
			if ok {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// answers reports whether the server takes connections.
func (in *installation) answers() bool {
	if !in.alone {
		return greets(in.addr)
	}
	c, err := net.DialTimeout("tcp", in.keys, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func greets(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return false
	}
	greeting := make([]byte, 3)
	_, err = io.ReadFull(c, greeting)
	return err == nil && string(greeting) == "220"
}
