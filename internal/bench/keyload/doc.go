// Package keyload makes a directory's worth of certificates, and asks an HTTP
// directory and an LDAP server for them in the same way: over raw connections,
// with requests that are made beforehand, so that the load costs the same for
// both and little.
package keyload
