package reader

import (
	"fmt"
	"reflect"
	"regexp"

	"sealpost/directory/reader/letter"
)

// NewFrom is New with the module from elsewhere.
var NewFrom = newReader

// MissingWords lists what a language lacks, against the first, the scripts and
// the errors of letter.
func MissingWords() (all []string) {
	first := languages()[0]
	script, err := pages.ReadFile("page/read.js")
	if err != nil {
		return []string{err.Error()}
	}
	used := regexp.MustCompile(`(?:say|trouble|busy|stop)\('([a-z-]+)'`).FindAllStringSubmatch(string(script), -1)
	for _, w := range languages() {
		v := reflect.ValueOf(w)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				all = append(all, w.Code+" lacks "+v.Type().Field(i).Name)
			}
		}
		for key := range first.Script {
			if w.Script[key] == "" {
				all = append(all, w.Code+" lacks "+key)
			}
		}
		for _, m := range used {
			if w.Script[m[1]] == "" {
				all = append(all, fmt.Sprintf("%s lacks %s, which read.js says", w.Code, m[1]))
			}
		}
		for _, code := range letter.Codes() {
			if w.Script[code] == "" {
				all = append(all, w.Code+" lacks the error "+code)
			}
		}
	}
	return all
}
