package cms

import "slices"

// validate writes a message to a Validator in pieces.
func validate(message []byte, piece int) (Info, error) {
	v := NewValidator()
	for p := range slices.Chunk(message, max(piece, 1)) {
		if _, err := v.Write(p); err != nil {
			break
		}
	}
	return v.Close()
}
