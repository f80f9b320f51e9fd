// Package harvest learns certificates from signed mail: whom a message is from,
// which certificate to write him with, and whether all of that may be believed.
// What may not is refused, with one reason for each way in which it may not.
package harvest
