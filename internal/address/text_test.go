package address

import (
	"encoding/json"
	"testing"
)

func TestText(t *testing.T) {
	for _, s := range []string{"", "anna@example.org", `"odd local"@example.org`, "grüße@bücher.example"} {
		var a, b Address
		if s != "" {
			var err error
			if a, err = Parse(s); err != nil {
				t.Fatal(err)
			}
		}
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &b); err != nil || a != b {
			t.Errorf("%s became %s as JSON and %v (%v)", s, data, b, err)
		}
	}
	var a Address
	if err := json.Unmarshal([]byte(`"a b@c"`), &a); err == nil || !a.IsNull() {
		t.Errorf("read %v", a)
	}
}
