package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one finding in a configuration file, in words for the operator.
type Problem struct {
	File string
	Line int    // from 1; 0 when the finding is about the file as a whole
	Key  string // as in "listen[0].tls.cert"; "" when no key is to blame
	Text string
}

// String is the finding on one line: "FILE:LINE: key: what is wrong".
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Key != "" {
		where += ": " + p.Key
	}
	return where + ": " + p.Text
}

// An ErrorList is everything that is wrong with a file, sorted by line.
type ErrorList []Problem

// Error gives one line for each mistake.
func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// findings collects what is found in one file, and where its keys stand.
type findings struct {
	file     string
	lines    map[string]int // of each key that is in the file
	errors   ErrorList
	warnings []Problem
	misread  int // how many of errors come from reading, before any check
}

// add notes a mistake at a line that is known.
func (f *findings) add(line int, key, format string, args ...any) {
	f.errors = append(f.errors, Problem{f.file, line, key, fmt.Sprintf(format, args...)})
}

// wrong notes a mistake that a check found. It is dropped when the key, or one
// above or below it, could not be read: the operator would be told about the
// consequence of a typing error, not about the error.
func (f *findings) wrong(key, format string, args ...any) {
	if !f.unread(key) {
		f.add(f.line(key), key, format, args...)
	}
}

// unread reports whether the key, or one above or below it, could not be read.
func (f *findings) unread(key string) bool {
	for _, p := range f.errors[:f.misread] {
		if p.Key != "" && (under(p.Key, key) || under(key, p.Key)) {
			return true
		}
	}
	return false
}

// warn notes what is allowed, but should not pass unseen. Like wrong, it does
// not speak of the consequences of a key that could not be read.
func (f *findings) warn(key, format string, args ...any) {
	if f.unread(key) {
		return
	}
	f.warnings = append(f.warnings, Problem{f.file, f.line(key), key, fmt.Sprintf(format, args...)})
}

// has reports whether the key itself stands in the file.
func (f *findings) has(key string) bool {
	_, ok := f.lines[key]
	return ok
}

// line is where the key stands, or else where the nearest key above it does.
func (f *findings) line(key string) int {
	for key != "" {
		if n, ok := f.lines[key]; ok {
			return n
		}
		key = parent(key)
	}
	return 1
}

// sorted brings the findings into the order of the file.
func (f *findings) sorted() (ErrorList, []Problem) {
	byLine := func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) }
	slices.SortStableFunc(f.errors, byLine)
	slices.SortStableFunc(f.warnings, byLine)
	return f.errors, f.warnings
}

// parent cuts the last step off a key: "a.b[0]" gives "a.b", then "a", then "".
func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".["), 0)]
}

// under reports whether key is at or below the other.
func under(key, other string) bool {
	for ; key != ""; key = parent(key) {
		if key == other {
			return true
		}
	}
	return other == ""
}

// join is the key of a member of a section.
func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// item is the key of a member of a list.
func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
