// Package api is the directory's HTTP API: looking up certificates by address
// (one, many, RFC 4387), publishing and revoking them, learning from signed
// messages, and the feed of changes that mirrors follow. The file openapi.yaml
// describes it, is served by it, and is held to it by a test.
//
// Lookups come from an index beside the database and cost the same whether an
// address is known or not. Everything that can be counted is bounded: bodies,
// addresses, calls under way, calls of one client.
package api
