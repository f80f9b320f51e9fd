// Package portal is the part of the directory for people: a page on which one
// types an address and sees its certificate, takes it home, and reads how to
// publish one's own. It works without JavaScript and loads nothing from
// anywhere else. A GET changes nothing.
package portal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/internal/certificate"
	"sealpost/lookup/keydb"
)

// Options say whose page it is, and what stands behind it.
type Options struct {
	// Find gives the certificates that somebody may be written with now; api.Finder
	// does. With nil the search is closed, and the page says so.
	Find func(context.Context, address.Address) ([]keydb.Certificate, error)
	Name string // whose directory it is, default "Key directory"
	Logo []byte // an SVG or PNG image, shown beside the name; may be nil
	// Enrol is the mail address that learns from signed mail; may be empty.
	Enrol string
	URL   string           // of the directory, for the examples; default: what the browser asked for is not shown
	Clock func() time.Time // default: time.Now
}

// Errors of New.
var (
	ErrLogo = errors.New("portal: the logo must be an SVG or PNG image of at most 256 KiB")
)

const maxLogo = 256 << 10

//go:embed page.html page.css
var files embed.FS

// Portal is the handler. The rate limit and the log are those of the API, which
// serves it.
type Portal struct {
	opts     Options
	page     *template.Template
	logo     logo
	security string // Content-Security-Policy
}

type logo struct {
	kind, path string
	data       []byte
}

// New reads the options.
func New(opts Options) (*Portal, error) {
	if opts.Name == "" {
		opts.Name = "Key directory"
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	p := &Portal{opts: opts}
	var err error
	if p.logo, err = readLogo(opts.Logo); err != nil {
		return nil, err
	}
	css, err := files.ReadFile("page.css")
	if err != nil {
		return nil, err
	}
	p.page, err = template.New("page.html").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(css) },
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(css)
	p.security = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return p, nil
}

// readLogo recognises an image by what it is, and names it by its content, so
// that browsers may keep it for long.
func readLogo(data []byte) (logo, error) {
	if len(data) == 0 {
		return logo{}, nil
	}
	sum := sha256.Sum256(data)
	name := "/logo-" + hex.EncodeToString(sum[:6])
	switch {
	case len(data) > maxLogo:
		return logo{}, ErrLogo
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return logo{"image/png", name + ".png", data}, nil
	case bytes.Contains(data[:min(len(data), 1024)], []byte("<svg")):
		return logo{"image/svg+xml", name + ".svg", data}, nil
	}
	return logo{}, ErrLogo
}

// ServeHTTP answers GET and HEAD.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.header(w.Header())
	switch {
	case r.URL.Path == "/":
		p.home(w, r)
	case p.logo.path != "" && r.URL.Path == p.logo.path:
		h := w.Header()
		h.Set("Content-Type", p.logo.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(p.logo.data)
	default:
		p.Refuse(w, r, http.StatusNotFound)
	}
}

// header sets what every answer has: nothing is loaded from elsewhere, nothing
// is told to others, nobody frames the page.
func (p *Portal) header(h http.Header) {
	h.Set("Content-Security-Policy", p.security)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store") // what one searched for stays one's own business
	h.Set("Vary", "Accept-Language")
}

// A view is what the template shows.
type view struct {
	T         texts
	Name      string
	Logo      string
	Enrol     string
	URL       string
	Closed    bool
	Languages []language
	Email     string // as it was typed
	Address   string // as it was understood; empty when it was not, or nothing was asked
	Found     []found
	Trouble   string // one sentence; empty when all is well
	Wrong     bool   // the trouble is what was typed
	Title     string
}

type language struct {
	Code, Name, Link string
	Current          bool
}

// home is the page itself; with ?email= it has an answer.
func (p *Portal) home(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := p.view(r, q)
	if q.Get("email") == "" || v.Closed {
		p.write(w, http.StatusOK, v)
		return
	}
	addr, err := address.Parse(strings.TrimSpace(v.Email))
	if err != nil {
		v.Trouble, v.Wrong = v.T.NoAddress, true
		p.write(w, http.StatusBadRequest, v)
		return
	}
	certs, err := p.opts.Find(r.Context(), addr)
	if err != nil {
		v.Trouble = v.T.Unavailable
		p.write(w, http.StatusServiceUnavailable, v)
		return
	}
	if as := q.Get("download"); as != "" {
		p.download(w, r, certs, q.Get("sha256"), as)
		return
	}
	v.Address = addr.String()
	v.Title = v.Address
	for _, c := range certs {
		if f, err := p.describe(c, addr, v.T); err == nil {
			v.Found = append(v.Found, f)
		}
	}
	p.write(w, http.StatusOK, v)
}

func (p *Portal) view(r *http.Request, q url.Values) view {
	t := choose(q.Get("lang"), r.Header.Get("Accept-Language"))
	v := view{
		T: t, Name: p.opts.Name, Logo: p.logo.path, Enrol: p.opts.Enrol, URL: p.opts.URL, Closed: p.opts.Find == nil,
		Email: q.Get("email"), Title: t.Title,
	}
	for _, other := range languages() {
		link := url.Values{"lang": {other.Code}}
		if v.Email != "" {
			link.Set("email", v.Email)
		}
		v.Languages = append(v.Languages, language{other.Code, other.Language, "/?" + link.Encode(), other.Code == t.Code})
	}
	return v
}

// Refuse tells a person that it did not work, and what to do.
func (p *Portal) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	p.header(w.Header())
	v := p.view(r, r.URL.Query())
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		v.Trouble = v.T.NoPage
	case http.StatusTooManyRequests:
		v.Trouble = v.T.TooOften
	default:
		v.Trouble = v.T.Unavailable
	}
	p.write(w, status, v)
}

func (p *Portal) write(w http.ResponseWriter, status int, v view) {
	var b bytes.Buffer
	if err := p.page.Execute(&b, v); err != nil {
		panic(fmt.Errorf("portal: %w", err)) // the API answers 500 and logs it
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.T.Code)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// download sends one of the certificates that were found as a file.
func (p *Portal) download(w http.ResponseWriter, r *http.Request, certs []keydb.Certificate, sha256, as string) {
	for _, c := range certs {
		if c.SHA256.String() != sha256 {
			continue
		}
		h := w.Header()
		switch as {
		case "cer":
			h.Set("Content-Type", "application/pkix-cert")
			h.Set("Content-Disposition", attachment(c, "cer"))
			_, _ = w.Write(c.DER)
			return
		case "pem":
			h.Set("Content-Type", "application/x-pem-file")
			h.Set("Content-Disposition", attachment(c, "pem"))
			_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
			return
		}
	}
	p.Refuse(w, r, http.StatusNotFound)
}

// attachment names the file by the fingerprint: addresses have characters that
// file names must not have.
func attachment(c keydb.Certificate, ending string) string {
	return fmt.Sprintf(`attachment; filename="certificate-%x.%s"`, c.SHA256[:4], ending)
}

// found is one certificate as a person reads it.
type found struct {
	Name            string // the common name, for the headline
	Subject, Issuer string
	Until, From     string
	Soon            bool // it ends within a month
	Left            string
	Key             string
	Fingerprint     []string // groups of four digits
	Origin          string
	Seen            string
	Serial          string
	CER, PEM        string // links
}

// commonName is the CN of a distinguished name as RFC 4514 writes it, or all of
// the name when there is none that is plain.
func commonName(dn string) string {
	for part := range strings.SplitSeq(dn, ",") {
		if name, ok := strings.CutPrefix(part, "CN="); ok && !strings.ContainsAny(name, `\+"`) {
			return name
		}
	}
	return dn
}

func (p *Portal) describe(c keydb.Certificate, a address.Address, t texts) (found, error) {
	cert, err := certificate.Parse(c.DER)
	if err != nil {
		return found{}, err
	}
	left := int(cert.NotAfter.Sub(p.opts.Clock()).Hours() / 24)
	f := found{
		Name: commonName(cert.Subject), Subject: cert.Subject, Issuer: cert.Issuer, From: t.date(cert.NotBefore), Until: t.date(cert.NotAfter),
		Soon: left < 30, Left: t.days(left), Key: cert.KeyName, Origin: t.Origins[c.Origin], Seen: t.date(c.LastSeen),
	}
	if cert.Serial != nil {
		f.Serial = cert.Serial.Text(16)
	}
	if cert.Subject == cert.Issuer {
		f.Issuer = t.SelfIssued
	}
	digits := strings.ToUpper(c.SHA256.String())
	for i := 0; i < len(digits); i += 4 {
		f.Fingerprint = append(f.Fingerprint, digits[i:i+4])
	}
	link := url.Values{"email": {a.String()}, "sha256": {c.SHA256.String()}}
	link.Set("download", "cer")
	f.CER = "/?" + link.Encode()
	link.Set("download", "pem")
	f.PEM = "/?" + link.Encode()
	return f, nil
}
