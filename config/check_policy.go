package config

import (
	"net/netip"
	"strings"

	"sealpost/relay"
	"sealpost/relay/policy"
)

func (k *checker) policy() {
	rules := k.config.Policy
	if len(rules) == 0 {
		k.wrong("policy", "is empty: leave it out (then everything is encrypted), or write a rule")
		return
	}
	k.unique("policy", "name", len(rules), func(i int) string { return rules[i].Name })
	for i := range rules {
		k.rule(item("policy", i), &rules[i])
		k.reachable(i)
	}
	last := len(rules) - 1
	if all := (Rule{}); !covers(&rules[last], &all) {
		k.warn(item("policy", last), "is the last rule and does not match everything: a recipient that no rule matches is refused (policy-no-rule)")
	}
}

func (k *checker) rule(key string, r *Rule) {
	if r.Listener != "" && !k.listens(r.Listener) {
		k.wrong(join(key, "listener"), "%s is the address of no listener", quote(r.Listener))
	}
	if r.Header != nil && relay.OwnField(r.Header.Name) {
		k.wrong(join(key, "header.name"), "%s is taken out of every message before rules are asked: use another field", r.Header.Name)
	}
	if r.Encrypt != "never" && r.NoKey == "provision" {
		k.provisions(join(key, "no_key"))
	}
	name := quote(r.Name)
	switch {
	case r.Encrypt == "never":
		k.warn(join(key, "encrypt"), "never: mail that matches the rule %s leaves unprotected", name)
	case r.NoKey == "plaintext":
		k.warn(join(key, "no_key"), "plaintext: mail that matches the rule %s leaves unprotected where there is no certificate", name)
	default:
		return
	}
	for i, u := range k.config.Upstream {
		if (u.TLS == "none" || u.TLS == "opportunistic") && !isHere(u.Address) {
			k.warn(join(item("upstream", i), "tls"), "%s: unprotected mail of the rule %s may cross the line to %s in the clear", u.TLS, name, u.Address)
		}
	}
}

func (k *checker) listens(addr string) bool {
	for _, l := range k.config.Listen {
		if l.Address == addr {
			return true
		}
	}
	return false
}

// reachable refuses a rule that an earlier one leaves nothing to: an operator
// who wrote it believes that it does something.
func (k *checker) reachable(i int) {
	for j := range i {
		if earlier := &k.config.Policy[j]; covers(earlier, &k.config.Policy[i]) {
			k.wrong(item("policy", i), "never decides, because the rule %s in line %d matches all that it matches: put it before that one",
				quote(earlier.Name), k.line(item("policy", j)))
			return
		}
	}
}

// encrypts reports whether any rule needs certificates.
func (k *checker) encrypts() bool {
	for _, r := range k.config.Policy {
		if r.Encrypt != "never" {
			return true
		}
	}
	return false
}

// covers reports whether a is sure to match whatever b matches.
func covers(a, b *Rule) bool {
	return coversGlob(a.Sender, b.Sender) && coversGlob(a.Recipient, b.Recipient) &&
		(a.Listener == "" || a.Listener == b.Listener) &&
		coversNetworks(a.Client, b.Client) &&
		(a.Header == nil || b.Header != nil &&
			strings.EqualFold(a.Header.Name, b.Header.Name) &&
			(a.Header.Value == "*" || strings.EqualFold(a.Header.Value, b.Header.Value)))
}

// coversGlob compares two address patterns. A * in a may stand for a wildcard
// of b; a ? may not stand for b's *, which is longer than one byte.
func coversGlob(a, b string) bool {
	switch {
	case a == "" || a == "*":
		return true
	case b == "" || b == "*":
		return false
	case a == "<>" || b == "<>":
		return a == b
	case strings.Contains(a, "?") && strings.Contains(b, "*"):
		return strings.EqualFold(a, b)
	}
	return policy.Glob(strings.ToLower(a), strings.ToLower(b))
}

func coversNetworks(a, b []netip.Prefix) bool {
	if len(a) == 0 {
		return true
	}
	for _, n := range b {
		inside := false
		for _, m := range a {
			inside = inside || m.Bits() <= n.Bits() && m.Contains(n.Addr())
		}
		if !inside {
			return false
		}
	}
	return len(b) > 0
}
