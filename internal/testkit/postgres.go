package testkit

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// postgresLifetime ends a server that a crashed test left behind.
const postgresLifetime = "900" // seconds

// PostgresOptions say how a PostgreSQL server runs.
type PostgresOptions struct {
	Durable  bool     // with fsync; else what it says it wrote may be in memory only
	Settings []string // further settings, such as "log_statement=all"
}

// A Postgres is a PostgreSQL server of its own, in a temporary folder, reached
// by a Unix socket there. The role "postgres" needs no password; a role named
// "guarded", once a test has made it, does.
type Postgres struct {
	opts    PostgresOptions
	home    string
	bin     string
	account *syscall.Credential // of an unprivileged user, when the test runs as root
	cmd     *exec.Cmd
	names   int
}

// StartPostgres starts a server that runs until the test ends.
func StartPostgres(t testing.TB, opts PostgresOptions) *Postgres {
	t.Helper()
	bin := needPostgres(t)
	p, err := newPostgres(bin, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(p.logFile())
			t.Logf("PostgreSQL's log:\n%s", log)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// A SharedPostgres is one server for all tests of a package, since making one
// takes seconds. It starts when the first test asks for a database; TestMain
// closes it.
type SharedPostgres struct {
	PostgresOptions
	once   sync.Once
	server *Postgres
	err    error
}

// Server gives the server, which is started when this is the first call.
func (s *SharedPostgres) Server(t testing.TB) *Postgres {
	t.Helper()
	bin := needPostgres(t)
	s.once.Do(func() { s.server, s.err = newPostgres(bin, s.PostgresOptions) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// Close stops the server, if it was started.
func (s *SharedPostgres) Close() error {
	if s.server == nil {
		return nil
	}
	return s.server.close()
}

// needPostgres finds the folder of the server's programs, which Debian keeps
// out of the PATH, one folder for each version.
func needPostgres(t testing.TB) string {
	t.Helper()
	Need(t, "timeout")
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(dirs) > 0 {
		slices.Sort(dirs)
		return filepath.Dir(dirs[len(dirs)-1])
	}
	Need(t, "initdb")
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

func newPostgres(bin string, opts PostgresOptions) (*Postgres, error) {
	p := &Postgres{opts: opts, bin: bin}
	var err error
	if p.home, err = os.MkdirTemp("", "sealpost-postgres-"); err != nil {
		return nil, err
	}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.home))
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// prepare makes the database cluster. PostgreSQL refuses to run as root.
func (p *Postgres) prepare() error {
	if os.Geteuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			account, err = user.Lookup("nobody")
		}
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		p.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(p.home, uid, gid); err != nil {
			return err
		}
	}
	initdb := p.command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	rules := "local all guarded scram-sha-256\nlocal all all trust\n"
	return os.WriteFile(filepath.Join(p.data(), "pg_hba.conf"), []byte(rules), 0o644)
}

func (p *Postgres) data() string    { return filepath.Join(p.home, "data") }
func (p *Postgres) logFile() string { return filepath.Join(p.home, "log") }

// command runs a program as the server's user.
func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = p.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	return cmd
}

func (p *Postgres) start() error {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	settings := append([]string{"listen_addresses=", "unix_socket_directories=" + p.home, "shared_buffers=128MB"}, p.opts.Settings...)
	if !p.opts.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"--kill-after=5", "--signal=INT", postgresLifetime, filepath.Join(p.bin, "postgres"), "-D", p.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	p.cmd = p.command("timeout", args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(Patience)
	for !p.ready() {
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(p.logFile())
			return fmt.Errorf("PostgreSQL does not start:\n%s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func (p *Postgres) ready() bool {
	return exec.Command(filepath.Join(p.bin, "pg_isready"), "-q", "-h", p.home, "-U", "postgres").Run() == nil
}

// Database makes an empty database and gives its URL.
func (p *Postgres) Database(t testing.TB) string {
	t.Helper()
	p.names++
	name := fmt.Sprintf("test%d", p.names)
	p.Run(t, "createdb", "-h", p.home, "-U", "postgres", name)
	return p.URL("postgres", name)
}

// URL names a database for a role.
func (p *Postgres) URL(role, database string) string {
	return "postgres://" + role + "@/" + database + "?host=" + url.QueryEscape(p.home)
}

// Run runs one of PostgreSQL's programs (psql, pg_dump …) and gives its output.
func (p *Postgres) Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(p.bin, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Stop ends the server, with all connections; Start brings it back.
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if err := p.end(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// Crash ends the server without a word, as when its machine loses power: it
// recovers from its log when it is started again.
func (p *Postgres) Crash(t testing.TB) {
	t.Helper()
	if err := p.end(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
}

// Start starts a server that was stopped.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
}

// Pause freezes all of the server's processes: connections stay open, and
// nobody answers. Resume thaws them.
func (p *Postgres) Pause(t testing.TB) {
	t.Helper()
	p.signalAll(t, syscall.SIGSTOP)
}

// Resume is the reverse of Pause.
func (p *Postgres) Resume(t testing.TB) {
	t.Helper()
	p.signalAll(t, syscall.SIGCONT)
}

// master is the process id of the server.
func (p *Postgres) master() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

func (p *Postgres) signalAll(t testing.TB, signal syscall.Signal) {
	t.Helper()
	master, err := p.master()
	if err != nil {
		t.Fatal(err)
	}
	all := append([]int{master}, children(master)...)
	for _, pid := range all {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// children gives the process ids of those that a process has started.
func children(parent int) []int {
	var list []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name in parentheses may hold anything; behind it: state, parent.
		_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			list = append(list, pid)
		}
	}
	return list
}

// end signals the server and waits for it.
func (p *Postgres) end(signal syscall.Signal) error {
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	master, err := p.master()
	if err == nil {
		err = syscall.Kill(master, signal)
	}
	_ = p.cmd.Wait() // ended by our signal, which Wait calls an error
	p.cmd = nil
	return err
}

func (p *Postgres) close() error {
	return errors.Join(p.end(syscall.SIGINT), os.RemoveAll(p.home))
}
