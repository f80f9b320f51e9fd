//go:build js && wasm

package main

import (
	"net/mail"
	"time"
)

// when makes a date of a header (RFC 5322 section 3.3) one that JavaScript reads;
// "" of what is none.
func when(date string) string {
	at, err := mail.ParseDate(date)
	if err != nil {
		return ""
	}
	return at.Format(time.RFC3339)
}
