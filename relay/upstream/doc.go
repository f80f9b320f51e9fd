// Package upstream brings messages to the next mail server: a strict SMTP
// client (RFC 5321) with pipelining, pooled connections and failover.
//
// What it sends is a Body, and there are three ways to make one, each of which
// wants its proof: Sealed, Protected and Cleartext. Bytes go out as they were
// given, or not at all.
package upstream
