package spool

// FS is what the store asks of a file system. Names are relative to the
// spool's directory. It is the seam for fault injection; on a disk it stands
// for exactly these system calls:
//
//	Open     openat
//	Rename   renameat
//	Remove   unlinkat
//	List     getdents
//	Mkdir    mkdirat
//	SyncDir  open, fsync, close of the directory
//	Free     statfs
//
// The lock file is outside of it.
type FS interface {
	// Open opens a file with os.O_… flags, mode 0600 when it makes one.
	Open(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List gives the names in a directory, folders with a slash at the end.
	List(dir string) ([]string, error)
	Mkdir(dir string) error
	// SyncDir makes earlier Open, Rename and Remove in dir durable.
	SyncDir(dir string) error
	// Free is the space in bytes that an unprivileged process may still use.
	Free() (int64, error)
}

// File is one open file of an FS: pread, pwrite, fallocate, fdatasync, fstat,
// close.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Allocate makes the file size bytes long, with the space for them.
	Allocate(size int64) error
	// Sync makes what was written durable, and the size.
	Sync() error
	Size() (int64, error)
	Close() error
}
