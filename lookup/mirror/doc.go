// Package mirror keeps a full local copy of a directory: which address has
// which certificates. It follows the directory's change feed, answers without
// the network, and outlives an outage of the directory.
//
// # Files
//
// FILE holds the records. Batches are appended to it, one for each page of the
// feed; a batch is there whole or not at all, and is durable before the next
// one is begun. It may be deleted at any time: then the copy is made anew from
// the feed. It tells who corresponds with this house, so its mode is 0600.
//
// FILE.index says where in FILE each address is: a sorted table of what was
// there at some batch. Batches after that one are read at open, so that a
// table which is old, lost, or of another FILE costs time and nothing else.
//
// FILE.next is a copy in the making, beside the one that answers: when the
// directory has another history than ours (restored from a backup, or another
// one), or ours was found damaged. It takes FILE's place when it is complete.
// FILE.compact is FILE without what has been overtaken, in the making.
// FILE.lock is held by the one process that writes; others may read meanwhile.
//
// # What is believed
//
// Whatever is read is proven by a checksum: each record, each block of the
// table, and so also that an address is in neither. A copy with damage never
// says that an address is unknown, and is made anew as soon as the directory
// can be reached.
//
// # Why no database
//
// bbolt, SQLite and pebble were looked at. What decides is not speed: none of them proves that a key is absent, and
// none lets another process read while one writes.
package mirror
