package ldap

import (
	"net"
	"net/url"
	"path"
	"strings"
)

// A location is where a server listens.
type location struct {
	network, address string // for net.Dial
	host             string // for the server's certificate
	implicitTLS      bool   // ldaps:
	url              string // for people
}

// CheckURL reports ErrURL for what New would refuse.
func CheckURL(s string) error {
	_, err := parseURL(s)
	return err
}

// Secure reports a URL by which nobody can listen: ldaps:, or ldapi: on this
// machine.
func Secure(s string) bool { return strings.HasPrefix(s, "ldaps:") || strings.HasPrefix(s, "ldapi:") }

// Host is the host of a URL that CheckURL takes; "" for a Unix socket.
func Host(s string) string {
	at, err := parseURL(s)
	if err != nil {
		return ""
	}
	return at.host
}

func parseURL(s string) (location, error) {
	if rest, ok := strings.CutPrefix(s, "ldapi://"); ok {
		return parseSocket(s, rest)
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return location{}, ErrURL
	}
	port, known := map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	if !known {
		return location{}, ErrURL
	}
	if u.Port() != "" {
		port = u.Port()
	}
	address := net.JoinHostPort(u.Hostname(), port)
	return location{
		network: "tcp", address: address, host: u.Hostname(), implicitTLS: u.Scheme == "ldaps", url: u.Scheme + "://" + address,
	}, nil
}

// parseSocket reads the path of a Unix socket, which stands percent-encoded
// where others have the host.
func parseSocket(s, rest string) (location, error) {
	socket, err := url.PathUnescape(strings.TrimSuffix(rest, "/"))
	if err != nil || !path.IsAbs(socket) || strings.Contains(rest, "?") || strings.ContainsRune(socket, 0) {
		return location{}, ErrURL
	}
	return location{network: "unix", address: socket, url: strings.TrimSuffix(s, "/")}, nil
}
