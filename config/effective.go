package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// Effective is the configuration as YAML with every default filled in, as it
// is logged at start. It holds no secret, only the paths of files with secrets.
// Parse reads it to an equal configuration.
func (c *Config) Effective() []byte {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	// A tree of our own nodes into memory: neither call has a way to fail.
	_ = enc.Encode(section(reflect.ValueOf(c).Elem()))
	_ = enc.Close()
	return b.Bytes()
}

// section writes a struct. What is not set and has no default stays out.
func section(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields(v.Type()) {
		one := v.FieldByIndex(f.Index)
		switch one.Kind() {
		case reflect.Pointer:
			if one.IsNil() {
				continue
			}
			one = one.Elem()
		case reflect.String, reflect.Slice:
			if _, def := f.Tag.Lookup("default"); one.Len() == 0 && !def {
				continue
			}
		}
		n.Content = append(n.Content, scalarNode(f.Tag.Get("yaml"), "!!str"), node(one))
	}
	return n
}

func node(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case netip.Prefix:
		return scalarNode(x.String(), "!!str")
	case time.Duration:
		return scalarNode(durationString(x), "!!str")
	case bool:
		return scalarNode(strconv.FormatBool(x), "!!bool")
	case int:
		return scalarNode(strconv.Itoa(x), "!!int")
	case Size:
		if s := x.String(); s != strconv.FormatInt(int64(x), 10) {
			return scalarNode(s, "!!str")
		}
		return scalarNode(x.String(), "!!int")
	}
	switch v.Kind() {
	case reflect.Struct:
		return section(v)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, node(v.Index(i)))
		}
		if v.Len() == 0 || v.Type().Elem().Kind() != reflect.Struct || v.Type().Elem() == reflect.TypeFor[netip.Prefix]() {
			n.Style = yaml.FlowStyle
		}
		return n
	}
	return scalarNode(fmt.Sprint(v.Interface()), "!!str")
}

// scalarNode leaves the quoting to the encoder, which knows the text's looks.
func scalarNode(text, tag string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}
