package policy

// A Clearance is the proof that a rule allows one recipient's copy to leave
// unsealed. Only a rule can make one, and upstream takes no cleartext without
// it. The zero value clears nothing.
type Clearance struct{ rule string }

// Rule names the rule that gave the clearance; "" for the zero value.
func (c Clearance) Rule() string { return c.rule }

// Clear gives the clearance for a recipient, if the rule allows cleartext:
// `encrypt: never` always, `no_key: plaintext` only when the directory said
// with authority that the recipient has no certificate (noCertificate). A
// lookup that failed is not such a word.
func (r *Rule) Clear(noCertificate bool) (Clearance, bool) {
	if r.Encrypt == Never || r.NoKey == Plaintext && noCertificate {
		return Clearance{rule: r.label()}, true
	}
	return Clearance{}, false
}

// label is never empty: a clearance without a name would be the zero value.
func (r *Rule) label() string {
	if r.Name == "" {
		return "unnamed"
	}
	return r.Name
}

// Clearance is that of a rule by its name, for a message that waited: when it
// came, the rule let it pass, and it goes on as long as the rule still does.
func (p *Policy) Clearance(rule string) (Clearance, bool) {
	for i := range p.rules {
		if r := &p.rules[i]; r.label() == rule {
			return r.Clear(true)
		}
	}
	return Clearance{}, false
}
