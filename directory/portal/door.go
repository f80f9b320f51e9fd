package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// ErrURL is what New says when the claim pages could not be kept safe there.
var ErrURL = errors.New("portal: the URL must begin with https://, or with http:// on this machine, and have no path")

// A door stands before the pages that know who somebody is. It knows under which
// name they are reached, which cookies are theirs, and where a form came from.
type door struct {
	host   string // as browsers write it in Host
	origin string // as they write it in Origin
	secure bool   // https: cookies have the prefix __Host- (RFC 6265bis, 4.1.3.2)
}

// CheckURL reports whether the pages of the claim can be kept safe under this
// URL; the error wraps ErrURL.
func CheckURL(raw string) error {
	_, err := newDoor(raw)
	return err
}

func newDoor(raw string) (door, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return door{}, fmt.Errorf("%w: %q", ErrURL, raw)
	}
	d := door{secure: u.Scheme == "https", host: strings.ToLower(u.Host)}
	port := u.Port()
	switch {
	case d.secure && port == "443", u.Scheme == "http" && port == "80":
		d.host = strings.TrimSuffix(d.host, ":"+port)
	case !d.secure && (u.Scheme != "http" || !thisMachine(u.Hostname())):
		return door{}, fmt.Errorf("%w: %q", ErrURL, raw)
	}
	d.origin = u.Scheme + "://" + d.host
	return d, nil
}

func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// named reports whether the browser asked for us by our name. Who sends people
// here under another name could have them leave traces that he can read.
func (d door) named(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	if h, port, err := net.SplitHostPort(host); err == nil && (d.secure && port == "443" || !d.secure && port == "80") {
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	return host == d.host
}

// ours reports whether a form was sent from a page of ours, as far as browsers
// say so. They all say where a request comes from in Sec-Fetch-Site, but for old
// ones; and those write no origin that could be compared where the page sends no
// referrer. The form's own token is asked for in any case.
func (d door) ours(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "null" || origin == d.origin
}

// The two cookies: before and after somebody has shown who he is.
const (
	formCookie    = "sealpost-form"
	sessionCookie = "sealpost"
)

// cookie makes one that only this host gets back, from its own pages only, and
// that ends with the browser. An empty value deletes it.
func (d door) cookie(name, value string) *http.Cookie {
	c := &http.Cookie{Name: d.cookieName(name), Value: value, Path: "/", Secure: d.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (d door) cookieName(name string) string {
	if d.secure {
		return "__Host-" + name
	}
	return name
}

// read gives the cookie's value. Two cookies of one name are none: somebody has
// put one beside ours.
func (d door) read(r *http.Request, name string) string {
	found := r.CookiesNamed(d.cookieName(name))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// formToken gives what a form must bring back, and has the browser keep the
// cookie that it belongs to. It ties a form to the browser that it was shown in,
// before there is a session: so nobody is led into somebody else's.
func (d door) formToken(w http.ResponseWriter, r *http.Request) string {
	value := d.read(r, formCookie)
	if value == "" {
		value = rand.Text()
		http.SetCookie(w, d.cookie(formCookie, value))
	}
	return tokenOf(value)
}

// tokenOf says nothing about the cookie itself.
func tokenOf(cookie string) string {
	sum := sha256.Sum256([]byte("form\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// formOurs reports whether the form was shown in this browser.
func (d door) formOurs(r *http.Request) bool {
	cookie := d.read(r, formCookie)
	return cookie != "" && same(r.PostForm.Get("csrf"), tokenOf(cookie))
}

// same compares in a time that says nothing about where they differ.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
