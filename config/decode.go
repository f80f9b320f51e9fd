package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// longestValue bounds one value, so that messages about it stay readable.
const longestValue = 4096

// A decoder puts a tree of YAML nodes into a tree of structs. It goes on after
// a mistake, so that all of them are found at once.
type decoder struct {
	*findings
	folder string // that relative paths are taken from
}

// root decodes the document.
func (d *decoder) root(n *yaml.Node, c *Config) {
	d.section(n, reflect.ValueOf(c).Elem(), "")
}

// value decodes one node into v, which belongs to the field with this tag.
func (d *decoder) value(n *yaml.Node, v reflect.Value, tag reflect.StructTag, key string) {
	d.lines[key] = n.Line
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.add(n.Line, key, "anchors and aliases are not used here: write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n.Line, key, "the tag %s is not used here: write the value alone", quote(n.Tag))
	case n.Kind == yaml.ScalarNode && strings.ContainsFunc(n.Value, unprintable):
		d.add(n.Line, key, "has a control character or a line end in it: %s", quote(n.Value))
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		d.add(n.Line, key, "has no value: write one, or leave the key out")
	case v.Kind() == reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), tag, key)
		v.Set(p)
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[netip.Prefix]():
		if n.Kind != yaml.MappingNode {
			d.add(n.Line, key, "is a section: expected keys (%s) and found %s", strings.Join(names(v.Type()), ", "), kindName(n))
			return
		}
		d.section(n, v, key)
	case v.Kind() == reflect.Slice:
		d.list(n, v, tag, key)
	default:
		d.scalar(n, v, tag, key)
	}
}

// section decodes a mapping into a struct and fills in defaults.
func (d *decoder) section(n *yaml.Node, v reflect.Value, key string) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, node := n.Content[i], n.Content[i+1]
		full := join(key, name.Value)
		if name.ShortTag() == "!!merge" {
			d.add(name.Line, key, "merge keys (<<) are not used here: write the keys out")
			continue
		}
		if name.Kind != yaml.ScalarNode || name.Anchor != "" || strings.ContainsFunc(name.Value, unprintable) || len(name.Value) > 100 || name.Value == "" {
			d.add(name.Line, key, "the key in this line is not a plain word")
			continue
		}
		if first, ok := seen[name.Value]; ok {
			d.add(name.Line, full, "stands twice: the first is in line %d", first)
			continue
		}
		seen[name.Value] = name.Line
		f, ok := field(v.Type(), name.Value)
		if !ok {
			d.add(name.Line, full, "%s", unknown(v.Type(), name.Value))
			continue
		}
		d.value(node, v.FieldByIndex(f.Index), f.Tag, full)
		d.lines[full] = name.Line
	}
	for _, f := range fields(v.Type()) {
		name := f.Tag.Get("yaml")
		if _, ok := seen[name]; ok {
			continue
		}
		if other, unless := strings.CutPrefix(f.Tag.Get("required"), "unless "); f.Tag.Get("required") != "" && !(unless && seen[other] != 0) {
			d.add(d.line(key), join(key, name), "is required and missing")
			continue
		}
		d.fill(v.FieldByIndex(f.Index), f.Tag, join(key, name))
	}
}

// fill gives a key that is not in the file its default.
func (d *decoder) fill(v reflect.Value, tag reflect.StructTag, key string) {
	def, ok := tag.Lookup("default")
	switch {
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		if !ok {
			return
		}
		for s := range strings.SplitSeq(def, ",") {
			one := reflect.New(v.Type().Elem()).Elem()
			if err := parseScalar(s, one, ""); err != nil {
				d.add(0, key, "the default cannot be read: %s", err)
			}
			v.Set(reflect.Append(v, one))
		}
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[netip.Prefix]():
		d.section(&yaml.Node{Kind: yaml.MappingNode}, v, key)
	case ok:
		if err := parseScalar(def, v, tag); err != nil {
			d.add(0, key, "the default cannot be read: %s", err)
		}
	}
}

// list decodes a sequence.
func (d *decoder) list(n *yaml.Node, v reflect.Value, tag reflect.StructTag, key string) {
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	if n.Kind == yaml.ScalarNode && tag.Get("single") != "" {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(n, one, tag, item(key, 0))
		v.Set(reflect.Append(v, one))
		return
	}
	if n.Kind != yaml.SequenceNode {
		example := ""
		if n.Kind == yaml.ScalarNode && len(n.Value) < 80 {
			example = fmt.Sprintf(": did you mean [%s]?", n.Value)
		}
		d.add(n.Line, key, "is a list: expected - items or [ ] and found %s%s", kindName(n), example)
		return
	}
	for i, node := range n.Content {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(node, one, tag, item(key, i))
		v.Set(reflect.Append(v, one))
	}
	if len(n.Content) == 0 && tag.Get("min") != "" {
		d.add(n.Line, key, "is empty: at least one is needed")
	}
}

// scalar decodes a single value.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, tag reflect.StructTag, key string) {
	if n.Kind != yaml.ScalarNode {
		d.add(n.Line, key, "is %s: found %s", wanted(v.Type(), tag), kindName(n))
		return
	}
	if len(n.Value) > longestValue {
		d.add(n.Line, key, "is longer than %d characters", longestValue)
		return
	}
	if v.Kind() == reflect.String && n.ShortTag() != "!!str" {
		d.add(n.Line, key, "is text, and YAML reads %s as something else: put it in quotes", n.Value)
		return
	}
	if v.Type() == reflect.TypeFor[bool]() && n.ShortTag() != "!!bool" {
		d.add(n.Line, key, "is true or false: found %s", quote(n.Value))
		return
	}
	if err := parseScalar(n.Value, v, tag); err != nil {
		d.add(n.Line, key, "%s", err)
		return
	}
	if p := v.String(); v.Type() == reflect.TypeFor[Path]() && !filepath.IsAbs(p) {
		v.SetString(filepath.Join(d.folder, p))
	}
}
