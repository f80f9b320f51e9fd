package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/testkit"
)

// A nuisance is a client that does not do its part. It returns what it heard
// last, when it is rid of.
type nuisance struct {
	name string
	does func(t *testing.T, c net.Conn) (heard string)
	want string // in what it heard; "": it is gone by its own doing
}

const begun = "EHLO nuisance.example\r\nMAIL FROM:<statements@bank.example>\r\nRCPT TO:<anna@example.org>\r\n"

var nuisances = []nuisance{
	{"says nothing", saying(""), "421 4.4.2"},
	{"half a command", saying("EHLO nuis"), "421 4.4.2"},
	{"half a transaction", saying(begun), "421 4.4.2"},
	{"half a message", saying(begun + "DATA\r\nSubject: stalled\r\n\r\nstalled\r\n."), "421 4.4.2"},
	{"half a chunk", saying(begun + "BDAT 1000000 LAST\r\nSubject: stalled\r\n\r\nstalled"), "421 4.4.2"},
	{"no next chunk", saying(begun + "BDAT 30\r\nSubject: stalled\r\n\r\nstalled.."), "421 4.4.2"},
	{"drop by drop", dripping, "421 4.4.2"},
	{"vanishes", func(_ *testing.T, c net.Conn) string {
		_, _ = io.WriteString(c, begun+"DATA\r\nSubject: vanished\r\n\r\nvanished\r\n")
		_ = c.(*net.TCPConn).SetLinger(0) // without a word, by a reset
		return ""
	}, ""},
	{"leaves in a chunk", func(_ *testing.T, c net.Conn) string {
		_, _ = io.WriteString(c, begun+"BDAT 1000 LAST\r\nSubject: vanished\r\n\r\nvanished")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		return ""
	}, ""},
	{"speaks TLS", saying("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "554 5.5.1"},
	{"speaks HTTP", saying("POST / HTTP/1.1\r\nHost: x\r\n\r\n" + begun), "554 5.5.1"},
	{"speaks nonsense", saying(strings.Repeat("FOO\r\n", 100)), "421 4.7.0"},
}

// saying sends a text and then listens to the end.
func saying(text string) func(*testing.T, net.Conn) string {
	return func(t *testing.T, c net.Conn) string {
		_, _ = io.WriteString(c, text)
		heard, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("after %.60q: %v (heard %q)", text, err, heard)
		}
		return string(heard)
	}
}

// dripping sends an octet at a time, far below any useful rate.
func dripping(t *testing.T, c net.Conn) string {
	_, _ = io.WriteString(c, begun+"DATA\r\n")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = io.WriteString(c, ".")
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	return saying("")(t, c)
}

// Hundreds of clients that stall, dribble and vanish, against the whole
// process: those who do their part are served meanwhile, and each of the others
// is told, or forgotten.
func TestGoodClientsInABadCrowd(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "on_trouble: defer\nlimits: {connections: 1000, connections_per_client: 900, command_timeout: 5s, rate_window: 2s, min_rate: 1KiB, temp_dir: tmp}\n")
	in.start(t)
	const each, good, messages = 40, 4, 20
	var crowd, arrived sync.WaitGroup
	for _, n := range nuisances {
		for range each {
			arrived.Add(1)
			crowd.Go(func() { n.bother(t, in.addr, arrived.Done) })
		}
	}
	arrived.Wait()
	canary := testkit.NewCanary(t)
	message := sampleMail(canary)
	var served sync.WaitGroup
	for range good {
		served.Go(func() {
			for range messages {
				if err := sendAlone(in.addr, message); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	served.Wait()
	crowd.Wait()
	if n := len(sink.Wait(t, good*messages)); n != good*messages {
		t.Errorf("%d messages came out, want %d: some client that did not finish was taken at its word", n, good*messages)
	}
	for _, m := range sink.Messages()[:good] {
		in.opened(t, m.Raw, "anna@example.org", message)
	}
	in.nowhere(t, canary, sink.Wire())
}

// bother runs one nuisance. arrived is called once it has the greeting.
func (n nuisance) bother(t *testing.T, addr string, arrived func()) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		arrived()
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	greeting := make([]byte, 4)
	_, err = io.ReadFull(c, greeting)
	arrived()
	if err != nil || string(greeting) != "220 " {
		t.Errorf("%s: greeted with %q, %v", n.name, greeting, err)
		return
	}
	if heard := n.does(t, c); !strings.Contains(heard, n.want) || strings.Contains(heard, "queued as") {
		t.Errorf("%s: heard %q, want %s", n.name, heard, n.want)
	}
}

// sendAlone sends one message on a connection of its own.
func sendAlone(addr, message string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	r := bufio.NewReader(c)
	if _, err := r.ReadString('\n'); err != nil { // who does not wait for the greeting is no good client
		return err
	}
	text := strings.ReplaceAll(message, "\r\n.", "\r\n..")
	if _, err := io.WriteString(c, "EHLO good.example\r\nMAIL FROM:<statements@bank.example> BODY=8BITMIME\r\nRCPT TO:<anna@example.org>\r\nDATA\r\n"+text+".\r\nQUIT\r\n"); err != nil {
		return err
	}
	heard, err := io.ReadAll(r)
	if err == nil && !(strings.Contains(string(heard), "queued as") && strings.Contains(string(heard), "\r\n221 ")) {
		err = fmt.Errorf("a good client heard %q", heard)
	}
	return err
}

// One address cannot take all the room: the next address is served.
func TestOneClientDoesNotTakeAllTheRoom(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "limits: {connections: 40, connections_per_client: 30, temp_dir: tmp}\n")
	in.start(t)
	for range 30 {
		in.dial(t)
	}
	d := in.dialog(t, connect(t, in.addr))
	d.expect(t, "421 4.7.0")
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := other.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	d = in.dialog(t, c)
	d.expect(t, "220")
	d.say(t, "250", "EHLO mailer.bank.example")
	if got := d.submit(t, sampleMail(testkit.NewCanary(t)), "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
}

// A thousand clients that wait cost little, and are told when the server goes.
func TestIdleCrowd(t *testing.T) {
	const clients = 1000
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, fmt.Sprintf("limits: {connections: %d, connections_per_client: %[1]d, temp_dir: tmp}\n", clients+10))
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	in.dial(t).submit(t, message, "anna@example.org") // what is needed once is there
	before := in.resident(t)
	dialogs := make([]*dialog, clients)
	for i := range dialogs {
		dialogs[i] = in.dial(t)
	}
	if each := (in.resident(t) - before) / clients; each > idleCost {
		t.Errorf("an idle connection takes %d KiB", each>>10)
	}
	if got := in.dial(t).submit(t, message, "anna@example.org"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	in.signal(t, syscall.SIGTERM)
	for _, d := range dialogs {
		d.expect(t, "421 4.3.2")
	}
	<-in.ended
}

// idleCost is the bound, in octets, of what an idle connection adds to the
// resident memory: 64 MiB for a thousand.
const idleCost = 64 << 10

// resident is the memory of the process in octets.
func (in *installation) resident(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(in.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("resident: %d KiB", kib)
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
