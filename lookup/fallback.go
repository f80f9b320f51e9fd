package lookup

import (
	"context"
	"slices"

	"sealpost/internal/address"
	"sealpost/internal/reason"
)

// FallbackOptions says whose certificate may be used for an address that has
// none of its own. Each is a door: whoever holds that certificate reads the
// mail.
type FallbackOptions struct {
	Tag         bool // anna@example.org for anna+bills@example.org
	WholeDomain bool // the domain's own; TrustOptions.WholeDomain belongs to it
	// Pins are those of TrustOptions: what the operator has pinned is used for
	// an address, or nothing is.
	Pins map[string]Fingerprint
}

// A Fallback asks again, under another address, where there is no certificate
// for the first. It asks nothing more as long as that is not said with
// authority, and what it could not learn under the other address is not None
// either.
//
// A Fallback belongs around the cache, which then knows each address once.
type Fallback struct {
	source Source
	opts   FallbackOptions
}

// NewFallback wraps a source.
func NewFallback(source Source, opts FallbackOptions) *Fallback { return &Fallback{source, opts} }

// Lookup asks for the address, then for those that may stand in for it.
func (f *Fallback) Lookup(ctx context.Context, addr address.Address) Answer {
	a := f.source.Lookup(ctx, addr)
	if a.Outcome != None {
		return a
	}
	for _, other := range f.others(addr) {
		if a.Outcome != None {
			break
		}
		a = after(a, f.source.Lookup(ctx, other), other)
	}
	return a
}

// Addresses gives all for which may be asked when it is asked for one, which
// stands first.
func (f *Fallback) Addresses(addr address.Address) []address.Address {
	return append([]address.Address{addr}, f.others(addr)...)
}

// others gives the addresses that may stand in for one, the nearest first.
func (f *Fallback) others(addr address.Address) []address.Address {
	if _, pinned := f.opts.Pins[addr.Key()]; pinned {
		return nil
	}
	var others []address.Address
	if f.opts.Tag {
		if plain, ok := addr.WithoutTag(); ok {
			others = append(others, plain)
		}
	}
	if f.opts.WholeDomain && !addr.IsDomainAuthority() {
		if authority, ok := addr.DomainAuthority(); ok {
			others = append(others, authority)
		}
	}
	return others
}

// after puts what was learned under another address behind a None.
func after(first, second Answer, other address.Address) Answer {
	a := second
	if a.Outcome == Found {
		a.Instead = other
	}
	a.Candidates = append(slices.Clip(first.Candidates), second.Candidates...)
	a.Asked = slices.Clip(first.Asked)
	for _, asked := range second.Asked {
		if asked.Instead.IsNull() {
			asked.Instead = other
		}
		a.Asked = append(a.Asked, asked)
	}
	a.Notes = append(slices.Clip(first.Notes), second.Notes...)
	a.Took += first.Took
	if a.Outcome == None {
		a.Reason, a.Source = reason.NoCertificate, ""
		if n, ok := a.Nearest(); ok {
			a.Reason, a.Source = n.Reason, n.Source
		}
	}
	return a
}
