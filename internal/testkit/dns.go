package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// DNSOptions say what a DNS holds.
type DNSOptions struct {
	Zones    []Zone
	TLS      *Identity // of the resolver on ResolverTLS; default: it has no TLS
	Resolver []string  // more lines for the section server: of Unbound's configuration
	NoAnchor bool      // the resolver knows no key of the root, and so validates nothing
}

// A DNS is a whole one in small: a signed root with the zones below it, served
// by Knot, and before them Unbound, which validates with the root's key. The
// zones are signed by ldns with keys of this test.
type DNS struct {
	Server      string // HOST:PORT of Knot, UDP and TCP; it knows nothing of validating
	Resolver    string // HOST:PORT of Unbound, UDP and TCP
	ResolverTLS string // HOST:PORT of Unbound, DNS over TLS
	server      *exec.Cmd
	resolver    *exec.Cmd
}

// StartDNS starts both servers, which run until the test ends.
func StartDNS(t testing.TB, opts DNSOptions) *DNS {
	t.Helper()
	Need(t, "ldns-signzone", "ldns-keygen", "knotd", "unbound")
	dir := privateDir(t, "dns")
	d := &DNS{Server: FreeAddr(t), Resolver: FreeAddr(t), ResolverTLS: FreeAddr(t)}
	root := Zone{}
	knot := fmt.Sprintf("server:\n  rundir: %q\n  listen: %s\ndatabase:\n  storage: %q\nlog:\n  - target: stderr\n    any: info\nzone:\n", dir, dnsAt(d.Server), dir)
	unbound := d.unbound(t, dir, opts)
	for _, z := range opts.Zones {
		path, ds := z.file(t, dir)
		root.Records = append(root.Records, z.delegation(ds))
		if !z.Lame {
			knot += fmt.Sprintf("  - domain: %s\n    file: %q\n", z.Name, path)
		}
		unbound += fmt.Sprintf("stub-zone:\n  name: %s\n  stub-addr: %s\n", z.Name, dnsAt(d.Server))
	}
	path, ds := root.file(t, dir)
	knot += fmt.Sprintf("  - domain: .\n    file: %q\n", path)
	if !opts.NoAnchor {
		writeFile(t, dir, "root.key", []byte(ds))
	}
	d.server = startDNSServer(t, "Knot", sbin("knotd"), "-c", writeFile(t, dir, "knot.conf", []byte(knot)))
	WaitPort(t, d.Server)
	d.resolver = startDNSServer(t, "Unbound", sbin("unbound"), "-d", "-p", "-c", writeFile(t, dir, "unbound.conf", []byte(unbound)))
	WaitPort(t, d.Resolver)
	return d
}

// unbound is the configuration of the resolver, but for the zones below the root.
func (d *DNS) unbound(t testing.TB, dir string, opts DNSOptions) string {
	text := fmt.Sprintf(`server:
  directory: %q
  chroot: ""
  username: ""
  do-daemonize: no
  use-syslog: no
  logfile: ""
  interface: %s
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  ede: yes
  infra-keep-probing: yes
  msg-cache-size: 1m
  rrset-cache-size: 1m
`, dir, dnsAt(d.Resolver))
	if !opts.NoAnchor {
		text += "  trust-anchor-file: root.key\n"
	}
	if opts.TLS != nil {
		_, port, _ := net.SplitHostPort(d.ResolverTLS)
		cert, key := opts.TLS.WriteFiles(t, dir, "resolver")
		text += fmt.Sprintf("  interface: %s\n  tls-port: %s\n  tls-service-pem: %q\n  tls-service-key: %q\n", dnsAt(d.ResolverTLS), port, cert, key)
	}
	for _, line := range opts.Resolver {
		text += "  " + line + "\n"
	}
	return text + "remote-control:\n  control-enable: no\nstub-zone:\n  name: \".\"\n  stub-addr: " + dnsAt(d.Server) + "\n"
}

// dnsAt writes HOST:PORT as both servers want it.
func dnsAt(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return host + "@" + port
}

// PauseServer stops Knot in its tracks, as a machine that hangs: it takes
// questions and answers none. The function that it gives lets it go on.
func (d *DNS) PauseServer(t testing.TB) (resume func()) { return pauseDNS(t, d.server) }

// PauseResolver does the same with Unbound.
func (d *DNS) PauseResolver(t testing.TB) (resume func()) { return pauseDNS(t, d.resolver) }

func pauseDNS(t testing.TB, cmd *exec.Cmd) (resume func()) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}

// StopResolver ends Unbound: its port is closed.
func (d *DNS) StopResolver(t testing.TB) { endDNS(d.resolver) }

// startDNSServer starts a server in the foreground that ends with the test, and
// shows what it said when the test fails.
func startDNSServer(t testing.TB, name, program string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), strings.ToLower(name)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endDNS(cmd)
		text, _ := os.ReadFile(log.Name())
		log.Close()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, text)
		}
	})
	return cmd
}

var endingDNS sync.Mutex

// endDNS kills a server and waits until it is gone; once is enough.
func endDNS(cmd *exec.Cmd) {
	endingDNS.Lock()
	defer endingDNS.Unlock()
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
