package letter

import (
	"errors"
	"maps"
	"slices"
)

// What may be wrong, each with words of its own on the page.
var (
	ErrNotMail   = errors.New("letter: the file is neither a mail nor the encrypted part of one")
	ErrOutlook   = errors.New("letter: the file is an Outlook item (.msg), which is no mail as the Internet knows it")
	ErrPlain     = errors.New("letter: the mail is not encrypted with S/MIME")
	ErrNotForKey = errors.New("letter: the mail is not encrypted to this key")
	ErrDamaged   = errors.New("letter: the mail does not open: it is damaged, or encrypted in a way that is not known")
	ErrTooLarge  = errors.New("letter: the mail is larger than can be opened here")

	ErrKeyFile    = errors.New("letter: the file is no key file (PKCS#12) with one private key")
	ErrBER        = errors.New("letter: the key file is streamed (BER), as Thunderbird and Firefox write it")
	ErrPassphrase = errors.New("letter: the passphrase does not open the key file")
	ErrNoKey      = errors.New("letter: the key file lacks the certificate of its key")
	ErrOldKey     = errors.New("letter: the key is of a kind that S/MIME does not encrypt to")
)

func codes() map[string]error {
	return map[string]error{
		"not-mail": ErrNotMail, "outlook": ErrOutlook, "plain": ErrPlain, "not-for-key": ErrNotForKey, "damaged": ErrDamaged,
		"too-large": ErrTooLarge, "key-file": ErrKeyFile, "key-ber": ErrBER, "passphrase": ErrPassphrase, "no-key": ErrNoKey, "old-key": ErrOldKey,
	}
}

const unknown = "unknown"

// Codes are all that Code gives for an error.
func Codes() []string { return append(slices.Collect(maps.Keys(codes())), unknown) }

// Code names an error for the page; "unknown" for others, and "" without one.
func Code(err error) string {
	if err == nil {
		return ""
	}
	for code, e := range codes() {
		if errors.Is(err, e) {
			return code
		}
	}
	return unknown
}
