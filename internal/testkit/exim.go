package testkit

import (
	"net"
	"strings"
	"testing"
)

// EximOptions say what an Exim instance has beyond a plain relay.
type EximOptions struct {
	Relay      string    // host:port that takes all mail, by BDAT where it offers that; default: Sink does
	NoChunking bool      // do not offer CHUNKING to clients
	TLS        *Identity // offer STARTTLS
}

// An Exim is a private instance of the real thing, in a root directory of its
// own. It takes mail from loopback for every domain.
type Exim struct {
	Addr string // host:port of its smtp service
	Sink *Sink  // where delivered mail arrives, unless it is relayed
	cage *cage
}

// StartExim starts an instance that runs until the test ends. It needs to be
// root, as Exim does.
func StartExim(t testing.TB, opts EximOptions) *Exim {
	t.Helper()
	c := newCage(t, "exim4-daemon-light", "Debian-exim")
	e := &Exim{Addr: FreeAddr(t), cage: c}
	if opts.Relay == "" {
		e.Sink = StartSink(t, SinkOptions{Lenient: true, Hostname: "mailbox.example"})
		opts.Relay = e.Sink.Addr
	}
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		c.mkdir(t, dir, 0o750, cageUser)
	}
	offers := "tls_advertise_hosts =\n"
	if opts.TLS != nil {
		c.write(t, "etc/exim4/tls.pem", string(opts.TLS.CertPEM)+string(opts.TLS.KeyPEM))
		offers = "tls_advertise_hosts = *\ntls_certificate = /etc/exim4/tls.pem\n"
	}
	if opts.NoChunking {
		offers += "chunking_advertise_hosts =\n"
	}
	_, own, _ := net.SplitHostPort(e.Addr)
	host, next, _ := net.SplitHostPort(opts.Relay)
	c.write(t, "etc/exim4/exim4.conf", strings.NewReplacer("$OFFERS", offers, "$PORT", own, "$HOST", host, "$NEXT", next).Replace(eximConfig))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Exim's log:\n%s", e.Log(t))
		}
	})
	c.start(t, "/usr/sbin/exim4", "-bdf", "-q1s")
	Poll(t, "Exim at "+e.Addr, func() bool { return greets(e.Addr) })
	return e
}

// eximConfig is a relay for everybody on loopback: nothing is looked up
// anywhere, and what fails is tried again soon.
const eximConfig = `
primary_hostname = exim.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = $PORT
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
log_file_path = /var/log/exim4/%slog
deliver_drop_privilege = true
smtp_accept_max = 0
dsn_advertise_hosts = *
acl_smtp_mail = accept
acl_smtp_rcpt = accept
acl_smtp_data = accept
$OFFERS
begin routers
next:
  driver = manualroute
  transport = next
  route_list = * $HOST
  self = send

begin transports
next:
  driver = smtp
  port = $NEXT
  hosts_try_chunking = *
  allow_localhost

begin retry
* * F,1h,1s
`

// Log is Exim's log so far.
func (e *Exim) Log(t testing.TB) string {
	t.Helper()
	return e.cage.read(t, "var/log/exim4/mainlog", "var/log/exim4/rejectlog", "var/log/exim4/paniclog")
}

// WaitLog waits until the log holds a text.
func (e *Exim) WaitLog(t testing.TB, text string) {
	t.Helper()
	Poll(t, "Exim to log "+text, func() bool { return strings.Contains(e.Log(t), text) })
}
