//go:build unix

package upstream

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peeker gives a function that reports, without waiting, whether the socket
// has something to be read or is closed by the peer.
func peeker(nc net.Conn) func() bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return never
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return never
	}
	var poll [1]unix.PollFd
	ready := false
	look := func(fd uintptr) {
		poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(poll[:], 0)
		ready = err == nil && n > 0
	}
	return func() bool {
		err := raw.Control(look) // not Read, which would mind deadlines
		return err != nil || ready
	}
}

func never() bool { return false }
