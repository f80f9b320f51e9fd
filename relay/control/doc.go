// Package control lets an operator see and steer a server that runs, from
// another process: HTTP over a socket in the file system.
//
// Spool, memory of keys and caches belong to one process at a time, so what
// commands do while a server runs, that server does for them. For the queue,
// Server and Client have the methods of queue.Engine between them: a Client is
// used as the Engine is. What else can be asked, whoever starts the server adds
// as Calls.
//
// # Who may
//
// The socket has mode 0600: the user who runs the server, and root. There is no
// other check, and no secret and no content goes over it.
//
// # Versions
//
// Both ends are meant to be one version, and during an update they are not for
// a while. A server refuses what it does not know, so that no condition of a
// filter is ever left out; a client passes over what it does not know.
package control
