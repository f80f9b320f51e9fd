// Package queue brings to upstream what was answered for and could not go
// through at once. The spool keeps it; this package decides when what is
// tried, tells senders what became of their mail, and lets operators steer.
//
// # States
//
// A parcel (one copy, one recipient) waits in one of four states, named as
// Postfix names its queues where Postfix has them:
//
//	active    a delivery is under way
//	deferred  it waits for its next attempt, or for upstream to come back
//	no-key    it waits until the directory knows a certificate
//	hold      an operator keeps it; it is neither tried nor does it expire
//
// # What is written when
//
// An attempt is recorded before the connection is made. A parcel leaves the
// spool after upstream has taken it. One that has failed for good is first
// marked as owing a report, then the report is put into the spool, then the
// parcel leaves: a crash between two of these steps repeats a report at worst,
// and never loses one.
//
// # Clocks
//
// Waiting is measured with the monotonic clock, so that a jump of the wall
// clock neither hastens nor stalls an attempt. The wall clock counts for what
// must outlive the process: a message's age, and the next attempt as it stands
// in the spool, which is clamped to the longest interval when it is read.
package queue
