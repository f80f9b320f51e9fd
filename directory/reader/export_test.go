package reader

// NewFrom is New with the module from elsewhere.
var NewFrom = newReader
