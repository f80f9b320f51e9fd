package smime

import "strings"

// Without is the header without the fields whose name drop chooses; everything
// else stays byte for byte. It is h itself where no field is chosen.
func (h *Header) Without(drop func(name string) bool) *Header {
	chosen := false
	for f := range h.Fields() {
		chosen = chosen || drop(f.Name)
	}
	if !chosen {
		return h
	}
	var raw strings.Builder
	raw.Grow(len(h.raw))
	out := &Header{}
	end := 0 // of the last field
	for _, s := range h.spans {
		end = s.end
		if drop(h.raw[s.start:s.name]) {
			continue
		}
		at := raw.Len()
		raw.WriteString(h.raw[s.start:s.end])
		out.spans = append(out.spans, span{start: at, name: at + s.name - s.start, end: raw.Len()})
	}
	raw.WriteString(h.raw[end:])
	out.raw = raw.String()
	return out
}
