package testkit

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// PostfixOptions say what a Postfix instance has beyond a plain relay.
type PostfixOptions struct {
	Main   string // put behind our main.cf: the last setting of a name wins
	Master string // services put behind our master.cf; an own "smtp inet" service takes the place of ours
	Relay  string // host:port that takes all mail; default: Sink does
}

// A Postfix is a private instance of the real thing, with queue, log and
// configuration in a folder of its own. It takes mail from loopback for every
// domain and delivers it by LMTP, which adds nothing to a message, to Sink.
type Postfix struct {
	Addr string // host:port of its smtp service
	Dir  string // its config_directory
	home string // the folder around that
	Sink *Sink  // where delivered mail arrives; bounces too
}

// Delivered is one delivered message for one recipient.
type Delivered struct {
	From, To string
	Raw      []byte // with CRLF, Postfix's own Received fields on top
}

// postfixLifetime ends an instance that a crashed test left behind.
const postfixLifetime = "900" // seconds

// StartPostfix starts an instance that runs until the test ends. It needs to
// be root, as Postfix does.
func StartPostfix(t testing.TB, opts PostfixOptions) *Postfix {
	t.Helper()
	Need(t, "postfix", "postconf", "postqueue")
	NeedRoot(t)
	p := &Postfix{Addr: FreeAddr(t), home: privateDir(t, "postfix")}
	p.Dir = filepath.Join(p.home, "etc")
	p.Sink = StartSink(t, SinkOptions{LMTP: true, Lenient: true, Hostname: "mailbox.example"})
	p.configure(t, opts)
	if out, err := exec.Command(sbin("postfix"), "-c", p.Dir, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s\n%s", err, out, p.Log(t))
	}
	p.start(t)
	Poll(t, "Postfix at "+p.Addr, func() bool { return greets(p.Addr) })
	return p
}

// start runs the master process in the foreground. `postfix start` would leave
// a daemon that outlives a crashed test.
func (p *Postfix) start(t testing.TB) {
	t.Helper()
	daemons, err := exec.Command(sbin("postconf"), "-c", p.Dir, "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatal(err)
	}
	master := exec.Command(filepath.Join(strings.TrimSpace(string(daemons)), "master"),
		"-s", "-c", p.Dir, "-e", postfixLifetime)
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := master.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("postfix: %v", err)
		}
		_ = master.Wait() // ended by our signal, which Wait calls an error
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.Log(t))
		}
	})
}

// configure writes main.cf and master.cf.
func (p *Postfix) configure(t testing.TB, opts PostfixOptions) {
	t.Helper()
	for _, dir := range []string{"etc", "queue", "data"} {
		if err := os.Mkdir(filepath.Join(p.home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "postfix", filepath.Join(p.home, "data")).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	transport := "default_transport = lmtp:inet:" + p.Sink.Addr
	if opts.Relay != "" {
		host, port, err := net.SplitHostPort(opts.Relay)
		if err != nil {
			t.Fatal(err)
		}
		transport = "default_transport = smtp:[" + host + "]:" + port
	}
	main := strings.NewReplacer("$DIR", p.home, "$TRANSPORT", transport).Replace(postfixMain)
	services := postfixMaster
	own := regexp.MustCompile(`(?m)^smtp(\s+inet)`)
	if own.MatchString(opts.Master) {
		services = own.ReplaceAllString(services, "# smtp$1")
	}
	services = own.ReplaceAllString(services+opts.Master+"\n", p.Addr+"$1")
	for name, text := range map[string]string{"main.cf": main + opts.Main + "\n", "master.cf": services} {
		if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// WaitDelivered waits until n recipients got their mail.
func (p *Postfix) WaitDelivered(t testing.TB, n int) []Delivered {
	t.Helper()
	Poll(t, "Postfix to deliver", func() bool { return len(p.delivered()) >= n })
	return p.delivered()
}

// Mailbox gives what was delivered to one address so far.
func (p *Postfix) Mailbox(address string) []Delivered {
	var box []Delivered
	for _, d := range p.delivered() {
		if d.To == address {
			box = append(box, d)
		}
	}
	return box
}

func (p *Postfix) delivered() []Delivered {
	var all []Delivered
	for _, m := range p.Sink.Messages() {
		for _, to := range m.To {
			all = append(all, Delivered{From: m.From, To: to.Address, Raw: m.Raw})
		}
	}
	return all
}

// Queue is what `postqueue -j` prints: one JSON object a line for each message
// that waits.
func (p *Postfix) Queue(t testing.TB) string {
	t.Helper()
	return p.run(t, "postqueue", "-j")
}

// Flush makes Postfix try every waiting message now.
func (p *Postfix) Flush(t testing.TB) {
	t.Helper()
	p.run(t, "postqueue", "-f")
}

// Sendmail submits a message as a local program does, by sendmail(1).
func (p *Postfix) Sendmail(t testing.TB, message []byte, from string, to ...string) {
	t.Helper()
	Need(t, "sendmail")
	args := append([]string{"-C", p.Dir, "-i", "-f", from, "--"}, to...)
	cmd := exec.Command(sbin("sendmail"), args...)
	cmd.Stdin = strings.NewReader(string(message))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sendmail: %v: %s", err, out)
	}
}

// Log is Postfix's log so far.
func (p *Postfix) Log(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(p.home, "mail.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return string(log)
}

// WaitLog waits until the log holds a text.
func (p *Postfix) WaitLog(t testing.TB, text string) {
	t.Helper()
	Poll(t, "Postfix to log "+text, func() bool { return strings.Contains(p.Log(t), text) })
}

func (p *Postfix) run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(sbin(program), append([]string{"-c", p.Dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
	return string(out)
}

// greets reports whether a server says 220 at addr.
func greets(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "220") {
		return false
	}
	_, err = c.Write([]byte("QUIT\r\n"))
	return err == nil
}
