package api

import (
	"bytes"
	_ "embed" // openapi.yaml
	"encoding/json"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Description is the OpenAPI 3.1 file of the API. It is written by hand, and a
// test holds the API to it.
//
//go:embed openapi.yaml
var Description []byte

// A document is the description in the two forms that it is served in.
type document struct{ yaml, json []byte }

func newDocument() (document, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(Description, &root); err != nil {
		return document{}, err
	}
	var b bytes.Buffer
	if err := writeJSON(&b, root.Content[0]); err != nil {
		return document{}, err
	}
	return document{yaml: Description, json: b.Bytes()}, nil
}

// writeJSON writes YAML as JSON in its order, which encoding/json would lose.
func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i < len(n.Content); i += 2 {
			comma(b, i)
			if err := writeValue(b, n.Content[i].Value); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeJSON(b, n.Content[i+1]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			comma(b, i)
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case yaml.ScalarNode:
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		return writeValue(b, v)
	default:
		return fmt.Errorf("line %d: aliases are not used here", n.Line)
	}
	return nil
}

func comma(b *bytes.Buffer, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}

func writeValue(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}

// describe is GET /openapi.yaml and /openapi.json.
func (x *exchange) describe() error {
	x.Header().Set("Cache-Control", "public, max-age=3600")
	if strings.HasSuffix(x.r.URL.Path, ".json") {
		return x.sendTagged("application/json", x.api.openapi.json)
	}
	return x.sendTagged("application/yaml", x.api.openapi.yaml)
}
