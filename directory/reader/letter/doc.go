// Package letter opens a sealed mail and takes it apart for a person to read:
// what is its text, what are its attachments. It is what the page /read runs in
// the browser, compiled to WebAssembly, and it needs nothing but the file and
// the key: no network, no disk, no clock.
//
// Nothing here makes HTML safe. What comes out is what the sender wrote; the page
// shows it where it can do nothing.
package letter
