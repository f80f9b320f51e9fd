package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"

	"sealpost/directory/api"
	"sealpost/directory/store"
	"sealpost/internal/testkit"
)

// A described API answers only what openapi.yaml says, and all that it says.
type described struct {
	model     *v3.Document
	validator validator.Validator
	seen      map[string]bool // "operation status media type"
}

func describe(t *testing.T) *described {
	t.Helper()
	document, err := libopenapi.NewDocument(api.Description)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("openapi.yaml: %s: %s", p.Message, p.Reason)
		}
	}
	return &described{model: &model.Model, validator: v, seen: map[string]bool{}}
}

// operation finds the description of a request, and marks its answer as seen.
func (d *described) operation(t *testing.T, a answer) *v3.Operation {
	t.Helper()
	path := a.Request.URL.Path
	if strings.HasPrefix(path, "/v1/certificates/") {
		path = "/v1/certificates/{sha256}"
	}
	item, ok := d.model.Paths.PathItems.Get(path)
	if !ok {
		t.Fatalf("%s is not described", path)
	}
	op, ok := item.GetOperations().Get(strings.ToLower(a.Request.Method))
	if !ok {
		t.Fatalf("%s %s is not described", a.Request.Method, path)
	}
	d.seen[fmt.Sprintf("%s %d %s", op.OperationId, a.StatusCode, mediaType(a))] = true
	return op
}

// mediaType is the one of an answer as a description has it.
func mediaType(a answer) string {
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	delete(params, "boundary")
	return mime.FormatMediaType(kind, params)
}

// check holds one answer to its description: status, media type, header, body.
func (d *described) check(t *testing.T, a answer) {
	t.Helper()
	op := d.operation(t, a)
	what := fmt.Sprintf("%s: %d %s", op.OperationId, a.StatusCode, mediaType(a))
	response, ok := op.Responses.Codes.Get(fmt.Sprint(a.StatusCode))
	if !ok {
		t.Errorf("%s: the status is not described: %s", what, a.body)
		return
	}
	if len(a.body) > 0 {
		if response.Content == nil || response.Content.GetOrZero(mediaType(a)) == nil {
			t.Errorf("%s: the media type is not described", what)
			return
		}
	}
	for name, header := range response.Headers.FromOldest() {
		if a.Header.Get(name) == "" && header.Required {
			t.Errorf("%s: no %s", what, name)
		}
	}
	if mediaType(a) == "application/x-ndjson" {
		d.checkFeed(t, a)
	}
	if kind := mediaType(a); kind != "application/json" && kind != "application/problem+json" {
		return
	}
	resp := *a.Response
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	if ok, problems := d.validator.ValidateHttpResponse(a.Request, &resp); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s: %s\n%s", what, p.Message, p.Reason, a.body)
			for _, s := range p.SchemaValidationErrors {
				t.Errorf("    %s", s.Reason)
			}
		}
	}
}

// checkFeed holds the lines of a page to their schemas, which no description of
// a single body can name.
func (d *described) checkFeed(t *testing.T, a answer) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(a.body), "\n"), "\n")
	for i, line := range lines {
		name := "Change"
		if i == len(lines)-1 {
			name = "PageEnd"
		}
		schema := d.model.Components.Schemas.GetOrZero(name).Schema()
		if ok, problems := schema_validation.NewSchemaValidator().ValidateSchemaString(schema, line); !ok {
			t.Errorf("%s: %v: %s", name, problems, line)
		}
	}
}

// Every route, method, status and media type of the description is answered in
// truth, and every real answer is as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	spec := describe(t)
	d := newDirectory(t, nil)
	d.enter(t, testkit.Leaf{Addresses: []string{"two@example.org"}})
	d.enter(t, testkit.Leaf{Addresses: []string{"two@example.org"}, Key: "p256"})
	carl := d.ca.For(t, "carl@example.org")
	der := string(carl.Cert.Raw)
	asJSON, err := json.Marshal(map[string]any{"der": base64.StdEncoding.EncodeToString(carl.Cert.Raw), "addresses": []string{"carl@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	tag := "If-None-Match: " + d.call(t, annaPath, "", "").Header.Get("ETag")
	batch, write, feed, provision := d.with(store.ScopeBatch), d.with(store.ScopeWrite), d.with(store.ScopeFeed), d.with(store.ScopeProvision)
	const typeJSON, typeCert, typeMessage = "\nContent-Type: application/json", "\nContent-Type: application/pkix-cert", "Content-Type: message/rfc822"
	const unknown = "/v1/certificates/0000000000000000000000000000000000000000000000000000000000000000"
	for _, c := range [][3]string{
		{annaPath}, {annaPath, "Accept: application/x-pem-file"}, {annaPath, "Accept: application/pkix-cert"},
		{annaPath, "Accept: application/pkcs7-mime"}, {annaPath, tag}, {annaPath, "Accept: image/png"},
		{"GET /v1/certificates?email=nobody@example.org"}, {"GET /v1/certificates"},
		{annaPath, "Authorization: Bearer wrong"},
		{"GET /certificates/search.cgi?uri=anna@example.org"}, {"GET /certificates/search.cgi?uri=two@example.org"},
		{"GET /certificates/search.cgi?uri=anna@example.org", "If-None-Match: *"},
		{"GET /certificates/search.cgi?uri=nobody@example.org"}, {"GET /certificates/search.cgi"},
		{"GET /certificates/search.cgi?uri=anna@example.org", "Authorization: Bearer wrong"},
		{"POST /v1/certificates:batch", batch + typeJSON, `{"addresses":["anna@example.org","?","nobody@example.org"]}`},
		{"POST /v1/certificates:batch", batch + typeJSON, `{"addresses":[]}`},
		{"POST /v1/certificates:batch", batch + typeJSON, `{`}, {"POST /v1/certificates:batch", batch, `{}`},
		{"POST /v1/certificates:batch"}, {"POST /v1/certificates:batch", feed},
		{"POST /v1/certificates:batch", batch + typeJSON, `{"addresses":["` + strings.Repeat("a", 3<<20) + `"]}`},
		{"POST /v1/certificates", write + typeCert, der}, {"POST /v1/certificates", write + typeJSON, string(asJSON)},
		{"POST /v1/certificates", write + typeJSON, "{}x"}, {"POST /v1/certificates"}, {"POST /v1/certificates", feed},
		{"POST /v1/certificates", write + typeCert, strings.Repeat("a", 2<<20)}, {"POST /v1/certificates", write, der},
		{"POST /v1/certificates", write + typeCert, string(carl.KeyPEM)},
		{"DELETE " + unknown, write}, {"DELETE /v1/certificates/1", write}, {"DELETE " + unknown}, {"DELETE " + unknown, feed},
		{fmt.Sprintf("DELETE /v1/certificates/%x", parse(t, d.anna.Cert.Raw).Fingerprint()), write},
		{"POST /v1/messages", typeMessage, string(carl.CertPEM)}, {"POST /v1/messages", typeMessage, "refuse"}, {"POST /v1/messages", "", der},
		{"POST /v1/messages", typeMessage + "\nAuthorization: Bearer wrong", string(carl.CertPEM)},
		{"POST /v1/messages", typeMessage, strings.Repeat("a", 26<<20)},
		{"POST /v1/keys", provision + typeJSON, `{"address":"new@example.org","secret":"4711","references":["a","b"],"language":"zh","sender":"bank@example.com"}`},
		{"POST /v1/keys", provision + typeJSON, `{"address":"new@example.org"}`}, {"POST /v1/keys", provision + typeJSON, `{}`},
		{"POST /v1/keys"}, {"POST /v1/keys", feed}, {"POST /v1/keys", provision, `{}`},
		{"POST /v1/keys", provision + typeJSON, `{"address":"excluded@example.org"}`}, {"POST /v1/keys", provision + typeJSON, `{"address":"often@example.org"}`},
		{"POST /v1/keys", provision + typeJSON, `{"address":"broken@example.org"}`},
		{"POST /v1/keys", provision + typeJSON, `{"address":"` + strings.Repeat("a", 17<<10) + `"}`},
		{"GET /v1/changes", feed}, {"GET /v1/changes?since=" + d.store.Epoch() + ".1&limit=1", feed}, {"GET /v1/changes?limit=0", feed},
		{"GET /v1/changes"}, {"GET /v1/changes", write}, {"GET /v1/changes?since=other.1", feed},
		{"GET /openapi.json"}, {"GET /openapi.yaml"}, {"GET /openapi.json", "If-None-Match: *"}, {"GET /openapi.yaml", "If-None-Match: *"},
	} {
		spec.check(t, d.call(t, c[0], c[1], c[2]))
	}
	spec.underPressure(t)
	for path, item := range spec.model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			spec.allSeen(t, strings.ToUpper(method)+" "+path, op)
		}
	}
}

// underPressure draws the answers of a directory that is closed to strangers,
// of one that is asked too often, and of one without a database.
func (d *described) underPressure(t *testing.T) {
	closed := newDirectory(t, func(_ *directory, o *api.Options) { o.RequireToken = true })
	feed := closed.with(store.ScopeFeed)
	asked := newDirectory(t, func(_ *directory, o *api.Options) { o.Limits = api.Limits{PerSecond: 1, Burst: 1} })
	broken := newDirectory(t, func(d *directory, o *api.Options) { o.Store = failing{o.Store, errors.New("the disk is gone")} })
	const typeJSON, typeMessage = "\nContent-Type: application/json", "Content-Type: message/rfc822"
	const search = "GET /certificates/search.cgi?uri=anna@example.org"
	for _, a := range []answer{
		closed.call(t, annaPath, "", ""), closed.call(t, annaPath, feed, ""), closed.call(t, search, feed, ""),
		broken.call(t, annaPath, "", ""), broken.call(t, search, "", ""),
		broken.call(t, "POST /v1/certificates:batch", broken.with(store.ScopeBatch)+typeJSON, `{"addresses":["a@example.org"]}`),
		broken.call(t, "POST /v1/certificates", broken.with(store.ScopeWrite)+"\nContent-Type: application/pkix-cert", string(broken.anna.Cert.Raw)),
		broken.call(t, "POST /v1/messages", typeMessage, string(broken.anna.CertPEM)),
		broken.call(t, "DELETE /v1/certificates/"+strings.Repeat("0", 64), broken.with(store.ScopeWrite), ""),
		broken.call(t, "GET /v1/changes", broken.with(store.ScopeFeed), ""),
	} {
		d.check(t, a)
	}
	for range 12 { // a message costs ten lookups; then nothing is left
		asked.call(t, annaPath, "", "")
	}
	for _, a := range []answer{
		asked.call(t, annaPath, "", ""), asked.call(t, search, "", ""), asked.call(t, "POST /v1/messages", typeMessage, "refuse"),
	} {
		d.check(t, a)
	}
}

// allSeen wants every described answer to have been drawn.
func (d *described) allSeen(t *testing.T, what string, op *v3.Operation) {
	t.Helper()
	for code, response := range op.Responses.Codes.FromOldest() {
		kinds := []string{""}
		if response.Content != nil && response.Content.Len() > 0 {
			kinds = slices.Collect(response.Content.KeysFromOldest())
		}
		for _, kind := range kinds {
			if !d.seen[fmt.Sprintf("%s %s %s", op.OperationId, code, kind)] {
				t.Errorf("%s: no answer %s %s was seen", what, code, kind)
			}
		}
	}
}

// What is not described is not there.
func TestNothingBeyondTheDescription(t *testing.T) {
	d := newDirectory(t, nil)
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/key", "/v1/keys/", "/v1/certificates/", "/v1/certificate", "/certificates", "/v1/certificates:", "/V1/changes", "//v1/changes", "/openapi", "/metrics", "/debug/pprof/"} {
		a := d.call(t, "GET "+path, d.with(store.ScopeAdmin), "")
		if a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
	for path, allow := range map[string]string{
		"/v1/certificates": "GET, HEAD, POST", "/v1/certificates:batch": "POST", "/v1/changes": "GET, HEAD",
		"/v1/certificates/00": "DELETE", "/openapi.yaml": "GET, HEAD", "/v1/messages": "POST", "/v1/keys": "POST", "/certificates/search.cgi": "GET, HEAD",
	} {
		if a := d.call(t, "PATCH "+path, d.with(store.ScopeAdmin), ""); a.StatusCode != 405 || a.Header.Get("Allow") != allow {
			t.Errorf("PATCH %s: %s, Allow %q", path, a.Status, a.Header.Get("Allow"))
		}
	}
}
