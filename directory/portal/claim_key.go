package portal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sealpost/directory/claim"
	"sealpost/directory/keybox"
)

// deleteLater is what the page offers beside "now".
const deleteLater = 30 * 24 * time.Hour

// choose shows what one can do with the key.
func (v *visit) choose() {
	t, s := v.view.T, v.session
	digits := strings.ToUpper(hex.EncodeToString(s.Fingerprint[:]))
	for i := 0; i < len(digits); i += 4 {
		v.view.Fingerprint = append(v.view.Fingerprint, digits[i:i+4])
	}
	switch v.r.URL.Query().Get("done") {
	case "own":
		v.view.Done = t["done_own"]
	case "delete":
		if !s.KeyThere {
			v.view.Done = t["done_delete"]
		} else if !s.Deleting.IsZero() {
			v.view.Done = t.with("done_later", "date", t.date(s.Deleting))
		}
	}
	v.days()
	v.show("claim_choose.html")
}

func (v *visit) days() {
	v.view.Claimed, v.view.Deleting = v.view.T.date(v.session.Claimed), v.view.T.date(v.session.Deleting)
}

// there reports whether the key is still kept, and says so when it is not.
func (v *visit) there() bool {
	if !v.session.KeyThere {
		v.refuse(http.StatusGone, "claim_gone")
	}
	return v.session.KeyThere
}

// take asks for a passphrase.
func (v *visit) take() {
	if !v.there() {
		return
	}
	v.view.Guides = v.view.guides()
	v.view.Least = v.view.T.with("take_passphrase_hint", "least", strconv.Itoa(claim.MinPassphrase))
	v.view.Legacy = v.r.PostForm.Get("format") == string(claim.Legacy)
	v.show("claim_take.html")
}

// save answers with the key as a file. What was typed is not shown again.
func (v *visit) save() {
	t, form := v.view.T, v.r.PostForm
	passphrase, format := form.Get("passphrase"), claim.Modern
	if form.Get("format") == string(claim.Legacy) {
		format = claim.Legacy
	}
	switch {
	case passphrase == "":
		v.retry(http.StatusBadRequest, "passphrase", t["take_empty"], (*visit).take)
		return
	case passphrase != form.Get("again"):
		v.retry(http.StatusBadRequest, "again", t["take_differ"], (*visit).take)
		return
	}
	file, err := v.opts.Claims.PKCS12(v.r.Context(), v.secret, passphrase, format)
	rule := new(claim.PassphraseError)
	switch {
	case errors.As(err, &rule):
		v.retry(http.StatusBadRequest, "passphrase", ruleWords(t, rule.Rule), (*visit).take)
		return
	case err != nil:
		v.trouble(err)
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/x-pkcs12")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="key-%x.p12"`, v.session.Fingerprint[:4]))
	h.Set("Content-Length", strconv.Itoa(len(file)))
	_, _ = v.w.Write(file)
}

// ruleWords say what a passphrase must be.
func ruleWords(t texts, rule claim.PassphraseRule) string {
	words := map[claim.PassphraseRule]string{
		claim.PassphraseShort:     t.with("take_short", "least", strconv.Itoa(claim.MinPassphrase)),
		claim.PassphraseLong:      t.with("take_long", "most", strconv.Itoa(claim.MaxPassphrase)),
		claim.PassphraseCharacter: t["take_character"],
		claim.PassphraseSimple:    t["take_simple"],
		claim.PassphraseObvious:   t["take_obvious"],
	}[rule]
	if words == "" {
		words = t["take_empty"]
	}
	return words
}

// read leads to the page that opens mail in the browser.
func (v *visit) read() {
	if v.reader == nil {
		v.Refuse(v.w, v.r, http.StatusNotFound)
		return
	}
	v.turn("/read", "")
}

// key gives the key to the page that reads mail, sealed to a key that lives as
// long as that page (package keybox).
func (v *visit) key() {
	public, err := keybox.ParsePublic(v.r.PostForm.Get(keybox.FieldPublic))
	if err != nil {
		http.Error(v.w, err.Error(), http.StatusBadRequest)
		return
	}
	box, err := v.opts.Claims.SealedKey(v.r.Context(), v.secret, public)
	switch {
	case errors.Is(err, keybox.ErrPublic):
		http.Error(v.w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		v.trouble(err)
		return
	}
	v.w.Header().Set("Content-Type", keybox.Type)
	_, _ = v.w.Write(box)
}

// Reading gives what the page that reads mail needs to ask for the key of this
// browser's session: the token of its form, and whose key it is. It reports
// false where there is no session, or no key.
func (p *Portal) Reading(r *http.Request) (csrf, address string, ok bool) {
	secret := p.door.read(r, sessionCookie)
	if p.opts.Claims == nil || secret == "" || !p.door.named(r) {
		return "", "", false
	}
	s, err := p.opts.Claims.Session(r.Context(), secret)
	if err != nil || s.NeedsSecret || !s.KeyThere {
		return "", "", false
	}
	return s.CSRF, s.Address, true
}

// own asks for a certificate.
func (v *visit) own() {
	v.view.Lines = v.view.T.lines("own_export_how")
	v.show("claim_own.html")
}

// replace publishes the recipient's own certificate in place of ours.
func (v *visit) replace() {
	t := v.view.T
	upload, err := v.upload()
	if err != nil {
		v.trouble(err)
		return
	}
	defer clear(upload) // it may be a private key, sent by mistake
	if len(upload) == 0 {
		v.retry(http.StatusBadRequest, "certificate", t["own_empty"], (*visit).own)
		return
	}
	err = v.opts.Claims.Replace(v.r.Context(), v.secret, upload)
	bad := new(claim.CertificateError)
	switch {
	case errors.Is(err, claim.ErrPrivateKey):
		v.view.Private = true
		v.retry(http.StatusUnprocessableEntity, "certificate", t["own_private"], (*visit).own)
	case errors.As(err, &bad):
		v.retry(http.StatusUnprocessableEntity, "certificate", t.with("own_unusable", "why", bad.Why)+" "+t.with("own_address", "address", v.session.Address), (*visit).own)
	case err != nil:
		v.trouble(err)
	default:
		v.turn("/claim/choose", "own")
	}
}

// upload reads the file, which is in memory.
func (v *visit) upload() ([]byte, error) {
	file, _, err := v.r.FormFile("certificate")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// later is when a key is deleted that is not deleted now: nobody keeps it longer
// than the house wants to.
func (v *visit) later() time.Time {
	when := v.opts.Clock().Add(deleteLater)
	if d := v.session.Deleting; !d.IsZero() && d.Before(when) {
		return d
	}
	return when
}

// part says what deleting the key means, before it asks.
func (v *visit) part() {
	if !v.there() {
		return
	}
	t := v.view.T
	v.view.Later = v.r.PostForm.Get("when") != "now"
	v.view.LaterOn = t.with("delete_later", "date", t.date(v.later()))
	v.days()
	v.view.Taken = v.view.T.with("delete_taken", "date", v.view.Claimed)
	v.show("claim_delete.html")
}

// remove has the key deleted, now or later.
func (v *visit) remove() {
	form := v.r.PostForm
	if form.Get("sure") != "yes" {
		v.retry(http.StatusBadRequest, "sure", v.view.T["delete_unsure"], (*visit).part)
		return
	}
	when := v.opts.Clock()
	if form.Get("when") != "now" {
		when = v.later()
	}
	if err := v.opts.Claims.DeleteKey(v.r.Context(), v.secret, when); err != nil {
		v.trouble(err)
		return
	}
	v.turn("/claim/choose", "delete")
}
