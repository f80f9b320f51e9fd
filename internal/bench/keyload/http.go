package keyload

import (
	"bufio"
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// HTTP asks Sealpost's directory: GET /v1/certificates for one address, POST
// /v1/certificates:batch for several.
type HTTP struct{ Token string }

// One is the request for one address.
func (h HTTP) One(address string) []byte {
	return []byte("GET /v1/certificates?email=" + url.QueryEscape(address) + " HTTP/1.1\r\nHost: keys.bench.example\r\n" + h.bearer() + "\r\n")
}

func (h HTTP) bearer() string {
	if h.Token == "" {
		return ""
	}
	return "Authorization: Bearer " + h.Token + "\r\n"
}

// Many is the request for several.
func (h HTTP) Many(addresses []string) []byte {
	body := `{"addresses":["` + strings.Join(addresses, `","`) + `"]}`
	return fmt.Appendf(nil, "POST /v1/certificates:batch HTTP/1.1\r\nHost: keys.bench.example\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		h.bearer(), len(body), body)
}

// Read reads the answer; found counts certificates.
func (h HTTP) Read(r *bufio.Reader, _ int) (found int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || string(line[9:12]) != "200" && string(line[9:12]) != "404" {
		return 0, fmt.Errorf("the directory answered %q", line)
	}
	ok := line[9] == '2'
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if value, is := bytes.CutPrefix(line, []byte("Content-Length: ")); is {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, fmt.Errorf("an answer without Content-Length")
	}
	return count(r, length, ok)
}

// count reads a body of this length; each certificate in it has one "der".
func count(r *bufio.Reader, length int, ok bool) (found int, err error) {
	for length > 0 {
		part, err := r.Peek(min(length, r.Size()))
		if err != nil {
			return found, err
		}
		n := len(part)
		if ok {
			found += bytes.Count(part, []byte(`"der":"`))
		}
		if n < length {
			n -= 6 // a name may be cut in two here
		}
		length -= n
		if _, err := r.Discard(n); err != nil {
			return found, err
		}
	}
	return found, nil
}
