package lookup

import (
	"context"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/singleflight"

	"sealpost/internal/address"
)

// Refresh asks the source whatever is remembered, and remembers the answer.
// When the source is unavailable the outcome is that: nothing stale is given.
func (c *Cache) Refresh(ctx context.Context, addr address.Address) Answer {
	c.group.Load().Forget(addr.Key())
	return c.fly(ctx, addr, mailboxOf(addr))
}

// Flush forgets an address, also what a lookup under way will find. In a file
// it is forgotten within seconds, or when CacheFile.Sync returns.
func (c *Cache) Flush(addr address.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed = c.started
	c.flushes++
	c.group.Load().Forget(addr.Key())
	c.entries.Remove(mailboxOf(addr))
	c.file.forget(addr)
}

// FlushAll forgets everything, as Flush does with one address, also what the
// file holds. The error is that of the file, which then holds what it held.
func (c *Cache) FlushAll() error {
	c.forgetAll()
	if c.file.idle() {
		return nil
	}
	err := c.file.file.Clear()
	c.forgetAll() // what was read from the file in the meantime
	return err
}

func (c *Cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed = c.started
	c.flushes++
	c.group.Store(new(singleflight.Group))
	c.entries.Purge()
}

// Forget removes an address; it is written soon, or by Sync or Close.
func (f *CacheFile) Forget(addr address.Address) { f.remove(addr.Key()) }

// Clear removes everything. When it returns nil, that is durable.
func (f *CacheFile) Clear() error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	f.pending = map[string]*change{}
	f.mu.Unlock()
	return f.use(func(db *bolt.DB) error {
		err := db.Update(func(tx *bolt.Tx) error {
			if err := tx.DeleteBucket(bucketAddresses); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(bucketAddresses); err != nil {
				return err
			}
			return writeCount(tx.Bucket(bucketAbout), 0)
		})
		if err == nil {
			f.entries.Store(0)
			f.hand = f.hand[:0]
		}
		return err
	})
}
