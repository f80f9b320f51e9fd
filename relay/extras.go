package relay

import (
	"fmt"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"

	"sealpost/internal/address"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
	"sealpost/relay/reply"
	"sealpost/smime"
)

// The header fields by which the sending system speaks to Sealpost. Every field
// whose name begins so is taken out of every message, whatever becomes of it.
const (
	extraPrefix    = "X-Sealpost-"
	secretField    = extraPrefix + "Secret"
	referenceField = extraPrefix + "Reference"
)

// OwnField reports a field that is meant for Sealpost alone: it is taken out of
// every message before anything else looks at it, rules included.
func OwnField(name string) bool {
	return len(name) >= len(extraPrefix) && strings.EqualFold(name[:len(extraPrefix)], extraPrefix)
}

// extras are what the header says for somebody who will be given a key. What is
// wrong in it is refused for every message, not only for those that need it: a
// secret that was not understood must not become a key without one.
func extras(h *smime.Header) (ProvisionRequest, *reply.Error) {
	var out ProvisionRequest
	for f := range h.Fields() {
		var bad string
		switch value, ok := plainText(f.Value()); {
		case strings.EqualFold(f.Name, secretField):
			switch {
			case out.Secret != "":
				bad = "stands twice"
			case !ok || !strings.ContainsFunc(value, isLetterOrDigit):
				bad = "has no letter and no digit, or is no text"
			case len(value) > keydb.MaxSecret:
				bad = fmt.Sprintf("is longer than %d bytes", keydb.MaxSecret)
			}
			out.Secret = value
		case strings.EqualFold(f.Name, referenceField):
			switch {
			case !ok:
				bad = "is no text"
			case len(value) > keydb.MaxReference:
				bad = fmt.Sprintf("is longer than %d bytes", keydb.MaxReference)
			case value != "" && len(out.References) == keydb.MaxReferences:
				bad = fmt.Sprintf("stands more than %d times", keydb.MaxReferences)
			case value != "":
				out.References = append(out.References, value)
			}
		}
		if bad != "" {
			return ProvisionRequest{}, reply.Errorf(554, reply.Enhanced{5, 6, 0}, reason.MessageMalformed, "The header field %s %s", f.Name, bad)
		}
	}
	out.Language = language(h.Get("Content-Language"))
	return out, nil
}

func isLetterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// plainText decodes the encoded words (RFC 2047) of a value.
func plainText(value string) (string, bool) {
	text, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return "", false
	}
	text = strings.TrimSpace(text)
	return text, utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// language is the first tag of Content-Language (RFC 3282); "" where it is none.
func language(value string) string {
	tag, _, _ := strings.Cut(value, ",")
	tag = strings.TrimSpace(tag)
	notInTag := func(r rune) bool {
		return r > unicode.MaxASCII || r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	if len(tag) > 35 || strings.ContainsFunc(tag, notInTag) {
		return ""
	}
	return tag
}

// author is whom the recipient knows as the sender: From, where it names one
// beyond doubt, and the envelope's sender otherwise.
func author(h *smime.Header, envelope address.Address) address.Address {
	if from, err := smime.From(h); err == nil {
		return from
	}
	return envelope
}
