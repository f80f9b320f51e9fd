package main

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/testkit"
)

// SIGTERM: clients that are idle hear 421, a transaction under way is finished,
// nobody new is let in, and the exit code is 0.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "")
	in.start(t)
	message := sampleMail(testkit.NewCanary(t))
	idle, busy := in.dial(t), in.dial(t)
	busy.say(t, "250", "MAIL FROM:<statements@bank.example> BODY=8BITMIME")
	busy.say(t, "250", "RCPT TO:<anna@example.org>")
	busy.say(t, "354", "DATA")
	busy.send(t, message[:len(message)/2])

	in.signal(t, syscall.SIGTERM)
	if got := idle.expect(t, "421 4.3.2"); !strings.HasSuffix(got, "(shutting-down)\r\n") {
		t.Error(got)
	}
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("behind 421: %v", err)
	}
	testkit.Poll(t, "the listener to close", func() bool { return !greets(in.addr) })
	busy.send(t, strings.ReplaceAll(message[len(message)/2:], "\r\n.", "\r\n..")+".\r\n")
	busy.expect(t, "250")
	busy.expect(t, "421")
	<-in.ended
	if code := in.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	in.opened(t, sink.Wait(t, 1)[0].Raw, "anna@example.org", message)
}

// A transaction that never ends does not hold the stop for ever.
func TestStopDoesNotWaitForEver(t *testing.T) {
	in := newInstallation(t, "anna@example.org")
	in.configure(t, testkit.FreeAddr(t), "limits: {shutdown_timeout: 200ms, temp_dir: tmp}\n")
	in.exit = exitFailed
	in.start(t)
	d := in.dial(t)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	d.say(t, "354", "DATA")
	in.signal(t, syscall.SIGTERM)
	select {
	case <-in.ended:
	case <-time.After(testkit.Patience):
		t.Fatal("still there")
	}
	in.waitLog(t, "shutdown_timeout")
}

// The supervisor hears when the server is ready, reloads and stops.
func TestSystemdHears(t *testing.T) {
	in := newInstallation(t)
	socket := filepath.Join(in.dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) string {
		buf := make([]byte, 1024)
		n, err := l.Read(buf)
		if err != nil || !bytes.HasPrefix(buf[:n], []byte(want)) {
			t.Fatalf("systemd heard %q, %v; want %s", buf[:n], err, want)
		}
		return string(buf[:n])
	}
	in.configure(t, testkit.FreeAddr(t), "")
	in.startWith(t, "NOTIFY_SOCKET="+socket)
	hear("READY=1")
	in.signal(t, syscall.SIGHUP)
	if got := hear("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("systemd heard %q", got)
	}
	hear("READY=1")
	in.signal(t, syscall.SIGTERM)
	hear("STOPPING=1")
}

// What start and reload begin, stop ends; nothing is left when the start fails.
func TestNothingKeepsRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	in := newInstallation(t, "anna@example.org")
	in.serverCertificate(t)
	in.configure(t, testkit.FreeAddr(t), "listen:\n  - {address: \""+in.addr+"\", networks: [127.0.0.0/8], tls: {mode: starttls, cert: relay.pem, key: relay.key}}\n")
	s, err := startServer(in.config, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	d := dialSMTP(t, in.addr)
	d.say(t, "250", "MAIL FROM:<statements@bank.example>")
	d.say(t, "250", "RCPT TO:<anna@example.org>")
	s.reload()
	if _, err := startServer(in.config, io.Discard); err == nil {
		t.Error("two servers on one port")
	}
	d.say(t, "250", "RSET")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	d.expect(t, "421")
	d.Close()
}

// A listener that cannot be opened ends the program at once.
func TestPortIsTaken(t *testing.T) {
	in := newInstallation(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.addr = sink.Addr
	in.configure(t, testkit.FreeAddr(t), "")
	_, errs, code := sealpost(t, "", "serve", "--config", in.config)
	if code != exitFailed || !strings.Contains(errs, sink.Addr) || !strings.Contains(errs, "address already in use") {
		t.Errorf("%d: %s", code, errs)
	}
}
