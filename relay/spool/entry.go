package spool

import (
	"fmt"
	"io"
	"time"
)

// An Entry is one message as it is put into the spool. Meta and the parcels'
// Meta are opaque to the spool and always sealed at rest.
type Entry struct {
	// ID names the message in every call; 1 to 128 bytes.
	ID string
	// Meta is what concerns the whole message: sender, parameters, rule.
	Meta []byte
	// Parcels are the copies still to be delivered, at least one.
	Parcels []Parcel
	// Body is written once, shared by all parcels, and never changed.
	Body Content
	// Private bodies are not encrypted yet: they are sealed to the spool's key
	// before the first byte reaches the disk.
	Private bool
}

// Content is a body whose size is known before it is written.
type Content interface {
	// Size is the exact number of bytes that WriteTo writes.
	Size() int64
	io.WriterTo
}

// A Parcel is one outgoing copy of a message.
type Parcel struct {
	// Meta is what concerns this copy: recipient, header, prefix of the body.
	Meta []byte
	// State is how the parcel starts out. Attempts, Last and Done are ignored.
	State State
}

// State is the part of a parcel that changes.
type State struct {
	// Status is the caller's own; the spool only keeps it.
	Status byte
	// Attempts counts the calls of RecordAttempt.
	Attempts int
	// Last is the time of the latest attempt.
	Last time.Time
	// Next is the time the caller chose for the next attempt. After a jump of
	// the clock it can lie far ahead: clamp it to the longest interval in use.
	Next time.Time
	// Note is opaque, at most MaxNote bytes and sealed at rest; it is kept in
	// memory: the latest reply, the delay notices sent.
	Note []byte
	// Done: delivered or bounced, nothing remains to do for this parcel.
	Done bool
}

// MaxNote is the limit of State.Note in bytes.
const MaxNote = 4 << 10

const (
	maxID      = 128
	maxParcels = 1 << 16
)

// A Ref names one parcel of a message.
type Ref struct {
	ID     string
	Parcel int
}

// Info is what the spool knows of a message without reading the disk.
type Info struct {
	ID      string
	Arrival time.Time
	Private bool
	// Stored is the space the message takes, in bytes.
	Stored int64
	// Damaged: the body or a meta was found damaged when it was read.
	Damaged bool
	// States has one element for each parcel, the finished ones included.
	// The notes in them are the spool's own: not to be written to.
	States []State
}

// check refuses what no record could hold.
func (e *Entry) check() error {
	switch {
	case len(e.ID) == 0 || len(e.ID) > maxID:
		return fmt.Errorf("spool: id of %d bytes", len(e.ID))
	case len(e.Parcels) == 0 || len(e.Parcels) > maxParcels:
		return fmt.Errorf("spool: %s: %d parcels", e.ID, len(e.Parcels))
	case e.Body == nil || e.Body.Size() < 0:
		return fmt.Errorf("spool: %s: no body", e.ID)
	}
	for _, p := range e.Parcels {
		if err := checkNote(e.ID, p.State.Note); err != nil {
			return err
		}
	}
	return nil
}

func checkNote(id string, note []byte) error {
	if len(note) > MaxNote {
		return fmt.Errorf("%w: %s: note of %d bytes", ErrTooLarge, id, len(note))
	}
	return nil
}
