package config

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// readYAML reads the one document of a file into its root mapping; nil, and a
// mistake noted, when there is none.
func readYAML(data []byte, f *findings) *yaml.Node {
	if !readableText(data, f) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		f.add(1, "", "the file is empty: the keys listen and upstream are needed")
		return nil
	case err != nil:
		syntaxError(err, data, f)
		return nil
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		f.add(second.Line, "", "a second document begins here: write everything in one, without another ---")
	case !errors.Is(err, io.EOF):
		syntaxError(err, data, f)
		return nil
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.MappingNode:
		return root
	case root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		f.add(1, "", "the file is empty: the keys listen and upstream are needed")
	default:
		f.add(root.Line, "", "the file is not a configuration: it begins with %s, and should with a key, as in hostname: relay.example.com", kindName(root))
	}
	return nil
}

// readableText refuses bytes that no editor shows, before YAML sees them.
func readableText(data []byte, f *findings) bool {
	if len(data) > MaxSize {
		f.add(0, "", "is larger than %s", Size(MaxSize))
		return false
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		for i, r := range string(line) {
			if r == utf8.RuneError && !utf8.Valid(line) {
				f.add(number, "", "the file is not UTF-8 here: save it as UTF-8")
				return false
			}
			if isControl(r) || r == '\r' && !bytes.HasPrefix(line[i:], []byte("\r\n")) {
				f.add(number, "", "there is a control character (U+%04X) in column %d", r, i+1)
				return false
			}
		}
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if bytes.ContainsRune(indent, '\t') {
			f.add(number, "", "the line is indented with a tab: YAML wants blanks")
			return false
		}
	}
	return true
}

// isControl reports what no configuration needs. The line separators beyond
// ASCII are among them: YAML would count lines by them, and editors do not.
func isControl(r rune) bool {
	return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
}

// unprintable reports what no value has; an escape in quotes can make it.
func unprintable(r rune) bool { return isControl(r) || r == '\t' || r == '\r' || r == '\n' }

// syntaxError reports the YAML reader's error, which is its last word. The
// line it names is often that of the surroundings, or one off: ours is the end
// of the shortest piece of the file which gives the same error.
func syntaxError(err error, data []byte, f *findings) {
	text := yamlText(err)
	var ends []int // of lines
	for line := range bytes.Lines(data) {
		ends = append(ends, len(line))
		if n := len(ends); n > 1 {
			ends[n-1] += ends[n-2]
		}
	}
	line := sort.Search(len(ends)-1, func(i int) bool { return yamlText(firstError(data[:ends[i]])) == text }) + 1
	if last := string(data[:ends[line-1]]); strings.Contains(last[strings.LastIndex(last[:len(last)-1], "\n")+1:], "]:") {
		text += "; a value that begins with [ must stand in quotes"
	}
	f.add(line, "", "this is not YAML: %s", text)
}

// firstError reads all documents and gives the error that stops the reader.
func firstError(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// yamlText is the reader's own text without its name and line.
func yamlText(err error) string {
	if err == nil {
		return ""
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			text = after
		}
	}
	return text
}

// kindName says what a node is, for people.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section of keys"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return "the value " + quote(n.Value)
}
