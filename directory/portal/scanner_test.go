package portal_test

import (
	"net/http"
	"strings"
	"testing"
)

// The mail gateways of companies look into what their people get: they open
// every link, and the pages behind it, and some press every button. Nothing is
// used up by that: no code, no try, no key. The same holds for programs that look
// ahead in the browser of somebody who is signed in.
func TestLinkScanner(t *testing.T) {
	c := newClaims()
	s, p := serveClaims(t, c, nil)
	p.Mount(http.NotFoundHandler())
	for _, typed := range []string{"", " ", "\t\u00a0"} {
		if n := scan(visit(t, s.URL), "/claim?t="+token, typed); n < 8 {
			t.Fatalf("the scanner saw only %d pages", n)
		}
	}
	if did := c.did(); len(did) > 0 {
		t.Fatalf("the scanner did %v", did)
	}
	v := visit(t, s.URL)
	v.signIn().expect(200, "/claim/choose")
	if c.tries != 0 {
		t.Errorf("%d tries are gone", c.tries)
	}
	c.did()
	if n := scan(v, "/claim/choose", ""); n < 20 {
		t.Fatalf("only %d pages were seen in a session", n)
	}
	if did := c.did(); len(did) > 0 {
		t.Errorf("looking ahead did %v", did)
	}
	v.get("/claim/choose").expect(200, "/claim/choose")
}

// scan opens all links from here on, and presses all buttons with this in every
// field; but it does not sign out. It returns how many pages it saw.
func scan(v *visitor, start, typed string) int {
	todo, seen := []string{start}, map[string]bool{}
	for len(todo) > 0 {
		link := strings.ReplaceAll(todo[0], "&amp;", "&")
		todo = todo[1:]
		if seen[link] {
			continue
		}
		seen[link] = true
		v.do("HEAD", link, "", nil)
		page := v.get(link).page
		for _, m := range linkOf.FindAllStringSubmatch(page, -1) {
			todo = append(todo, m[1])
		}
		for _, f := range formOf.FindAllStringSubmatch(page, -1) {
			if f[1] == "/" || f[1] == "/claim/end" || f[1] == "/claim/again" {
				continue // asking for a notice needs an address, and uses nothing up
			}
			fields := []string{}
			for _, name := range []string{"code", "answer", "address", "passphrase", "again", "certificate"} {
				if strings.Contains(f[0], `name="`+name+`"`) {
					fields = append(fields, name, typed)
				}
			}
			v.page = page
			v.post(f[1], fields...)
		}
	}
	return len(seen)
}
