package upstream

import (
	"strconv"
	"strings"
)

// extensions are what a server said after EHLO.
type extensions struct {
	keywords []string // upper case, in the server's order, for people

	pipelining, chunking, binaryMIME, eightBit bool
	dsn, smtpUTF8, requireTLS, startTLS        bool
	size                                       bool
	maxSize                                    int64 // 0: no limit said
	maxMessages                                int   // LIMITS MAILMAX (RFC 9422); 0: none
	auth                                       []string
	xforward                                   xforwardOffer
}

// parseExtensions reads the text of a positive reply to EHLO (RFC 5321 section
// 4.1.1.1): the first line is a greeting, each other one a keyword and its
// parameters. What we do not know is skipped.
func parseExtensions(text string) extensions {
	var e extensions
	_, rest, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(rest, "\n") {
		words := strings.Fields(strings.Replace(line, "AUTH=", "AUTH ", 1)) // an old form
		if len(words) == 0 {
			continue
		}
		keyword := strings.ToUpper(words[0])
		e.keywords = append(e.keywords, keyword)
		e.add(keyword, words[1:])
	}
	return e
}

func (e *extensions) add(keyword string, params []string) {
	switch keyword {
	case "PIPELINING":
		e.pipelining = true
	case "CHUNKING":
		e.chunking = true
	case "BINARYMIME":
		e.binaryMIME = true
	case "8BITMIME":
		e.eightBit = true
	case "DSN":
		e.dsn = true
	case "SMTPUTF8":
		e.smtpUTF8 = true
	case "REQUIRETLS":
		e.requireTLS = true
	case "STARTTLS":
		e.startTLS = true
	case "SIZE":
		e.size = true
		if len(params) > 0 {
			if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
				e.maxSize = n
			}
		}
	case "AUTH":
		for _, p := range params {
			e.auth = append(e.auth, strings.ToUpper(p))
		}
	case "XFORWARD":
		for _, p := range params {
			e.xforward.add(p)
		}
	case "LIMITS":
		e.addLimits(params)
	}
}

func (e *extensions) addLimits(params []string) {
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		if n, err := strconv.Atoi(value); err == nil && n > 0 && strings.EqualFold(name, "MAILMAX") {
			e.maxMessages = n
		}
	}
}
