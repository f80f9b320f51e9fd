package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"sealpost/internal/address"
)

// checkKind checks a text by the kind that its field's tag names.
func checkKind(kind, s string) error {
	switch kind {
	case "address":
		return checkListenAddress(s)
	case "server":
		return checkServerAddress(s)
	case "domain":
		return checkHost(s)
	case "glob":
		return checkGlob(s)
	case "field":
		return checkFieldName(s)
	case "word":
		return checkWord(s)
	case "resolver":
		return checkResolver(s)
	}
	return nil
}

func checkListenAddress(s string) error {
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if host != "" {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Is4In6() {
			return fmt.Errorf("%s does not begin with an IP address: write 127.0.0.1:%s, \"[::1]:%s\" or :%s", quote(s), port, port, port)
		}
	}
	return nil
}

func checkServerAddress(s string) error {
	host, port, err := splitHostPort(s)
	if err != nil {
		return err
	}
	if port == "0" {
		return fmt.Errorf("%s has port 0, on which no server listens", quote(s))
	}
	if host == "" {
		return fmt.Errorf("%s has no host: write 127.0.0.1%s or mail.example.com%s", quote(s), s, s)
	}
	return checkHost(host)
}

// splitHostPort wants a port in plain decimals, 0 to 65535.
func splitHostPort(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil && a.Is6() {
			return "", "", fmt.Errorf("%s has no port: did you mean \"[%s]:25\"?", quote(s), a)
		}
		if !strings.Contains(s, ":") {
			return "", "", fmt.Errorf("%s has no port: write %s:PORT", quote(s), s)
		}
		return "", "", fmt.Errorf("%s is not HOST:PORT: write 127.0.0.1:25 or \"[::1]:25\"", quote(s))
	}
	n, err := parseInt(port)
	if err != nil || n < 0 || n > 65535 {
		return "", "", fmt.Errorf("%s has no usable port: a port is a number from 1 to 65535", quote(s))
	}
	return host, port, nil
}

// checkHost wants a domain name or an IP address.
func checkHost(s string) error {
	if a, err := netip.ParseAddr(s); err == nil && !a.Is4In6() {
		return nil
	}
	if _, err := address.Domain(s); err != nil {
		return fmt.Errorf("%s is not a host name or an IP address", quote(s))
	}
	return nil
}

// checkGlob refuses patterns that no address can match.
func checkGlob(s string) error {
	for _, r := range s {
		if r <= ' ' || r == 0x7f {
			return fmt.Errorf("%s has a blank in it, which no address has", quote(s))
		}
	}
	switch {
	case s == "<>":
		return nil
	case strings.ContainsAny(s, `<>(),;\"`), strings.HasSuffix(s, "$"), s[0] == '.',
		strings.ContainsAny(s[:max(strings.LastIndex(s, "@"), 0)], "[]"):
		return fmt.Errorf("%s is not a pattern for addresses: only * and ? stand for other characters, as in *@example.com", quote(s))
	case strings.HasPrefix(s, "@"):
		return fmt.Errorf("%s matches no address: did you mean *%s?", quote(s), s)
	case strings.Count(s, "@") > 1:
		return fmt.Errorf("%s matches no address: it has more than one @", quote(s))
	case !strings.Contains(s, "@") && !strings.ContainsAny(s, "*?"):
		return fmt.Errorf("%s matches no address: did you mean *@%s?", quote(s), s)
	}
	return nil
}

// checkFieldName wants a header field's name (RFC 5322 section 3.6.8).
func checkFieldName(s string) error {
	if name, ok := strings.CutSuffix(s, ":"); ok && checkFieldName(name) == nil {
		return fmt.Errorf("%s ends in a colon: did you mean %s?", quote(s), name)
	}
	if s == "" || len(s) > 77 {
		return fmt.Errorf("%s is not the name of a header field", quote(s))
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return fmt.Errorf("%s is not the name of a header field", quote(s))
		}
	}
	return nil
}

// checkWord wants a name that can stand in logs and metrics as it is.
func checkWord(s string) error {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') || len(s) > 64 {
			return fmt.Errorf("%s is not a name: use up to 64 of a-z, A-Z, 0-9, dash, dot and underscore", quote(s))
		}
	}
	return nil
}

// checkURL wants an absolute http or https URL with a place for the address.
func checkURL(s string) error {
	const place = "{address}"
	u, err := url.Parse(strings.ReplaceAll(s, place, "x"))
	switch {
	case err != nil || u.Opaque != "":
		return fmt.Errorf("%s is not a URL: write https://keys.example.com/certificates?email={address}", quote(s))
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s is not an http or https URL", quote(s))
	case u.User != nil:
		return errors.New("the URL holds a login: secrets do not stand in the configuration, use token_file")
	case u.Hostname() == "" || checkHost(u.Hostname()) != nil:
		return fmt.Errorf("%s has no valid host", quote(s))
	case strings.Contains(strings.SplitN(s+"/", "/", 4)[2], "{"):
		return fmt.Errorf("%s takes its host from the address: {address} may stand in the path or the query", quote(s))
	case u.Fragment != "" || strings.Contains(s, "#"):
		return fmt.Errorf("%s has a fragment (#), which is never sent", quote(s))
	case !strings.Contains(s, place):
		return fmt.Errorf("%s has no place for the address: did you mean %s?", quote(s), s+"?email="+place)
	case strings.ContainsAny(strings.ReplaceAll(s, place, ""), "{} "):
		return fmt.Errorf("%s has braces or blanks other than {address}", quote(s))
	}
	return nil
}
