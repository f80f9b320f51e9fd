package directory

import (
	"time"

	"sealpost/lookup/mirror"
)

// An index is the mirror beside the database, as lookups see it.
type index struct {
	*mirror.Mirror
	clock func() time.Time
}

// freshFor is how long ago the database may have been heard of: a little longer
// than a feed without news is waited on.
const freshFor = 45 * time.Second

// Current reports whether the index had everything a moment ago. When it does
// not, lookups go to the database.
func (i index) Current() bool {
	return i.Level() && i.clock().Sub(i.LastContact()) <= freshFor
}

// Sequence is the number of the last change that it has.
func (i index) Sequence() uint64 { return i.State().Sequence }
