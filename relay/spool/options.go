package spool

import (
	"log/slog"
	"time"
)

// Options configure a Store. Only Dir and Identity are needed.
type Options struct {
	// Dir is the spool's own directory; made when it is not there, mode 0700.
	Dir string
	// Identity is the spool's own key; see LoadKey.
	Identity *Key
	// Limit is the most bytes that messages may take, records and bodies
	// together; 0 means 10 GiB. Segments that are partly empty can make the
	// directory larger: up to twice the limit and four segments.
	Limit int64
	// Reserve is the free space in bytes that new messages leave on the file
	// system, so that the rest of the machine lives on; 0 means 64 MiB.
	Reserve int64
	// SegmentSize is the size of a segment file in bytes; 0 means 32 MiB.
	SegmentSize int64
	// BigBody is the size in bytes from which a body gets a file of its own;
	// 0 means 2 MiB, and never more than a quarter of a segment.
	BigBody int64
	// Memory bounds the bytes of records that wait for their commit; 0 means
	// 64 MiB. A Put beyond it waits.
	Memory int64
	// FS is where the files are; nil means the directory Dir on the disk.
	FS FS
	// Now gives arrival times; nil means time.Now.
	Now func() time.Time
	// Log gets what an operator should see; nil means slog.Default.
	Log *slog.Logger

	journal int64 // size of a journal file in bytes, at least
}

func orElse(v, otherwise int64) int64 {
	if v > 0 {
		return v
	}
	return otherwise
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	o.Limit = orElse(o.Limit, 10<<30)
	o.Reserve = orElse(o.Reserve, 64<<20)
	o.SegmentSize = max(orElse(o.SegmentSize, 32<<20)&^(frameAlign-1), 16<<10)
	o.BigBody = min(orElse(o.BigBody, 2<<20), o.SegmentSize/4)
	o.journal = aligned(min(max(o.SegmentSize/4, 128<<10), 4<<20))
	o.Memory = orElse(o.Memory, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}
