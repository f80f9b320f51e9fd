package queue

import (
	"errors"
	"fmt"
)

// A State is where a parcel stands, and the name of its queue in listings
// and metrics.
type State string

// The states. Active, Deferred and Hold are Postfix's names.
const (
	Active   State = "active"   // a delivery is under way
	Deferred State = "deferred" // waits for an attempt
	NoKey    State = "no-key"   // waits for a certificate
	Hold     State = "hold"     // kept by an operator
)

// States gives every state, the liveliest first.
func States() []State { return []State{Active, Deferred, NoKey, Hold} }

// rank is the place in States.
func (s State) rank() int {
	switch s {
	case Active:
		return 0
	case Deferred:
		return 1
	case NoKey:
		return 2
	}
	return 3
}

// ErrState is the error of ParseState.
var ErrState = errors.New("not a state of the queue")

// ParseState reads a state as an operator writes it.
func ParseState(s string) (State, error) {
	for _, known := range States() {
		if s == string(known) {
			return known, nil
		}
	}
	return "", fmt.Errorf("%w: %q (active, deferred, no-key or hold)", ErrState, s)
}

// status is what the queue keeps of a parcel in spool.State.Status.
type status byte

const (
	needsKey  status = 1 << iota // no usable certificate yet
	frozen                       // kept by an operator
	tried                        // an attempt has failed
	reporting                    // over: upstream has it or never will, and a report is owed
	noticed                      // on a message's first parcel: the delay was reported
)

func (s status) has(bit status) bool { return s&bit != 0 }

// state is the State of a parcel that no delivery is under way for.
func (s status) state() State {
	switch {
	case s.has(reporting):
		return Deferred
	case s.has(frozen):
		return Hold
	case s.has(needsKey):
		return NoKey
	}
	return Deferred
}
