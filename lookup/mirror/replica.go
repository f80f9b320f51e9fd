package mirror

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/lookup/keydb"
)

// A replica is one copy: a data file with its table, and what has been added
// since that was written. One goroutine at a time changes it, any number read.
type replica struct {
	path     string
	readOnly bool
	id       fileID
	file     file
	end      int64 // of the last whole batch
	batches  int64

	mu     sync.RWMutex
	view   view
	table  *table         // nil when there is none yet
	delta  map[hash]place // since the table; 0: the address is gone
	closed bool
	standing
	entries int64
	live    int64 // bytes of FILE that what is known takes

	contact atomic.Int64 // Unix time in seconds; later than standing.contact while that is not written
	whole   atomic.Bool  // standing.complete
	hurt    atomic.Bool  // damage was seen: nothing is unknown to it any more
	level   atomic.Bool  // with the directory as of contact: standing has no lag
}

// A file is what a replica asks of its data file. It is the seam for faults.
type file interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

const indexSuffix = ".index"

// create makes an empty replica under a path where there is nothing.
func create(path string, now time.Time, open opener) (*replica, error) {
	f, err := open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	r := &replica{path: path, id: newID(), file: f, end: headerSize, delta: map[hash]place{}}
	_, err = f.WriteAt(encodeHeader(r.id, now), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(path)
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return nil, fmt.Errorf("mirror: %w", err)
	}
	return r, nil
}

// open opens the replica at a path. The error is fs.ErrNotExist, ErrForeign,
// ErrVersion, ErrDamaged, or of the file system.
func open(path string, readOnly bool, open opener) (*replica, error) {
	flag := os.O_RDWR
	if readOnly {
		flag = os.O_RDONLY
	}
	f, err := open(path, flag)
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	r := &replica{path: path, readOnly: readOnly, file: f, delta: map[hash]place{}}
	if err := r.load(); err != nil {
		r.close()
		return nil, fmt.Errorf("mirror: %s: %w", path, err)
	}
	return r, nil
}

func (r *replica) load() error {
	st, err := r.file.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return ErrForeign
	}
	header := make([]byte, min(st.Size(), headerSize))
	if _, err := r.file.ReadAt(header, 0); err != nil && err != io.EOF {
		return err
	}
	if st.Size() == 0 {
		return damaged("nothing", 0) // a creation that the power cut
	}
	if r.id, err = decodeHeader(header); err != nil {
		return err
	}
	if r.table, err = openTable(r.path+indexSuffix, r.id); err != nil {
		return err
	}
	if r.table != nil && r.table.head.end <= st.Size() {
		r.begin()
		if err := r.replay(st.Size()); !errors.Is(err, ErrDamaged) {
			return err
		}
	}
	r.table.close() // it is damaged, or says more than FILE has
	r.table, r.delta = nil, map[hash]place{}
	if err := r.forgetTable(); err != nil {
		return err
	}
	r.begin()
	return r.replay(st.Size())
}

// forgetTable removes a table that is not believed. When FILE has lost batches
// that the table knows, and grows again, the table would seem to fit once more.
func (r *replica) forgetTable() error {
	if r.readOnly {
		return nil
	}
	err := os.Remove(r.path + indexSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(r.path)
}

// begin stands where the table was written, or before the first batch.
func (r *replica) begin() {
	r.end, r.entries, r.live, r.batches, r.standing = headerSize, 0, 0, 0, standing{}
	if t := r.table; t != nil {
		r.end, r.entries, r.live, r.batches, r.standing = t.head.end, t.head.entries, t.head.live, t.head.batches, t.head.standing
	}
}

// replay takes in the batches since the table. It ends before the first that
// is not whole: whoever wrote it was killed, or it is damaged. In both cases
// the copy is as it was after the batch before, and goes on from there.
func (r *replica) replay(size int64) error {
	heads := headReader{file: r.file, size: size}
	for r.end < size {
		b, records, end, err := heads.head(r.end)
		if err == nil && end == size {
			err = r.proveLast(&b, records)
		}
		if errors.Is(err, errNoBatch) {
			return r.cutOff()
		}
		if err != nil {
			return err
		}
		places, err := r.places(&b)
		if err != nil {
			return err
		}
		r.learn(&b, records, places)
		r.end = end
		if len(r.delta) >= r.deltaBound() && !r.readOnly {
			if err := r.writeTable(); err != nil {
				return err
			}
		}
	}
	r.publish()
	return nil
}

// proveLast reads the records of the last batch: its head may have reached the
// disk before them.
func (r *replica) proveLast(b *batch, offset int64) error {
	for _, l := range b.table {
		if l.length == 0 {
			continue
		}
		record := make([]byte, l.length)
		if _, err := r.file.ReadAt(record, offset); err != nil {
			return err
		}
		if address, err := addressOf(record); err != nil || r.id.hash(address) != l.hash {
			return errNoBatch
		}
		offset += int64(l.length)
	}
	return nil
}

// cutOff takes away what is behind the last whole batch.
func (r *replica) cutOff() error {
	r.publish()
	if r.readOnly {
		return nil
	}
	if err := r.file.Truncate(r.end); err != nil {
		return err
	}
	return r.file.Sync()
}

// publish shows readers what has been learned; they are kept out meanwhile.
func (r *replica) publish() {
	r.view.cover(r.file, r.end)
	r.contact.Store(max(r.contact.Load(), r.standing.contact))
	r.whole.Store(r.standing.complete)
	r.level.Store(r.seq >= r.directory)
}

// places are those that the addresses of a batch have now.
func (r *replica) places(b *batch) ([]place, error) {
	places := make([]place, len(b.table))
	for i, l := range b.table {
		var err error
		if places[i], err = r.placeOf(l.hash); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// learn takes a batch that is in the file into the delta; its records begin at
// offset, and the places before it are those of its addresses.
func (r *replica) learn(b *batch, offset int64, before []place) {
	for i, l := range b.table {
		var p place
		if l.length > 0 {
			p = newPlace(offset, l.length)
			offset += int64(l.length)
		}
		old, again := r.delta[l.hash] // again: perhaps by this very batch
		if !again {
			old = before[i]
		}
		r.count(old, p)
		r.delta[l.hash] = p
	}
	r.batches++
	r.standing = b.standing
}

// count keeps count of what is known and what it takes.
func (r *replica) count(old, now place) {
	if old != 0 {
		r.entries--
		r.live -= int64(old.length()) + tableEntry
	}
	if now != 0 {
		r.entries++
		r.live += int64(now.length()) + tableEntry
	}
}

func (r *replica) placeOf(h hash) (place, error) {
	if p, ok := r.delta[h]; ok {
		return p, nil
	}
	return r.table.find(h)
}

// get is what is known of an address. known is false only when it is proven
// that the replica has nothing of it.
func (r *replica) get(key string) (certs []keydb.Certificate, known bool, err error) {
	p, record, err := r.record(r.id.hash(key))
	if err == nil && p != 0 && record == nil { // the view does not reach there
		record = make([]byte, p.length())
		_, err = r.file.ReadAt(record, p.offset())
	}
	switch {
	case errors.Is(err, os.ErrClosed):
		return nil, false, err
	case err != nil:
		r.hurt.Store(true)
		return nil, false, fmt.Errorf("mirror: %w", err)
	case p == 0 && r.hurt.Load():
		return nil, false, ErrDamaged
	case p == 0:
		return nil, false, nil
	}
	c, err := decodeRecord(record)
	if err != nil || c.Address != key {
		r.hurt.Store(true)
		return nil, false, damaged("a record", p.offset())
	}
	return c.Certificates, true, nil
}

// record finds the record of a hash. What is mapped stays so under the lock.
func (r *replica) record(h hash) (p place, record []byte, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return 0, nil, os.ErrClosed
	}
	defer guard(&err)()
	p, inDelta := r.delta[h]
	if !inDelta && r.table != nil && len(r.table.firsts) > 0 {
		if p, err = r.table.search(h); err != nil {
			return 0, nil, err
		}
	}
	if p != 0 {
		record, _ = r.view.read(p)
	}
	return p, record, nil
}

func (r *replica) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	r.table.close()
	r.view.close()
	r.file.Close()
}

// moveTo gives the replica's files another path, in place of what is there.
func (r *replica) moveTo(path string) error {
	if err := os.Rename(r.path, path); err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	// Without its table FILE is read through once, so the order does not matter.
	if err := os.Rename(r.path+indexSuffix, path+indexSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mirror: %w", err)
	}
	r.path = path
	return syncDir(path)
}

// removeFiles removes a replica that is not open.
func removeFiles(path string) error {
	for _, p := range []string{path, path + indexSuffix, path + indexSuffix + ".new"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("mirror: %w", err)
		}
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// An opener opens data files; tests put faults into them.
type opener func(path string, flag int) (file, error)

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}
