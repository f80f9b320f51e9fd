// Package portal is the part of the directory for people. At / one types an
// address and sees its certificate, takes it home, and reads how to publish
// one's own. At /claim the recipient of sealed mail shows that a mailbox is his,
// and takes the key that is kept for him.
//
// The pages work without JavaScript and load nothing from anywhere else. A GET
// changes nothing, so that programs that look into every link use nothing up.
package portal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/address"
	"sealpost/lookup/keydb"
)

// Options say whose page it is, and what stands behind it.
type Options struct {
	// Find gives the certificates that somebody may be written with now; api.Finder
	// does. With nil the search is closed, and the page says so.
	Find func(context.Context, address.Address) ([]keydb.Certificate, error)
	// Claims has the keys that are kept for recipients; *claim.Engine does. With nil
	// there is no /claim. It needs URL.
	Claims  Claims
	Name    string // whose directory it is, default "Key directory"
	Logo    []byte // an SVG or PNG image, shown beside the name; may be nil
	Colours Colours
	Links   []Link // at the bottom of every page
	Texts   Texts  // words in place of ours
	// Enrol is the mail address that learns from signed mail; may be empty.
	Enrol string
	// URL is under which the world reaches the directory. With Claims its scheme is
	// https, or http on this machine; they answer under this name only.
	URL   string
	Log   *slog.Logger     // default: slog.Default
	Clock func() time.Time // default: time.Now
}

var (
	//go:embed pages/*.html
	files embed.FS

	//go:embed page.css
	style string
)

// Style is the style sheet of the pages, for others that want to look like them.
func Style() string { return style }

// Style is the style sheet with the operator's colours.
func (p *Portal) Style() string { return p.css }

// Logo is the path of the logo, or "".
func (p *Portal) Logo() string { return p.logo.path }

// Mount has a handler serve /read and what is below it, and the pages lead
// there. It is called before the first request.
func (p *Portal) Mount(reader http.Handler) { p.reader = reader }

// Portal is the handler. The rate limit and the log are those of the API, which
// serves it, and which puts the client's address into RemoteAddr.
type Portal struct {
	opts      Options
	pages     *template.Template
	reader    http.Handler // of /read; nil: there is none
	css       string
	logo      logo
	security  string // Content-Security-Policy
	languages []texts
	door      door
}

// New reads the options.
func New(opts Options) (*Portal, error) {
	if opts.Name == "" {
		opts.Name = "Key directory"
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	p := &Portal{opts: opts}
	var err error
	if opts.Claims != nil {
		if p.door, err = newDoor(opts.URL); err != nil {
			return nil, err
		}
	}
	if p.logo, err = readLogo(opts.Logo); err != nil {
		return nil, err
	}
	for _, l := range opts.Links {
		if err := l.Check(); err != nil {
			return nil, err
		}
	}
	if p.languages, err = opts.Texts.apply(opts.Name, p.door.host); err != nil {
		return nil, err
	}
	return p, p.style()
}

// style reads the templates and the style sheet, whose hash is all that the
// browser may take for style.
func (p *Portal) style() error {
	own, err := p.opts.Colours.css()
	if err != nil {
		return err
	}
	p.css = Style() + own
	p.pages, err = template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(p.css) },
	}).ParseFS(files, "pages/*.html")
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(p.css))
	images := "'self'"
	if p.logo.path == "" {
		images = "data:" // the empty icon, which keeps browsers from asking for /favicon.ico
	}
	p.security = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src " + images + "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return nil
}

// ServeHTTP answers GET and HEAD, and at /claim POST.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if p.reader != nil && (path == "/read" || strings.HasPrefix(path, "/read/")) {
		p.reader.ServeHTTP(w, r) // it has a policy of its own
		return
	}
	p.header(w.Header())
	switch {
	case p.claims(path):
		p.claim(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		p.Refuse(w, r, http.StatusMethodNotAllowed)
	case path == "/":
		p.search(w, r)
	case p.logo.path != "" && path == p.logo.path:
		h := w.Header()
		h.Set("Content-Type", p.logo.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(p.logo.data)
	default:
		p.Refuse(w, r, http.StatusNotFound)
	}
}

// claims reports whether the path is one of the claim's.
func (p *Portal) claims(path string) bool {
	return p.opts.Claims != nil && (path == "/claim" || strings.HasPrefix(path, "/claim/"))
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
	if p.door.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000") // codes are typed here
	}
}

// A frame is what stands around every page.
type frame struct {
	T         texts
	Name      string
	Logo      string
	Title     string
	Skip      string // the words of the link past the header
	Home      string // where the name leads
	Languages []language
	Links     []Link
	Claims    bool   // there is /claim
	Read      string // where one reads in the browser; empty when one cannot
	Enrol     string // the address that learns from signed mail; may be empty
	SignOut   string // the token of the form that ends the session; empty without one
	lang      string
}

type language struct {
	Code, Name, Link string
	Current          bool
}

func (p *Portal) frame(r *http.Request) frame {
	q := r.URL.Query()
	if r.Method == http.MethodPost && r.PostForm != nil {
		q = r.PostForm
	}
	t := choose(p.languages, q.Get("lang"), r.Header.Get("Accept-Language"))
	f := frame{
		T: t, Name: p.opts.Name, Logo: p.logo.path, Title: t["title"], Skip: t["claim_skip"],
		Claims: p.opts.Claims != nil, Enrol: p.opts.Enrol, lang: t["code"],
	}
	if p.reader != nil {
		f.Read = f.To("/read")
	}
	f.Home = f.To("/")
	for _, other := range p.languages {
		link := url.Values{"lang": {other["code"]}}
		for _, keep := range []string{"email", "t", "done"} {
			if v := q.Get(keep); v != "" {
				link.Set(keep, v)
			}
		}
		f.Languages = append(f.Languages, language{other["code"], other["language"], r.URL.EscapedPath() + "?" + link.Encode(), other["code"] == t["code"]})
	}
	for _, l := range p.opts.Links {
		if words := l.Words[t["code"]]; words != "" {
			l.Label = words
		}
		f.Links = append(f.Links, l)
	}
	return f
}

// To is a link to another page in the same language.
func (f frame) To(path string) string { return path + "?lang=" + f.lang }

// Refuse tells a person that it did not work, and what to do.
func (p *Portal) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	p.header(w.Header())
	if p.claims(r.URL.Path) && status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		p.refuseClaim(w, r, status)
		return
	}
	v := p.searchView(r)
	v.Languages = nil // the path may be a form's, or nobody's
	switch status {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		v.Trouble = v.T["no_page"]
	case http.StatusTooManyRequests:
		v.Trouble = v.T["too_often"]
	default:
		v.Trouble = v.T["unavailable"]
	}
	p.write(w, status, "search.html", v.T, v)
}

func (p *Portal) write(w http.ResponseWriter, status int, name string, t texts, view any) {
	var b bytes.Buffer
	if err := p.pages.ExecuteTemplate(&b, name, view); err != nil {
		panic(fmt.Errorf("portal: %w", err)) // the API answers 500 and logs it
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", t["code"])
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}
