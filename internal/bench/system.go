package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"sealpost/internal/bench/load"
)

// A system is one way to bring mail from source to sink.
type system struct {
	name  string
	addr  string // where the source sends to
	sink  *load.Sink
	proof string // what the header of every message that arrives holds
	away  bool   // the sink is down while the source sends
	proc  *process
}

// A process is a running server.
type process struct {
	cmd   *exec.Cmd
	log   string // the file that has its output
	ended chan struct{}
	once  sync.Once
}

// startProcess runs a server until stop. Its output goes to a file.
func startProcess(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // what it says stands in ProcessState
		close(p.ended)
	}()
	return p, nil
}

func (p *process) tree() processTree { return processTree{p.cmd.Process.Pid} }

// stop ends the server as an administrator does, and for good after a while.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.ended:
		case <-time.After(15 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	})
}

// ready waits until the server greets.
func (p *process) ready(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if greets(addr) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server ended: %v\n%s", p.cmd.ProcessState, tail(p.log))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("nobody greets at %s\n%s", addr, tail(p.log)), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func greets(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	var greeting [3]byte
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	_, err = c.Read(greeting[:])
	return err == nil && string(greeting[:]) == "220"
}

// freeAddr is a port of loopback that nobody uses now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tail is the end of a log, for an error.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
