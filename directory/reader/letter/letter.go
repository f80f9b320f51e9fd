package letter

// A Letter is a mail as a person reads it.
type Letter struct {
	// What its header says. Of a mail as S/MIME has it, only what is inside is
	// protected: the header is what arrived, and may be anybody's.
	From, To, Cc, Subject, Date string

	Signed  bool   // it has a signature, which nobody has looked at
	Bodies  []Body // in order; mostly one
	Parts   []Part // attachments, and images that bodies show
	Damaged bool   // not all of it could be taken apart; what it was is the last part
}

// A Body is a stretch of text. Where both forms are there, they say the same.
type Body struct {
	Text string
	HTML string // as the sender wrote it
}

// A Part is a file that came with the text.
type Part struct {
	Name    string // fit for a file name; never empty
	Type    string // media type
	ID      string // by which HTML names it (cid:), without brackets; may be empty
	Shown   bool   // a body shows it
	Damaged bool   // its encoding ends in the middle; Data is what came out
	Data    []byte
}
