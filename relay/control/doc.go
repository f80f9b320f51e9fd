// Package control lets an operator see and steer the queue of a server that
// runs, from another process: HTTP over a socket in the spool's directory.
//
// The spool belongs to one process at a time, so what `sealpost queue` does
// while a server runs, that server does for it. Server and Client have the
// methods of queue.Engine between them; a Client is used as the Engine is.
//
// # Who may
//
// The socket has mode 0600 in a directory of mode 0700: the user who runs the
// server, and root. There is no other check, and no secret and no content goes
// over it.
//
// # Versions
//
// Both ends are meant to be one version, and during an update they are not for
// a while. A server refuses what it does not know, so that no condition of a
// filter is ever left out; a client passes over what it does not know.
package control
