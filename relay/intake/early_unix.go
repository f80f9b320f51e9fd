//go:build unix

package intake

import (
	"net"
	"syscall"
)

// hasInput reports, without waiting, whether there is something to read.
func hasInput(t *net.TCPConn) bool {
	raw, err := t.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	var octet [1]byte
	err = raw.Read(func(fd uintptr) bool {
		n, _, _ = syscall.Recvfrom(int(fd), octet[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && n > 0
}
