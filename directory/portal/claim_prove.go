package portal

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"sealpost/directory/claim"
)

// show writes the page.
func (v *visit) show(name string) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	if v.view.Trouble != "" { // a screen reader begins with the title
		v.view.Title = v.view.T["claim_wrong"] + ": " + v.view.Title
	}
	v.write(v.w, v.status, name, v.view.T, v.view)
}

// refuse writes a page that says no more than what is wrong.
func (v *visit) refuse(status int, key string) {
	v.status, v.view.Trouble = status, v.view.T[key]
	v.show("claim_note.html")
}

// again shows a form once more, with what is wrong with one of its fields.
func (v *visit) retry(status int, field, sentence string, page func(*visit)) {
	v.status, v.view.Wrong, v.view.Trouble = status, field, sentence
	page(v)
}

// trouble is for errors that no page has words of its own for.
func (v *visit) trouble(err error) {
	switch {
	case errors.Is(err, claim.ErrSession):
		v.refuse(http.StatusUnauthorized, "claim_session")
	case errors.Is(err, claim.ErrTooMany):
		v.refuse(http.StatusTooManyRequests, "claim_too_many")
	case errors.Is(err, claim.ErrGone):
		v.refuse(http.StatusGone, "claim_gone")
	default:
		v.opts.Log.Error("a page for recipients could not be answered", "page", v.r.URL.Path, "error", err)
		v.refuse(http.StatusServiceUnavailable, "claim_unavailable")
	}
}

// knock asks for the code. Opening it does nothing, as often as programs like.
func (v *visit) knock() {
	q := v.r.URL.Query()
	if v.r.Method == http.MethodPost {
		q = v.r.PostForm
	}
	v.view.Address = strings.TrimSpace(q.Get("address"))
	if token := q.Get("t"); token != "" {
		switch seen, err := v.opts.Claims.Peek(v.r.Context(), token); {
		case errors.Is(err, claim.ErrUsed), errors.Is(err, claim.ErrExpired), err == nil && !seen.Valid:
			v.hint("claim_link_over")
		case errors.Is(err, claim.ErrToken):
			v.hint("claim_link_bad")
		case err != nil:
			v.trouble(err)
			return
		default:
			v.view.Token, v.view.Masked = token, seen.Masked
		}
	}
	v.view.CSRF = v.door.formToken(v.w, v.r)
	v.show("claim.html")
}

// hint says something about the link, unless there is something more urgent.
func (v *visit) hint(key string) {
	if v.view.Trouble == "" {
		v.view.Trouble = v.view.T[key]
	}
}

// prove takes the code. An empty one is no attempt: programs that look into mail
// press buttons too.
func (v *visit) prove() {
	form, t := v.r.PostForm, v.view.T
	proof := claim.Proof{
		Token: form.Get("t"), Address: strings.TrimSpace(form.Get("address")),
		Code: strings.TrimSpace(form.Get("code")), Client: v.client(),
	}
	if proof.Code == "" {
		v.retry(http.StatusBadRequest, "code", t["claim_code_empty"], (*visit).knock)
		return
	}
	secret, session, err := v.opts.Claims.Prove(v.r.Context(), proof)
	if err == nil {
		v.enterWith(secret, session)
		return
	}
	code := new(claim.CodeError)
	switch {
	case errors.As(err, &code) && code.Left >= 0:
		v.retry(http.StatusForbidden, "code", t.with("claim_code_wrong", "left", strconv.Itoa(code.Left)), (*visit).knock)
	case errors.As(err, &code):
		v.retry(http.StatusForbidden, "code", t["claim_code_unknown"], (*visit).knock)
	case errors.Is(err, claim.ErrNoCode):
		v.retry(http.StatusBadRequest, "code", t["claim_code_empty"], (*visit).knock)
	case errors.Is(err, claim.ErrAddress):
		v.retry(http.StatusBadRequest, "address", t["claim_address_wrong"], (*visit).knock)
	case errors.Is(err, claim.ErrUsed), errors.Is(err, claim.ErrExpired):
		v.retry(http.StatusGone, "", t["claim_link_over"], (*visit).knock)
	case errors.Is(err, claim.ErrToken):
		v.retry(http.StatusNotFound, "", t["claim_link_bad"], (*visit).knock)
	default:
		v.trouble(err)
	}
}

// enterWith begins a session, or goes on with one that has proven more: with
// every step there is a new secret, so that one that somebody else has put into
// the browser is worth nothing.
func (v *visit) enterWith(secret string, s claim.Session) {
	if old := v.door.read(v.r, sessionCookie); old != "" && old != secret {
		_ = v.opts.Claims.End(v.r.Context(), old) // the new one stands, whatever becomes of the old
	}
	http.SetCookie(v.w, v.door.cookie(sessionCookie, secret))
	if s.NeedsSecret {
		v.turn("/claim/second", "")
		return
	}
	v.turn("/claim/choose", "")
}

func (v *visit) ask() { v.show("claim_second.html") }

// second takes the second proof.
func (v *visit) second() {
	t := v.view.T
	answer := v.r.PostForm.Get("answer")
	if strings.TrimSpace(answer) == "" {
		v.retry(http.StatusBadRequest, "answer", t["second_empty"], (*visit).ask)
		return
	}
	secret, session, err := v.opts.Claims.Second(v.r.Context(), v.secret, answer, v.client())
	wrong := new(claim.SecondFactorError)
	switch {
	case errors.Is(err, claim.ErrNoCode):
		v.retry(http.StatusBadRequest, "answer", t["second_empty"], (*visit).ask)
	case errors.As(err, &wrong):
		v.retry(http.StatusForbidden, "answer", t.with("second_wrong", "left", strconv.Itoa(wrong.Left)), (*visit).ask)
	case err != nil:
		v.trouble(err)
	default:
		v.enterWith(secret, session)
	}
}

func (v *visit) again() {
	v.view.CSRF = v.door.formToken(v.w, v.r)
	if v.r.Method == http.MethodPost {
		v.view.Address = strings.TrimSpace(v.r.PostForm.Get("address"))
	}
	v.show("claim_again.html")
}

// resend has a new notice sent, and says the same for every address.
func (v *visit) resend() {
	addr := strings.TrimSpace(v.r.PostForm.Get("address"))
	switch err := v.opts.Claims.Resend(v.r.Context(), addr, v.client()); {
	case errors.Is(err, claim.ErrAddress):
		v.retry(http.StatusBadRequest, "address", v.view.T["claim_address_wrong"], (*visit).again)
	case err != nil:
		v.trouble(err)
	default:
		v.turn("/claim/sent", "")
	}
}

func (v *visit) sent() { v.show("claim_sent.html") }

// end ends the session, on our side and in the browser.
func (v *visit) end() {
	if err := v.opts.Claims.End(v.r.Context(), v.secret); err != nil {
		v.trouble(err)
		return
	}
	http.SetCookie(v.w, v.door.cookie(sessionCookie, ""))
	v.turn("/claim/ended", "")
}

func (v *visit) ended() {
	v.view.Done = v.view.T["claim_ended"]
	v.show("claim_note.html")
}
