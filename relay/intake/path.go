package intake

import (
	"strings"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/relay/reply"
)

var (
	errPathSyntax = refusal(501, reply.Enhanced{5, 5, 4}, reason.ProtocolError, "Syntax: MAIL FROM:<address> or RCPT TO:<address>")
	errRoute      = refusal(501, reply.Enhanced{5, 1, 3}, reason.AddressInvalid, "Source route is not valid")
)

// cutCommand takes "FROM:" or "TO:" and the path off, and gives what stands
// between the brackets and the parameters behind them. Blanks before the path
// are old custom and do no harm; a path without brackets could end anywhere.
func cutCommand(args, keyword string) (path, params string, e *reply.Error) {
	if len(args) < len(keyword) || !strings.EqualFold(args[:len(keyword)], keyword) {
		return "", "", errPathSyntax
	}
	rest := strings.TrimLeft(args[len(keyword):], " ")
	end := pathEnd(rest)
	if end < 0 {
		return "", "", errPathSyntax
	}
	path, params = rest[1:end], rest[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", errPathSyntax
	}
	path, ok := cutRoute(path)
	if !ok {
		return "", "", errRoute
	}
	return path, strings.TrimLeft(params, " "), nil
}

// pathEnd is the index of the ">" that closes the path at the beginning of s:
// one inside a quoted string does not. Without one it is -1.
func pathEnd(s string) int {
	if !strings.HasPrefix(s, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// cutRoute takes a source route off, which RFC 5321 section 4.1.1.3 has read
// and ignored: only the mailbox behind it counts, for everybody.
func cutRoute(path string) (string, bool) {
	if !strings.HasPrefix(path, "@") {
		return path, true
	}
	route, mailbox, ok := strings.Cut(path, ":")
	if !ok || mailbox == "" {
		return "", false
	}
	for hop := range strings.SplitSeq(route, ",") {
		if _, err := address.Domain(strings.TrimPrefix(hop, "@")); err != nil || hop[0] != '@' {
			return "", false
		}
	}
	return mailbox, true
}
