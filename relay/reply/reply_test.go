package reply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"sealpost/internal/reason"
)

func TestOf(t *testing.T) {
	refusal := Errorf(550, Enhanced{5, 7, 1}, reason.RelayDenied, "Relaying denied")
	if got := Of(fmt.Errorf("wrapped: %w", refusal)); got != refusal {
		t.Errorf("a wrapped refusal became %v", got)
	}
	for _, err := range []error{errors.New("secret internals"), context.Canceled, context.DeadlineExceeded} {
		got := Of(err)
		if !got.Reply.Temporary() {
			t.Errorf("%v became %s: the unknown is never permanent", err, got.Reply)
		}
		if strings.Contains(got.Reply.String(), "secret") || !errors.Is(got, err) {
			t.Errorf("%v: reply %q, cause lost or sent", err, got.Reply)
		}
	}
}

func TestClasses(t *testing.T) {
	for code, want := range map[int][3]bool{
		250: {true, false, false}, 354: {true, false, false}, 421: {false, true, false}, 451: {false, true, false},
		550: {false, false, true}, 0: {false, true, false}, 199: {false, true, false}, 600: {false, true, false},
	} {
		r := Reply{Code: code}
		if got := [3]bool{r.Positive(), r.Temporary(), r.Permanent()}; got != want {
			t.Errorf("%d: positive, temporary, permanent = %v", code, got)
		}
	}
}

func TestStrings(t *testing.T) {
	e := Errorf(451, Enhanced{4, 4, 1}, reason.UpstreamUnreachable, "two\nlines")
	if got := e.Reply.String(); got != "451 4.4.1 two lines" {
		t.Error(got)
	}
	if got := e.Tagged().Text; got != "two\nlines (upstream-unreachable)" {
		t.Error(got)
	}
	if got := (&Error{Reply: New(250, Enhanced{}, "ok")}).Tagged().String(); got != "250 ok" {
		t.Error(got)
	}
	if e2 := e.Because(errors.New("x")); e.Cause != nil || e2.Cause == nil {
		t.Error("Because changes what it is called on")
	}
}
