package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fields are the keys of a section, in the order of the struct.
func fields(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("yaml") != "" {
			out = append(out, f)
		}
	}
	return out
}

func field(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range fields(t) {
		if f.Tag.Get("yaml") == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func names(t reflect.Type) []string {
	var out []string
	for _, f := range fields(t) {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

// later reports a key that the product knows, but this version does not.
func later(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == "_" && slices.Contains(strings.Split(f.Tag.Get("later"), "|"), name) {
			return true
		}
	}
	return false
}

// unknown is what the operator is told about a key that the section t does
// not have: what it may have been meant for.
func unknown(t reflect.Type, name string) string {
	if later(t, name) {
		return "is not available in this version: leave it out"
	}
	if near := nearest(name, names(t)); near != "" {
		return fmt.Sprintf("is no key of this section: did you mean %s?", near)
	}
	if home := homes(reflect.TypeFor[Config](), "", name); len(home) == 1 && len(name) >= 6 {
		return fmt.Sprintf("is no key of this section: did you mean %s?", home[0])
	}
	return "is no key of this section: it has " + strings.Join(names(t), ", ")
}

// homes are the places in the tree where a key of that name belongs.
func homes(t reflect.Type, section, name string) []string {
	var out []string
	for _, f := range fields(t) {
		key := join(section, f.Tag.Get("yaml"))
		if f.Tag.Get("yaml") == name {
			out = append(out, key)
		}
		ft := f.Type
		if ft.Kind() == reflect.Slice {
			ft, key = ft.Elem(), key+"[]"
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct {
			out = append(out, homes(ft, key, name)...)
		}
	}
	return out
}

// nearest is the candidate that s was most likely meant to be; "" when none is
// near enough.
func nearest(s string, candidates []string) string {
	plain := strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	best, least := "", min(max(len(s)/3, 1), 3)+1
	if len(s) > 64 {
		return ""
	}
	for _, c := range candidates {
		word := strings.ReplaceAll(strings.ToLower(c), "-", "_")
		d := distance(plain, word)
		if len(plain) >= 4 && len(word) >= 4 && (strings.HasPrefix(word, plain) || strings.HasPrefix(plain, word)) {
			d = min(d, 1)
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts insertions, deletions, exchanges of one byte, and swaps of
// two neighbours (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
