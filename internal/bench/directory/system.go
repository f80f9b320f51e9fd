package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sealpost/internal/bench/keyload"
)

// A system is one of the two directories, running.
type system struct {
	addr     string
	protocol keyload.Protocol
	imported time.Duration
	indexed  time.Duration // until its index had everything; ours only
	disk     int64
	cmd      *exec.Cmd
	ended    chan struct{}
}

func (s *system) stop() {
	if s == nil || s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// start runs a server until it listens at s.addr.
func (s *system) start(ctx context.Context, cmd *exec.Cmd, dir string) error {
	return s.startUntil(ctx, cmd, dir, func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *system) startUntil(ctx context.Context, cmd *exec.Cmd, dir string, ready func() bool) error {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // what it says stands in ProcessState
		close(s.ended)
	}()
	return s.until(ctx, "to listen", ready)
}

func (s *system) until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended: %v", s.cmd.Path, s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s was waited for %s: %w", s.cmd.Path, what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// cpu is the processor time that the process has used.
func (s *system) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// onDisk is what the files take, holes left out.
func onDisk(paths ...string) (sum int64) {
	for _, p := range paths {
		_ = filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				sum += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
			return nil
		})
	}
	return sum
}

const slapdConfig = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile $DIR/pid
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit unlimited
threads 4
loglevel 0
database mdb
suffix "` + keyload.Suffix + `"
directory $DIR/db
maxsize 17179869184
index objectClass,mail eq
`

// startSlapd loads the entries with slapadd, as its manual says for many, and
// starts the server.
func startSlapd(ctx context.Context, dir, ldif string) (*system, error) {
	s := &system{protocol: keyload.LDAP{}}
	if err := os.MkdirAll(filepath.Join(dir, "db"), 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "slapd.conf")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(slapdConfig, "$DIR", dir)), 0o600); err != nil {
		return nil, err
	}
	start := time.Now()
	if out, err := exec.CommandContext(ctx, "/usr/sbin/slapadd", "-q", "-f", config, "-l", ldif).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("slapadd: %w: %s", err, out)
	}
	s.imported, s.disk = time.Since(start), onDisk(filepath.Join(dir, "db"))
	var err error
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	return s, s.start(ctx, exec.Command("/usr/sbin/slapd", "-d", "0", "-f", config, "-h", "ldap://"+s.addr), dir)
}

const sealpostConfig = `hostname: keys.bench.example
directory:
  address: $ADDR
  $STORE
  rate: {per_second: 1000000, burst: 1000000}
metrics: {address: none}
log: {level: info, format: text}
`

// startSealpost imports with the command, beside no running server, and starts
// the server. With a URL it has PostgreSQL, and looks up there.
func startSealpost(ctx context.Context, binary, dir, certificates, postgres string) (*system, error) {
	s := &system{}
	store := "store: {file: keys.db}"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if postgres != "" {
		store = "store: {postgres_url_file: url}\n  lookups: store"
		if err := os.WriteFile(filepath.Join(dir, "url"), []byte(postgres), 0o600); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "sealpost.yaml")
	if err := os.WriteFile(config, []byte(strings.NewReplacer("$ADDR", s.addr, "$STORE", store).Replace(sealpostConfig)), 0o600); err != nil {
		return nil, err
	}
	start := time.Now()
	if out, err := exec.CommandContext(ctx, binary, "directory", "import", "--quiet", "--config", config, certificates).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("sealpost directory import: %w: %s", err, out)
	}
	s.imported = time.Since(start)
	token, err := exec.CommandContext(ctx, binary, "directory", "token", "create", "bench", "--scope", "read,batch,feed", "--config", config).Output()
	if err != nil {
		return nil, fmt.Errorf("sealpost directory token: %w", err)
	}
	s.protocol = keyload.HTTP{Token: strings.TrimSpace(string(token))}
	start = time.Now()
	if err := s.start(ctx, exec.Command(binary, "serve", "--config", config), dir); err != nil {
		return s, err
	}
	if postgres != "" {
		return s, nil
	}
	err = s.until(ctx, "to have its index", func() bool { return indexed(filepath.Join(dir, "log")) })
	s.indexed = time.Since(start)
	s.disk = onDisk(filepath.Join(dir, "keys.db"))
	return s, err
}

// indexed looks for the line that says that the index is complete, and asks
// the server until it does not need its database any more.
func indexed(log string) bool {
	text, err := os.ReadFile(log)
	return err == nil && strings.Contains(string(text), "mirror is complete")
}

// feed reads the whole directory as a mirror does, and gives changes a second.
func (s *system) feed(ctx context.Context) (float64, error) {
	start, changes, cursor := time.Now(), 0, ""
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/v1/changes?limit=1000&since="+cursor, nil)
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer "+s.protocol.(keyload.HTTP).Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("the feed: %s, %w", resp.Status, err)
		}
		changes += bytes.Count(body, []byte("\n")) - 1
		last := body[bytes.LastIndexByte(bytes.TrimSpace(body), '\n')+1:]
		_, rest, _ := strings.Cut(string(last), `"next":"`)
		cursor, _, _ = strings.Cut(rest, `"`)
		if bytes.Contains(last, []byte(`"complete":true`)) {
			return float64(changes) / time.Since(start).Seconds(), nil
		}
	}
}
