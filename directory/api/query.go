package api

import (
	"net/url"
	"strings"

	"sealpost/internal/address"
)

// readEmail takes the one parameter of a lookup out of a query. Other
// parameters are refused, not passed over: who misspells one would otherwise
// get an answer to another question.
func readEmail(query string) (address.Address, error) {
	text, err := onlyParameter(query, "email")
	if err != nil {
		return address.Address{}, err
	}
	a, err := address.Parse(text)
	if err != nil {
		return address.Address{}, addressRefused(err)
	}
	return a, nil
}

// onlyParameter gives the value of a parameter that must stand alone. It reads
// what url.ParseQuery reads, without making a map.
func onlyParameter(query, name string) (string, error) {
	rest, ok := strings.CutPrefix(query, name+"=")
	if !ok || strings.ContainsAny(rest, "&;") {
		return slowParameter(query, name)
	}
	if !strings.ContainsAny(rest, "%+") {
		return rest, nil
	}
	value, err := url.QueryUnescape(rest)
	if err != nil {
		return "", malformed("The value of %s is not escaped as a query wants it.", name)
	}
	return value, nil
}

// slowParameter is for queries that are not plainly name=value.
func slowParameter(query, name string) (string, error) {
	values, err := url.ParseQuery(query)
	switch {
	case err != nil:
		return "", malformed("The query cannot be read.")
	case len(values[name]) != 1:
		return "", malformed("Ask with ?%s=… and give it once.", name)
	case len(values) != 1:
		return "", malformed("The only parameter of this call is %s.", name)
	}
	return values[name][0], nil
}
