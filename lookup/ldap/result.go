package ldap

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// A ResultError is a result code of the server (RFC 4511 section 4.1.9) that
// is not success.
type ResultError struct {
	Code uint16
	Name string // as the RFC calls it
	Text string // the server's own words, shortened and without control characters
}

// Error says the result, and what an operator can do about it.
func (e *ResultError) Error() string {
	s := fmt.Sprintf("the server answered %s (%d)", e.Name, e.Code)
	if e.Text != "" {
		s += ": " + e.Text
	}
	if advice := advices[e.Code]; advice != "" {
		s += "; " + advice
	}
	return s
}

var advices = map[uint16]string{
	ldap.LDAPResultTimeLimitExceeded:           "the search takes too long: is there an index for the filter's attribute?",
	ldap.LDAPResultSizeLimitExceeded:           "more entries match than the server gives: narrow filter or base",
	ldap.LDAPResultAdminLimitExceeded:          "the search costs more than the server allows: is there an index for the filter's attribute?",
	ldap.LDAPResultReferral:                    "the directory is on another server: name that one in url",
	ldap.LDAPResultConfidentialityRequired:     "use ldaps: or starttls",
	ldap.LDAPResultStrongAuthRequired:          "the server wants a login, or TLS",
	ldap.LDAPResultNoSuchObject:                "check base, and whether the login may see it",
	ldap.LDAPResultInvalidCredentials:          "check bind_dn and password_file",
	ldap.LDAPResultInsufficientAccessRights:    "the login may not search there",
	ldap.LDAPResultInappropriateAuthentication: "the server does not take this way to log in",
	ldap.LDAPResultAuthMethodNotSupported:      "the server does not take this way to log in",
}

// plain makes a *ResultError of what a server answered; nil of any other error.
func plain(err error) error {
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode == 0 || e.ResultCode >= ldap.ErrorNetwork {
		return nil
	}
	name, known := ldap.LDAPResultCodeMap[e.ResultCode]
	if !known {
		name = "a result that RFC 4511 does not know"
	}
	return &ResultError{e.ResultCode, name, tidy(e.Err.Error())}
}

// tidy makes a stranger's text fit for a log line.
func tidy(s string) string {
	const longest = 200
	cut := len(s) > longest
	if cut {
		s = s[:longest]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if cut {
		s += "…"
	}
	return s
}

// ErrLogin is a login that came to nothing.
var ErrLogin = errors.New("the login failed")

// refusal reports that the server does not take a login, and will not when it
// is tried again.
func refusal(err error) bool {
	return errors.Is(err, ErrLogin) && (code(err) == ldap.LDAPResultInvalidCredentials ||
		code(err) == ldap.LDAPResultInappropriateAuthentication || code(err) == ldap.LDAPResultAuthMethodNotSupported)
}

// code gives the result code of a *ResultError; 0 of others.
func code(err error) uint16 {
	var e *ResultError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Particular reports an error of Search that is about the entries of one
// address and says nothing about the directory.
func Particular(err error) bool {
	return code(err) == ldap.LDAPResultSizeLimitExceeded || errors.Is(err, ErrTooMany) || errors.Is(err, ErrPartial)
}

// final reports an error that another server of the same directory would give
// too: it is about the question.
func final(err error) bool {
	if errors.Is(err, ErrLogin) || errors.Is(err, ErrStartTLS) {
		return false
	}
	switch code(err) {
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded, ldap.LDAPResultNoSuchObject,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultUndefinedAttributeType,
		ldap.LDAPResultInappropriateMatching, ldap.LDAPResultInvalidAttributeSyntax, ldap.LDAPResultAliasProblem,
		ldap.LDAPResultAliasDereferencingProblem, ldap.LDAPResultReferral, ldap.LDAPResultTimeLimitExceeded:
		return true
	}
	return errors.Is(err, ErrReferral) || errors.Is(err, ErrTooMany) || errors.Is(err, ErrPartial) || errors.Is(err, ErrTooLarge)
}
