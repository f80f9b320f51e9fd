package portal

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sealpost/directory/claim"
)

// Claims is the engine behind the pages at /claim; its methods are described
// there (package claim).
type Claims interface {
	Peek(ctx context.Context, token string) (claim.View, error)
	Prove(ctx context.Context, p claim.Proof) (secret string, s claim.Session, err error)
	Session(ctx context.Context, secret string) (claim.Session, error)
	Second(ctx context.Context, secret, answer string, client netip.Addr) (string, claim.Session, error)
	Resend(ctx context.Context, address string, client netip.Addr) error
	End(ctx context.Context, secret string) error
	Keys
}

// Keys is what a session is for.
type Keys interface {
	PKCS12(ctx context.Context, secret, passphrase string, format claim.Format) ([]byte, error)
	SealedKey(ctx context.Context, secret string, public []byte) ([]byte, error)
	Replace(ctx context.Context, secret string, upload []byte) error
	DeleteKey(ctx context.Context, secret string, when time.Time) error
}

// The bounds of what is sent to us. All of it stays in memory: what was sent by
// mistake, such as a private key, never touches the disk.
const (
	maxForm   = 64 << 10
	maxUpload = 256 << 10
)

// A claimView is what the pages at /claim show.
type claimView struct {
	frame
	Heading string // of a page that has none of its own
	CSRF    string
	Trouble string // one sentence; empty when all is well
	Wrong   string // the field that it is about
	Done    string // one sentence about what has just been done
	Session *claim.Session

	Token, Masked, Address string   // /claim
	Fingerprint            []string // groups of four digits
	Claimed, Deleting      string   // days
	Taken                  string   // /claim/delete: when the key was taken home
	Legacy                 bool     // /claim/take: the kind that was chosen
	Least                  string   // what a passphrase must be
	Guides                 []guide  // /claim/take and /claim/take/steps
	Guide                  *guide   // one of them
	Private                bool     // /claim/own: it was a private key
	Lines                  []string // /claim/own: how to export
	Later                  bool     // /claim/delete: what was chosen
	LaterOn                string   // /claim/delete: the day
}

// A visit is one request for a page at /claim.
type visit struct {
	*Portal
	w       http.ResponseWriter
	r       *http.Request
	secret  string // of the session; empty without
	session claim.Session
	view    claimView
	status  int // of the page when it is not 200
}

// A room is one page: who may see it, and what its form does.
type room struct {
	title string // key of the texts
	open  bool   // without a session
	first bool   // also while a second proof is missing
	get   func(*visit)
	post  func(*visit) // nil: it has no form
}

func rooms() map[string]room {
	return map[string]room{
		"/claim":            {title: "claim_title", open: true, get: (*visit).knock, post: (*visit).prove},
		"/claim/again":      {title: "again_title", open: true, get: (*visit).again, post: (*visit).resend},
		"/claim/sent":       {title: "again_sent_title", open: true, get: (*visit).sent},
		"/claim/ended":      {title: "claim_ended_title", open: true, get: (*visit).ended},
		"/claim/second":     {title: "second_title", first: true, get: (*visit).ask, post: (*visit).second},
		"/claim/choose":     {title: "choose_title", get: (*visit).choose},
		"/claim/take":       {title: "take_title", get: (*visit).take, post: (*visit).save},
		"/claim/take/steps": {title: "steps_title", open: true, get: (*visit).guides},
		"/claim/own":        {title: "own_title", get: (*visit).own, post: (*visit).replace},
		"/claim/delete":     {title: "delete_title", get: (*visit).part, post: (*visit).remove},
		"/claim/read":       {get: (*visit).read},
		"/claim/key":        {post: (*visit).key},
		"/claim/end":        {first: true, post: (*visit).end},
	}
}

// claim serves the pages at /claim.
func (p *Portal) claim(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if program, ok := programOf(path); ok {
		p.guide(w, r, program)
		return
	}
	room, ok := rooms()[path]
	if !ok {
		p.Refuse(w, r, http.StatusNotFound)
		return
	}
	post := r.Method == http.MethodPost
	v := &visit{Portal: p, w: w, r: r}
	switch {
	case post && room.post == nil, !post && room.get == nil, !post && r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", room.allow())
		p.Refuse(w, r, http.StatusMethodNotAllowed)
		return
	case !p.door.named(r):
		v.begin(room)
		v.refuse(http.StatusMisdirectedRequest, "claim_host")
		return
	}
	if post && !v.form(room) {
		return
	}
	v.begin(room)
	switch {
	case post && !p.door.ours(r):
		v.refuse(http.StatusForbidden, "claim_elsewhere")
	case !room.open && !v.enter(room):
	case post:
		v.hand(room)
	default:
		room.get(v)
	}
}

// refuseClaim says what stands before all pages of the claim.
func (p *Portal) refuseClaim(w http.ResponseWriter, r *http.Request, status int) {
	v := &visit{Portal: p, w: w, r: r}
	v.begin(room{title: "claim_title"})
	words := "claim_unavailable"
	if status == http.StatusTooManyRequests {
		words = "claim_too_many"
	}
	v.refuse(status, words)
}

func (m room) allow() string {
	switch {
	case m.post == nil:
		return "GET, HEAD"
	case m.get == nil:
		return "POST"
	}
	return "GET, HEAD, POST"
}

// begin fills in what every page shows.
func (v *visit) begin(m room) {
	v.view = claimView{frame: v.frame(v.r)}
	v.view.Home = v.view.To("/claim")
	if m.title != "" {
		v.view.Title = v.view.T[m.title]
	}
	v.view.Heading = v.view.Title
	if m.get == nil {
		v.view.Languages = nil // nothing can be got there in another one either
	}
}

// form reads the body; what is too large is not read to its end.
func (v *visit) form(m room) bool {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxUpload)
	err := v.r.ParseMultipartForm(2 * maxUpload) // more than there can be, so that no file is made
	if errors.Is(err, http.ErrNotMultipart) {
		err = nil // and it has been parsed
	}
	if err == nil {
		return true
	}
	v.begin(m)
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		v.refuse(http.StatusRequestEntityTooLarge, "claim_large")
		return false
	}
	v.refuse(http.StatusBadRequest, "claim_stale")
	return false
}

// enter finds the session, or leads to where one is got.
func (v *visit) enter(m room) bool {
	secret := v.door.read(v.r, sessionCookie)
	s, err := claim.Session{}, claim.ErrSession
	if secret != "" {
		s, err = v.opts.Claims.Session(v.r.Context(), secret)
	}
	switch {
	case errors.Is(err, claim.ErrSession) && v.r.Method == http.MethodPost:
		v.view.Title, v.view.Heading = v.view.T["claim_title"], v.view.T["claim_title"]
		v.refuse(http.StatusUnauthorized, "claim_session")
	case errors.Is(err, claim.ErrSession):
		v.turn("/claim", "")
	case err != nil:
		v.trouble(err)
	case s.NeedsSecret && !m.first:
		v.turn("/claim/second", "")
	default:
		v.secret, v.session = secret, s
		v.view.Session, v.view.CSRF, v.view.SignOut = &v.session, s.CSRF, s.CSRF
		return true
	}
	return false
}

// hand gives the form to the page, if it is a form of ours shown in this browser.
func (v *visit) hand(m room) {
	switch {
	case m.open && !v.door.formOurs(v.r), !m.open && !same(v.r.PostForm.Get("csrf"), v.session.CSRF):
		v.view.Trouble = v.view.T["claim_stale"]
		if m.get == nil {
			v.refuse(http.StatusForbidden, "claim_stale")
			return
		}
		v.status = http.StatusForbidden
		m.get(v)
	default:
		m.post(v)
	}
}

// turn leads to another page, which the browser then gets (RFC 9110, 15.4.4).
func (v *visit) turn(path, done string) {
	q := url.Values{"lang": {v.view.lang}}
	if done != "" {
		q.Set("done", done)
	}
	http.Redirect(v.w, v.r, path+"?"+q.Encode(), http.StatusSeeOther)
}

// client is who counts as one for the limits on tries.
func (v *visit) client() netip.Addr {
	ap, err := netip.ParseAddrPort(v.r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
