// Package reader has the page /read, on which a person opens sealed mail in the
// browser: the file and the key stay on his device. What opens it is package
// letter, compiled to WebAssembly and started in a Worker; package wasm is its
// main, and package build makes it.
//
// The page and all it loads come from here. What a mail brings is shown in a
// frame of its own, where nothing runs and nothing is fetched: see frame.html.
package reader

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sealpost/directory/keybox"
	"sealpost/directory/portal"
)

//go:generate go run ./build -o dist

// Path is where the page is; what it loads is below.
const Path = "/read"

// Options say whose page it is.
type Options struct {
	Name string // whose directory it is, default "Key directory"
	Logo string // path of an image beside the name; "" without
	// Style is the CSS that the page has in common with the others of the portal.
	Style string
	Links []portal.Link // at the bottom
	// Session gives the claimed session of a request whose key the directory still
	// has; the page then offers to read with it (see keybox.Path). With nil, and
	// without a session, it reads with key files.
	Session func(*http.Request) (Session, bool)
}

// A Session is what the page must know of one.
type Session struct {
	Address string
	CSRF    string // goes with the call at keybox.Path
}

var (
	//go:embed page
	pages embed.FS

	//go:embed all:dist
	dist embed.FS
)

// Reader is the handler of Path and all below it. It answers GET and HEAD, and
// no GET changes anything.
type Reader struct {
	opts     Options
	built    bool
	page     *template.Template
	css      string
	security string // Content-Security-Policy of the page
	frame    file
	base     string // path of the files, with their common fingerprint
	files    map[string]file
}

// A file never changes under its path.
type file struct {
	kind, security string
	data           []byte
	packed         bool // data is gzip
}

// New reads the page.
func New(opts Options) (*Reader, error) {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return newReader(opts, built)
}

// Policies of what runs. Nothing of the page speaks with the network but its
// Worker, which loads the module and asks for the key of a claimed session.
const (
	pagePolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; frame-src 'self'; img-src 'self' data:; style-src 'sha256-%s'; " +
		"connect-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
	workerPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
	framePolicy  = "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox; default-src 'none'; script-src 'sha256-%s'; " +
		"style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)

func newReader(opts Options, built fs.FS) (*Reader, error) {
	if opts.Name == "" {
		opts.Name = "Key directory"
	}
	r := &Reader{opts: opts, files: map[string]file{}}
	own := func(name string) []byte {
		data, err := pages.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return data
	}
	r.css = opts.Style + string(own("read.css"))
	r.security = fmt.Sprintf(pagePolicy, digest([]byte(r.css)))
	var err error
	r.page, err = template.New("read.html").Funcs(template.FuncMap{
		"css": func() template.CSS { return template.CSS(r.css) },
	}).ParseFS(pages, "page/read.html")
	if err != nil {
		return nil, err
	}
	frame := own("frame.html")
	_, script, _ := bytes.Cut(frame, []byte("<script>"))
	script, _, _ = bytes.Cut(script, []byte("</script>"))
	r.frame = file{kind: "text/html; charset=utf-8", security: fmt.Sprintf(framePolicy, digest(script)), data: frame}
	const javascript = "text/javascript; charset=utf-8"
	r.files["read.js"] = file{kind: javascript, data: own("read.js")}
	r.files["worker.js"] = file{kind: javascript, security: workerPolicy, data: own("worker.js")}
	starter, err := fs.ReadFile(built, "wasm_exec.js")
	if err == nil {
		r.files["wasm_exec.js"] = file{kind: javascript, data: starter}
		var module []byte
		module, err = fs.ReadFile(built, "reader.wasm.gz")
		r.files["reader.wasm"] = file{kind: "application/wasm", data: module, packed: true}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r.built = err == nil
	r.base = Path + "/" + r.fingerprint() + "/"
	return r, nil
}

// Built tells whether the program has the module in it; without, the page says
// that it cannot read (`go generate ./directory/reader`, then build anew).
func (r *Reader) Built() bool { return r.built }

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// fingerprint names the files by what is in all of them: a page never meets
// those of another release.
func (r *Reader) fingerprint() string {
	h := sha256.New()
	for _, name := range []string{"read.js", "worker.js", "wasm_exec.js", "reader.wasm"} {
		sum := sha256.Sum256(r.files[name].data)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// ServeHTTP answers GET and HEAD.
func (r *Reader) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("X-DNS-Prefetch-Control", "off") // not even the names in links are looked up
	switch name, below := strings.CutPrefix(req.URL.Path, r.base); {
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This page takes GET and HEAD.", http.StatusMethodNotAllowed)
	case req.URL.Path == Path:
		r.home(w, req)
	case req.URL.Path == Path+"/frame":
		h.Set("Cache-Control", "no-cache")
		r.frame.serve(w, req)
	case below && r.files[name].data != nil:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		r.files[name].serve(w, req)
	default:
		http.NotFound(w, req)
	}
}

// loadTime is how long a slow line may take for the module. It is the largest
// thing that anybody gets here.
const loadTime = 10 * time.Minute

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", "default-src 'none'")
	if f.security != "" {
		h.Set("Content-Security-Policy", f.security)
	}
	if f.packed {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(loadTime)) // else the server's own holds
		h.Set("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			unpacked, err := gzip.NewReader(bytes.NewReader(f.data))
			if err != nil {
				http.Error(w, "The file is damaged.", http.StatusInternalServerError)
				return
			}
			_, _ = io.Copy(w, unpacked)
			return
		}
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(f.data)))
	_, _ = w.Write(f.data)
}

// A view is what the template shows.
type view struct {
	T         words
	Name      string
	Logo      string
	Built     bool
	Base      string
	Frame     string
	Session   *Session
	Call      string
	Languages []language
	Links     []portal.Link
}

type language struct {
	Code, Name, Link string
	Current          bool
}

// home is the page itself.
func (r *Reader) home(w http.ResponseWriter, req *http.Request) {
	t := choose(req.URL.Query().Get("lang"), req.Header.Get("Accept-Language"))
	v := view{T: t, Name: r.opts.Name, Logo: r.opts.Logo, Built: r.built, Base: r.base, Frame: Path + "/frame", Call: keybox.Path}
	for _, other := range languages() {
		v.Languages = append(v.Languages, language{other.Code, other.Language, Path + "?lang=" + other.Code, other.Code == t.Code})
	}
	for _, l := range r.opts.Links {
		if words := l.Words[t.Code]; words != "" {
			l.Label = words
		}
		v.Links = append(v.Links, l)
	}
	if r.opts.Session != nil {
		if s, ok := r.opts.Session(req); ok {
			v.Session = &s
		}
	}
	var b bytes.Buffer
	if err := r.page.Execute(&b, v); err != nil {
		panic(fmt.Errorf("reader: %w", err)) // the API answers 500 and logs it
	}
	h := w.Header()
	h.Set("Content-Security-Policy", r.security)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", t.Code)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	if !r.built {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(b.Bytes())
}
