//go:build unix

package escrow

import (
	"io/fs"
	"os"
	"syscall"
)

// sameOwner keeps a file readable for the service when root changes it.
func sameOwner(f *os.File, like fs.FileInfo) error {
	stat, ok := like.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid() {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}
