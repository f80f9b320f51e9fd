package claim_test

import (
	"errors"
	"testing"
	"time"

	"sealpost/directory/claim"
	"sealpost/directory/store"
)

// prove types the code of the notice of a key with a second factor.
func (w *world) prove(t testing.TB, l letter) (string, claim.Session) {
	t.Helper()
	secret, s, err := w.engine.Prove(t.Context(), claim.Proof{Token: l.token, Code: l.code, Client: home})
	if err != nil {
		t.Fatal(err)
	}
	return secret, s
}

func TestSecondFactor(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "KD-4711")
	first, s := w.prove(t, w.notice(t, anna))
	if !s.NeedsSecret {
		t.Fatal("no second factor is asked for")
	}
	_, err := w.engine.PKCS12(t.Context(), first, good, claim.Modern)
	is(t, "the key before the second factor", err, claim.ErrSession)
	_, err = w.engine.SealedKey(t.Context(), first, nil)
	is(t, "the sealed key before the second factor", err, claim.ErrSession)
	is(t, "deleting before the second factor", w.engine.DeleteKey(t.Context(), first, time.Time{}), claim.ErrSession)
	is(t, "replacing before the second factor", w.engine.Replace(t.Context(), first, nil), claim.ErrSession)
	_, _, err = w.engine.Second(t.Context(), first, "  ", home)
	is(t, "no answer", err, claim.ErrNoCode)
	_, _, err = w.engine.Second(t.Context(), first, "KD-4712", home)
	isAnswer(t, err, 4)

	second, s, err := w.engine.Second(t.Context(), first, "kd 4711", home)
	if err != nil || s.NeedsSecret || s.Address != anna {
		t.Fatalf("%+v, %v", s, err)
	}
	if second == first {
		t.Error("the secret of the session stays the same")
	}
	// Who had planted the first secret, or seen it, has nothing.
	_, err = w.engine.Session(t.Context(), first)
	is(t, "the session before", err, claim.ErrSession)
	_, _, err = w.engine.Second(t.Context(), second, "kd 4711", home)
	is(t, "a second factor that is not asked for", err, claim.ErrSession)
	if _, err := w.engine.PKCS12(t.Context(), second, good, claim.Modern); err != nil {
		t.Error(err)
	}
}

// The answers are few for each notice, and for all notices of a key together:
// who reads the mailbox gets new notices.
func TestSecondFactorBruteForce(t *testing.T) {
	w := newWorld(t, func(o *claim.Options) { o.Limits.AllAnswers = 7 })
	w.provision(t, anna, "KD-4711")
	first, _ := w.prove(t, w.notice(t, anna))
	for i := range 5 {
		_, _, err := w.engine.Second(t.Context(), first, "wrong", client(i))
		isAnswer(t, err, 4-i)
	}
	_, _, err := w.engine.Second(t.Context(), first, "KD-4711", client(9))
	is(t, "the sixth answer", err, claim.ErrTooMany)

	w.later(24 * time.Hour)
	second, _ := w.prove(t, w.resend(t, anna))
	for i := range 2 {
		_, _, err := w.engine.Second(t.Context(), second, "wrong", client(20+i))
		isAnswer(t, err, 1-i)
	}
	_, _, err = w.engine.Second(t.Context(), second, "KD-4711", client(30))
	is(t, "the eighth answer of the key", err, claim.ErrTooMany)
}

func TestSecondFactorAtOnce(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "KD-4711")
	first, _ := w.prove(t, w.notice(t, anna))
	const n = 20
	errs := make(chan error, n)
	for range n {
		go func() {
			_, _, err := w.engine.Second(t.Context(), first, "wrong", home)
			errs <- err
		}()
	}
	compared := 0
	for range n {
		var answer *claim.SecondFactorError
		if err := <-errs; errors.As(err, &answer) {
			compared++
		} else {
			is(t, "one of many", err, claim.ErrTooMany)
		}
	}
	if compared != 5 {
		t.Errorf("%d answers were compared, want 5", compared)
	}
}

// What is stored of a session, of a notice and of a second factor opens nothing.
func TestSecretsAreNotStored(t *testing.T) {
	w := newWorld(t)
	w.provision(t, anna, "KD-4711")
	l := w.notice(t, anna)
	secret, s := w.prove(t, l)
	_, _, err := w.engine.Second(t.Context(), secret, "XK-9913", home)
	isAnswer(t, err, 4)
	for what, text := range map[string]string{"token": l.token, "code": l.code, "plain code": l.code[:4] + l.code[5:], "session": secret,
		"CSRF": s.CSRF, "secret": "KD-4711", "answer": "XK-9913"} {
		inFiles(t, w.dir, what, text)
		if contains(w.log.Bytes(), text) {
			t.Errorf("the log has the %s", what)
		}
	}
	n, err := w.store.Notices(t.Context(), anna)
	if err != nil || len(n) != 1 || n[0].Kind != store.NoticeFirst || n[0].Used.IsZero() {
		t.Errorf("%+v, %v", n, err)
	}
}

func isAnswer(t testing.TB, err error, left int) {
	t.Helper()
	var answer *claim.SecondFactorError
	if !errors.As(err, &answer) || answer.Left != left {
		t.Errorf("%#v, want a wrong answer with %d left", err, left)
	}
}
