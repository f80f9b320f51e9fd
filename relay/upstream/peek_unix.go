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
	var b [1]byte
	quiet := false
	look := func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = err == unix.EAGAIN || err == unix.EINTR
	}
	return func() bool {
		err := raw.Control(look) // not Read, which would mind deadlines
		return err != nil || !quiet
	}
}

func never() bool { return false }
