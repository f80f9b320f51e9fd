package cms

// sampleSize is how much of a content is looked at, in octets.
const sampleSize = 64 << 10

// A sample counts the octets at the beginning of what should be ciphertext.
type sample struct {
	counts [256]uint32
	n      int
}

func (s *sample) add(p []byte) {
	p = p[:min(len(p), sampleSize-s.n)]
	for _, octet := range p {
		s.counts[octet]++
	}
	s.n += len(p)
}

// isText tells whether the octets cannot be those of a good cipher, which are
// evenly distributed. Text is mostly 7-bit; what is not, such as other
// scripts or pictures without compression, shows in the chi-squared statistic.
// Ciphertext is taken for text less than once in 10¹⁶ messages. Short content, below 64
// octets, says too little, and compressed data look even.
func (s *sample) isText() bool {
	high := 0
	for _, n := range s.counts[128:] {
		high += int(n)
	}
	switch {
	case s.n < 64:
		return false
	case s.n < 128:
		return high == 0
	case high < s.n/8:
		return true
	case s.n < 2048:
		return false
	}
	return s.chiSquared() > 2.5*255
}

func (s *sample) chiSquared() float64 {
	expected := float64(s.n) / 256
	sum := 0.0
	for _, n := range s.counts {
		d := float64(n) - expected
		sum += d * d / expected
	}
	return sum
}
