//go:build !unix

package intake

import "net"

// hasInput: there is no look without waiting here; Timeouts.Greeting waits.
func hasInput(*net.TCPConn) bool { return false }
