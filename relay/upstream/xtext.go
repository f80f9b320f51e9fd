package upstream

const upperHex = "0123456789ABCDEF"

// appendXtext encodes s (RFC 3461 section 4): what could end a parameter or a
// line becomes +XX.
func appendXtext(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}
