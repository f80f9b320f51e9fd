package testkit

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// OpenSMTPDOptions say what an OpenSMTPD instance has beyond a plain relay.
type OpenSMTPDOptions struct {
	Relay string    // host:port that takes all mail; default: Sink does
	TLS   *Identity // offer STARTTLS
}

// An OpenSMTPD is a private instance of the real thing, in a root directory of
// its own. It takes mail from loopback for every domain. It knows neither
// PIPELINING nor CHUNKING, and minds clients that pipeline all the same.
type OpenSMTPD struct {
	Addr string // host:port of its smtp service
	Sink *Sink  // where delivered mail arrives, unless it is relayed
	cage *cage
}

// StartOpenSMTPD starts an instance that runs until the test ends. It needs to
// be root, as OpenSMTPD does.
func StartOpenSMTPD(t testing.TB, opts OpenSMTPDOptions) *OpenSMTPD {
	t.Helper()
	c := newCage(t, "opensmtpd", "opensmtpd", "opensmtpq")
	o := &OpenSMTPD{Addr: FreeAddr(t), cage: c}
	if opts.Relay == "" {
		o.Sink = StartSink(t, SinkOptions{Lenient: true, Hostname: "mailbox.example"})
		opts.Relay = o.Sink.Addr
	}
	c.mkdir(t, "var/spool/smtpd", 0o711, 0)
	c.mkdir(t, "var/lib/opensmtpd/empty", 0o755, 0)
	c.mkdir(t, "var/run", 0o755, 0)
	c.mkdir(t, "tmp", 0o777, 0)
	offers, pki := "", ""
	if opts.TLS != nil {
		c.write(t, "etc/tls.crt", string(opts.TLS.CertPEM))
		c.write(t, "etc/tls.key", string(opts.TLS.KeyPEM))
		pki = "pki own cert \"/etc/tls.crt\"\npki own key \"/etc/tls.key\"\n"
		offers = " tls pki own"
		o.private(t, "etc/tls.key")
	}
	_, own, _ := net.SplitHostPort(o.Addr)
	c.write(t, "etc/smtpd.conf", pki+"listen on 127.0.0.1 port "+own+offers+" hostname opensmtpd.example\n"+
		"action next relay host smtp://"+opts.Relay+"\nmatch from any for any action next\n")
	o.private(t, "etc/smtpd.conf")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("OpenSMTPD's log:\n%s", o.Log(t))
		}
	})
	c.start(t, "/usr/sbin/smtpd", "-d")
	Poll(t, "OpenSMTPD at "+o.Addr, func() bool { return greets(o.Addr) })
	return o
}

// private makes a file one that OpenSMTPD trusts.
func (o *OpenSMTPD) private(t testing.TB, name string) {
	t.Helper()
	if err := os.Chmod(filepath.Join(o.cage.dir, name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Log is OpenSMTPD's log so far.
func (o *OpenSMTPD) Log(t testing.TB) string {
	t.Helper()
	return o.cage.read(t)
}

// WaitLog waits until the log holds a text.
func (o *OpenSMTPD) WaitLog(t testing.TB, text string) {
	t.Helper()
	Poll(t, "OpenSMTPD to log "+text, func() bool { return strings.Contains(o.Log(t), text) })
}
