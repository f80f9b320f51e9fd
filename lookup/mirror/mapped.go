package mirror

import (
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// guard turns what the kernel does when a mapped page cannot be read (the disk
// fails, the file was cut) into an error: it must not end the process.
func guard(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p)
			}
			*err = fmt.Errorf("%w: a page of it cannot be read", ErrDamaged)
		}
	}
}

// mapAhead is how far beyond its end a data file is mapped, so that it can grow
// without being mapped again. Addresses are all it costs.
const mapAhead = 256 << 20

// A view is a data file mapped into memory, from its beginning. Reading through
// it saves a system call, which is half the time of a Get.
type view struct{ data []byte }

// cover maps the file anew when the view does not reach to end. Where that is
// not possible the view stays short, and what lies beyond is read as usual.
func (v *view) cover(f file, end int64) {
	if end <= int64(len(v.data)) {
		return
	}
	real, ok := f.(*os.File)
	if !ok || int64(int(end+mapAhead)) != end+mapAhead {
		return
	}
	data, err := unix.Mmap(int(real.Fd()), 0, int(end+end/4+mapAhead), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return
	}
	v.close()
	v.data = data
}

// read copies what is at a place; ok is false when the view does not reach there.
func (v *view) read(p place) (record []byte, ok bool) {
	end := p.offset() + int64(p.length())
	if end > int64(len(v.data)) {
		return nil, false
	}
	record = make([]byte, p.length())
	copy(record, v.data[p.offset():end])
	return record, true
}

func (v *view) close() {
	if v.data != nil {
		_ = unix.Munmap(v.data)
		v.data = nil
	}
}
