package api

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

// PathSearch is where RFC 4387 is answered; the others are in keydb.
const PathSearch = "/certificates/search.cgi"

// API is the handler of the directory: calls for programs, and a page for people.
type API struct {
	opts     Options
	limiter  *limiter
	tokens   *tokens
	calls    gate
	messages gate
	feeds    gate
	metrics  *metrics
	seed     maphash.Seed // so that clients in the log are nobody in particular
	routes   map[string][]*endpoint
	revoke   []*endpoint
	page     []*endpoint
	claim    []*endpoint
	nowhere  []*endpoint
	openapi  document

	cacheControl []string // of lookups; never changed
}

// An endpoint is one method of one path.
type endpoint struct {
	call   string // in logs and metrics
	method string // "" for any
	serve  func(*exchange) error
	codes  []int // that are counted from the start
	lookup bool  // one of millions: told to the log only when debugging
	*counters
}

// New makes the handler.
func New(opts Options) (*API, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	a := &API{
		opts: opts, seed: maphash.MakeSeed(), metrics: newMetrics(opts.Metrics),
		limiter:  newLimiter(opts.Limits.PerSecond, opts.Limits.Burst, opts.Clock),
		tokens:   newTokens(opts.Store, opts.Clock),
		calls:    make(gate, opts.Limits.Calls),
		messages: make(gate, opts.Limits.Messages),
		feeds:    make(gate, opts.Limits.Feeds),

		cacheControl: cacheControl(&opts),
	}
	var err error
	if a.openapi, err = newDocument(); err != nil {
		return nil, fmt.Errorf("api: openapi.yaml: %w", err)
	}
	a.route()
	return a, nil
}

// route lists what there is. The codes are those of openapi.yaml, kept equal by
// a test.
func (a *API) route() {
	lookup := &endpoint{call: "lookup", method: "GET", serve: (*exchange).lookup, lookup: true, codes: []int{200, 304, 400, 401, 403, 404, 406, 429, 503}}
	publish := &endpoint{call: "publish", method: "POST", serve: (*exchange).publish, codes: []int{200, 400, 401, 403, 413, 415, 422, 503}}
	batch := &endpoint{call: "batch", method: "POST", serve: (*exchange).batch, lookup: true, codes: []int{200, 400, 401, 403, 413, 415, 503}}
	search := &endpoint{call: "search", method: "GET", serve: (*exchange).search, lookup: true, codes: []int{200, 304, 400, 401, 403, 404, 429, 503}}
	changes := &endpoint{call: "changes", method: "GET", serve: (*exchange).changes, codes: []int{200, 400, 401, 403, 410, 503}}
	revoke := &endpoint{call: "revoke", method: "DELETE", serve: (*exchange).revoke, codes: []int{204, 400, 401, 403, 404, 503}}
	describe := &endpoint{call: "openapi", method: "GET", serve: (*exchange).describe, codes: []int{200, 304}}
	a.routes = map[string][]*endpoint{
		keydb.PathCertificates: {lookup, publish},
		keydb.PathBatch:        {batch},
		PathSearch:             {search},
		keydb.PathChanges:      {changes},
		"/openapi.yaml":        {describe},
		"/openapi.json":        {describe},
	}
	if a.opts.Harvester != nil {
		message := &endpoint{call: "message", method: "POST", serve: (*exchange).message, codes: []int{200, 401, 413, 415, 422, 429, 503}}
		a.routes[keydb.PathMessages] = []*endpoint{message}
	}
	if a.opts.Provisioner != nil {
		provision := &endpoint{call: "provision", method: "POST", serve: (*exchange).provision, codes: []int{200, 201, 400, 401, 403, 413, 415, 429, 503}}
		a.routes[keydb.PathKeys] = []*endpoint{provision}
	}
	a.revoke = []*endpoint{revoke}
	a.page = []*endpoint{{call: pageSearch, method: "GET", serve: (*exchange).page, codes: []int{200, 400, 404, 405, 429, 503}}}
	claim := func(method string, codes ...int) *endpoint {
		return &endpoint{call: pageClaim, method: method, serve: (*exchange).page, codes: codes}
	}
	a.claim = []*endpoint{claim("GET", 200, 303, 404, 429, 503), claim("POST", 200, 303, 400, 403, 429, 503)}
	a.nowhere = []*endpoint{{call: "other", serve: (*exchange).nothing, codes: []int{404}}}
	for _, list := range append([][]*endpoint{a.revoke, a.page, a.claim, a.nowhere}, values(a.routes)...) {
		for _, e := range list {
			e.counters = a.metrics.counters(e.call, e.codes)
		}
	}
}

func values(m map[string][]*endpoint) (all [][]*endpoint) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// find gives the endpoints of a path, and what the path has beyond theirs.
func (a *API) find(path string) ([]*endpoint, string) {
	if list, ok := a.routes[path]; ok {
		return list, ""
	}
	if arg, ok := strings.CutPrefix(path, keydb.PathCertificates+"/"); ok {
		return a.revoke, arg
	}
	if a.opts.Page == nil || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/certificates/") {
		return a.nowhere, ""
	}
	if path == "/claim" || strings.HasPrefix(path, "/claim/") {
		return a.claim, ""
	}
	return a.page, ""
}

// The calls that people make: at the pages of the claim forms may be sent.
const (
	pageSearch = "page"
	pageClaim  = "claim"
)

// choose takes the endpoint for a method. HEAD is GET without the body, which
// net/http leaves out. The first endpoint stands for a method that is not there.
func choose(list []*endpoint, method string) (*endpoint, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allow []string
	for _, e := range list {
		if e.method == method || e.method == "" {
			return e, nil
		}
		allow = append(allow, e.method)
		if e.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	methods := strings.Join(allow, ", ")
	return list[0], refuse(http.StatusMethodNotAllowed, reason.MethodNotAllowed, "This path takes %s.", methods).with("Allow", methods)
}

// ServeHTTP answers one call.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list, arg := a.find(r.URL.Path)
	e, err := choose(list, r.Method)
	x := &exchange{
		ResponseWriter: w, api: a, r: r, endpoint: e, arg: arg, begun: a.opts.Clock(),
		client: clientOf(r, a.opts.TrustedProxies),
	}
	defer x.finish()
	w.Header()["X-Content-Type-Options"] = nosniff
	if err == nil {
		err = x.serve()
	}
	if err != nil {
		x.refuse(asRefusal(err))
	}
}

var nosniff = []string{"nosniff"}

func (x *exchange) serve() error {
	if err := x.api.calls.enter(); err != nil {
		return err
	}
	defer x.api.calls.leave()
	return x.endpoint.serve(x)
}

// refuse answers with a problem, in the form that the client reads. What has
// begun cannot be refused any more, only broken off.
func (x *exchange) refuse(why *refusal) {
	x.why = why
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	if x.endpoint.call == pageSearch || x.endpoint.call == pageClaim {
		why.writeHeader(x.Header())
		x.api.opts.Page.Refuse(x, x.r, why.Status)
		return
	}
	why.write(x)
}

// finish counts and logs the call. A panic becomes status 500, or an answer
// that breaks off, and a line in the log; the server lives on.
func (x *exchange) finish() {
	p := recover()
	broken := p == http.ErrAbortHandler
	if p != nil && !broken {
		x.api.opts.Log.Error("directory call failed", "call", x.endpoint.call, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if broken = x.status != 0; !broken {
			x.why = internal(errors.New("panic"))
			x.why.write(x)
		}
	}
	took := x.api.opts.Clock().Sub(x.begun)
	x.endpoint.observe(x.status, took)
	if x.status == http.StatusTooManyRequests {
		x.api.metrics.limited.Inc()
	}
	x.log(took, broken)
	if broken {
		panic(http.ErrAbortHandler) // net/http closes the connection without a word
	}
}

// log writes the access line: who is a number that changes with each start, and
// which address was asked for is not in it.
func (x *exchange) log(took time.Duration, broken bool) {
	level := slog.LevelInfo
	switch {
	case x.status >= 500 || broken:
		level = slog.LevelWarn
	case x.endpoint.lookup && x.status < 500:
		level = slog.LevelDebug
	}
	if !x.api.opts.Log.Enabled(x.r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("call", x.endpoint.call), slog.Int("status", x.status), slog.Int64("bytes", x.size),
		slog.Duration("took", took), slog.String("client", fmt.Sprintf("%016x", maphash.Comparable(x.api.seed, x.client))),
	}
	if x.token != "" {
		attrs = append(attrs, slog.String("token", x.token))
	}
	if x.why != nil {
		attrs = append(attrs, slog.String("reason", string(x.why.Reason)))
		if x.why.cause != nil && x.status >= 500 {
			attrs = append(attrs, slog.Any("error", x.why.cause))
		}
	}
	if broken {
		attrs = append(attrs, slog.Bool("broken", true))
	}
	x.api.opts.Log.LogAttrs(x.r.Context(), level, "directory call", attrs...)
}

// nothing is what is where nothing is.
func (x *exchange) nothing() error {
	return refuse(http.StatusNotFound, reason.NotFound, "There is nothing here; /openapi.yaml tells what there is.")
}

// page serves people. Only a search costs, a form, and looking into a link. Who
// asks stands in RemoteAddr, so that pages need not know which proxies are
// believed.
func (x *exchange) page() error {
	costs := x.r.URL.RawQuery != ""
	if x.endpoint.call == pageClaim {
		costs = x.r.Method == http.MethodPost || x.r.URL.Query().Has("t")
	}
	if costs {
		if err := x.api.limiter.take(x.client, costLookup); err != nil {
			return err
		}
	}
	r := x.r.WithContext(x.r.Context())
	r.RemoteAddr = netip.AddrPortFrom(x.client.Addr(), 0).String()
	x.api.opts.Page.ServeHTTP(x, r)
	return nil
}
