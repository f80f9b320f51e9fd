// Package claim lets people who had no certificate come to the key that was made
// for them: it writes them a notice, has them prove that they read the mailbox,
// and hands over the key. It knows nothing of HTTP; directory/portal has the
// pages.
//
// A notice has a link and a code. The link's token and the code are not stored:
// both are computed from the notice's number with a key that is in a file, not in
// the database, so that who has the database, or a backup of it, can claim
// nothing.
package claim
