// Package spool keeps messages that were answered for and not yet delivered.
// What Put acknowledged survives kill -9 and power loss; what Done or Delete
// acknowledged stays done.
//
// # Files
//
// A message is one frame in a segment: an index, the sealed metas, the body.
// Segments are preallocated and reused; many concurrent Puts share one fsync.
// A body larger than Options.BigBody is a file of its own. Everything that
// changes later (attempts, states, deliveries) is a small change in the
// journal, which is rewritten as a snapshot when it is full. In the directory:
//
//	lock                  flock of the running process, holds its pid
//	spool.format          version of the format, fingerprint of the key
//	segment-<number>      messages; a number is never used twice
//	free-<number>         an empty segment, kept to be renamed and used again
//	journal-<number>      state of the messages; the highest number counts
//	journal-spare         preallocated room for the next snapshot
//	body-<uid>            the body of one message
//	quarantine/           what was found damaged, with a note for each
//	control.sock          where the running server can be asked; not the spool's
//
// # At rest
//
// Index, metas and journal are sealed with XChaCha20-Poly1305 under keys that
// HKDF-SHA256 derives from the spool's age identity: a stolen disk shows how
// many messages of which size wait, and nothing of their envelopes. A frame is
// bound to its file number and offset, so that the remains of an earlier life
// of a segment, or bytes a sender put into a body, are never taken for one.
// Bodies marked Private are age files for the same identity; other bodies are
// stored as given. Either way the index holds the SHA-256 of the stored bytes.
//
// # Clock
//
// Times are wall-clock times kept in UTC. The spool never acts on them: a
// clock that jumps changes what a scheduler reads, not what is stored, and it
// is the scheduler's part to clamp a next attempt that lies too far ahead.
package spool
