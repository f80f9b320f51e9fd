// Package spill holds the bytes of a message while it is sealed and forwarded:
// in memory while they are few, and past a limit in a temporary file that has
// no name and is encrypted. Whatever is written here, plaintext never touches
// the disk.
package spill

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// chunkSize is the unit in which memory is handed out, and the size of reads
// from and writes to a file.
const chunkSize = 64 << 10

type chunk [chunkSize]byte

// Options say how much memory messages may take.
type Options struct {
	// Memory is how many bytes of one message stay in memory before it goes to
	// a file. Zero means 1 MiB.
	Memory int64
	// Budget is how many bytes all messages together may hold in memory. When
	// it is used up, messages go to files sooner; but each holds one chunk of
	// 64 KiB, come what may. Zero means 64 MiB.
	Budget int64
	// Dir is where the temporary files are. Empty means os.TempDir().
	Dir string
}

// A Pool gives out spills. It is safe for concurrent use.
type Pool struct {
	memory int64
	budget int64
	dir    string
	block  cipher.Block // AES-256 under a key that exists in this process only
	free   sync.Pool    // *chunk
	held   atomic.Int64 // bytes in chunks that are handed out
	spills atomic.Int64
	files  atomic.Int64
}

// New makes a pool. It opens nothing: that the directory cannot be written to
// shows when the first message needs a file.
func New(o Options) *Pool {
	p := &Pool{memory: o.Memory, budget: o.Budget, dir: o.Dir}
	if p.memory <= 0 {
		p.memory = 1 << 20
	}
	if p.budget <= 0 {
		p.budget = 64 << 20
	}
	if p.dir == "" {
		p.dir = os.TempDir()
	}
	var key [32]byte
	rand.Read(key[:])
	p.block, _ = aes.NewCipher(key[:]) // fails for other key lengths only
	p.free.New = func() any { return new(chunk) }
	return p
}

// New gives an empty spill. Its Close must be called.
func (p *Pool) New() *Spill {
	p.spills.Add(1)
	return &Spill{pool: p}
}

// Stats are what a pool holds at a moment.
type Stats struct {
	Spills int64 // not closed yet
	Memory int64 // bytes
	Files  int64
}

// Stats are for metrics, and for tests that look for leaks.
func (p *Pool) Stats() Stats {
	return Stats{Spills: p.spills.Load(), Memory: p.held.Load(), Files: p.files.Load()}
}

// grab takes a chunk within the budget, or nil. With force it takes one all
// the same.
func (p *Pool) grab(force bool) *chunk {
	if p.held.Add(chunkSize) > p.budget && !force {
		p.held.Add(-chunkSize)
		return nil
	}
	return p.free.Get().(*chunk)
}

func (p *Pool) put(c *chunk) {
	p.held.Add(-chunkSize)
	p.free.Put(c)
}

// An Error is a failure of the temporary file: the disk is full, most often.
// The message cannot be taken now, and can be later: 452 4.3.1.
type Error struct {
	Op  string // create, write, read
	Err error
}

// Error names the operation; the path of the file is no secret but no news.
func (e *Error) Error() string { return fmt.Sprintf("spill: %s: %v", e.Op, e.Err) }

// Unwrap gives the error of the operating system.
func (e *Error) Unwrap() error { return e.Err }
