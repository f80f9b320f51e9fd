package smime

import (
	"bufio"
	"bytes"
	"strings"
)

// newPeerReader gives raw in the form that go-message reads from.
func newPeerReader(raw []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(raw)) }

// squeeze makes one blank of each run of them: go-message unfolds otherwise
// than we do.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
