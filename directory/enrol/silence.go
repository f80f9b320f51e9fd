package enrol

import (
	"strings"

	"sealpost/internal/address"
	"sealpost/smime"
)

// maxHops is where a message has gone in circles (RFC 5321 section 6.3).
const maxHops = 50

// silence says why a message must not be answered automatically (RFC 3834
// section 2); "" when it may. A forged sender gets nothing from here: the
// envelope sender must be who the message says it is from.
func silence(from, self address.Address, h *smime.Header) string {
	switch {
	case from.IsNull():
		return "its envelope sender is null"
	case h == nil:
		return "its header cannot be read"
	case strings.EqualFold(from.Key(), self.Key()):
		return "it came from this mailbox"
	case isRobot(from.Local()):
		return "its sender is a program"
	}
	author, err := smime.From(h)
	if err != nil || !strings.EqualFold(author.Key(), from.Key()) {
		return "its envelope sender is not whom it is from"
	}
	return automatic(h)
}

// automatic recognises what lists, robots and loops write.
func automatic(h *smime.Header) string {
	hops := 0
	for f := range h.Fields() {
		name, value := strings.ToLower(f.Name), strings.ToLower(f.Value())
		word, _, _ := strings.Cut(value, ";")
		word = strings.TrimSpace(word)
		switch {
		case name == "received":
			hops++
		case name == "auto-submitted" && word != "no":
			return "it was sent automatically"
		case name == "precedence" && (word == "bulk" || word == "list" || word == "junk" || word == "auto_reply"):
			return "it is bulk mail"
		case strings.HasPrefix(name, "list-"), name == "mailing-list":
			return "it came over a mailing list"
		case name == "x-auto-response-suppress", name == "x-autoreply", name == "x-loop", name == "x-autorespond":
			return "it asks for no automatic answer"
		}
	}
	if hops >= maxHops {
		return "it goes in circles"
	}
	return ""
}

// isRobot recognises the mailboxes behind which nobody reads.
func isRobot(local string) bool {
	local = strings.ToLower(local)
	for _, name := range []string{"mailer-daemon", "postmaster", "listserv", "majordomo", "noreply", "no-reply", "donotreply", "do-not-reply", "bounce", "bounces"} {
		if local == name {
			return true
		}
	}
	for _, prefix := range []string{"owner-", "bounce-", "bounces-", "bounce+", "bounces+", "noreply+", "no-reply+", "srs0", "srs1", "prvs="} {
		if strings.HasPrefix(local, prefix) {
			return true
		}
	}
	return strings.HasSuffix(local, "-request") || strings.HasSuffix(local, "-owner") || strings.HasSuffix(local, "-bounces")
}
