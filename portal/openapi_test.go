package portal

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the OpenAPI document as a client reads it. Every answer of the API in every test of this package is held against it, with
// every object closed, so that a field which the document does not name fails as well.
type document struct {
	paths    []documentedPath
	root     map[string]any
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema
	compiler *jsonschema.Compiler
}

type documentedPath struct {
	path string
	form *regexp.Regexp
	ops  map[string]map[string]any
}

const documentURL = "https://lifeline.example/openapi.json"

// theDocument is read from the first house that opens, since every house has the same routes.
var theDocument struct {
	sync.Mutex
	*document
}

func documentOf(h *house) *document {
	theDocument.Lock()
	defer theDocument.Unlock()
	if theDocument.document == nil {
		theDocument.document = readDocument(h)
	}
	return theDocument.document
}

func readDocument(h *house) *document {
	h.Helper()
	res, err := h.client.Get(h.URL + "/api/v1/openapi.json")
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		h.Fatalf("the document: %s", res.Status)
	}
	root, err := jsonschema.UnmarshalJSON(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	closeObjects(root)
	d := &document{root: root.(map[string]any), schemas: map[string]*jsonschema.Schema{}, compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(documentURL, root); err != nil {
		h.Fatal(err)
	}
	for path, ops := range d.root["paths"].(map[string]any) {
		p := documentedPath{path: path, ops: map[string]map[string]any{}, form: regexp.MustCompile("^" + regexp.MustCompile(`\\{\w+\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")}
		for method, op := range ops.(map[string]any) {
			p.ops[strings.ToUpper(method)] = op.(map[string]any)
		}
		d.paths = append(d.paths, p)
	}
	return d
}

// closeObjects makes every object schema refuse what it does not name.
func closeObjects(v any) {
	switch x := v.(type) {
	case map[string]any:
		if _, ok := x["properties"].(map[string]any); ok && x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, child := range x {
			closeObjects(child)
		}
	case []any:
		for _, child := range x {
			closeObjects(child)
		}
	}
}

// schema compiles what stands at a JSON pointer of the document.
func (d *document) schema(t testing.TB, pointer string) *jsonschema.Schema {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.schemas[pointer]; s != nil {
		return s
	}
	s, err := d.compiler.Compile(documentURL + "#" + pointer)
	if err != nil {
		t.Fatalf("%s: %v", pointer, err)
	}
	d.schemas[pointer] = s
	return s
}

func escape(pointer string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(pointer)
}

// check holds an answer against the document.
func (d *document) check(t testing.TB, method, path string, a answer) {
	t.Helper()
	if d == nil || !strings.HasPrefix(path, "/api/v1/") || path == "/api/v1/openapi.json" {
		return
	}
	for _, p := range d.paths {
		op, ok := p.ops[method]
		if !ok || !p.form.MatchString(path) {
			continue
		}
		status := strconv.Itoa(a.StatusCode)
		responses := op["responses"].(map[string]any)
		if _, ok := responses[status]; !ok {
			status = "default"
			if a.StatusCode < 400 {
				t.Errorf("%s %s: %d is not in the document", method, p.path, a.StatusCode)
			}
		}
		content, _ := responses[status].(map[string]any)["content"].(map[string]any)
		if content == nil {
			if len(a.body) > 0 {
				t.Errorf("%s %s: the document has no body for %s, and there is %s", method, p.path, status, a.body)
			}
			return
		}
		media, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		if content[media] == nil {
			t.Errorf("%s %s: %s answers %q, which is not in the document", method, p.path, status, media)
			return
		}
		if schema, _ := content[media].(map[string]any)["schema"].(map[string]any); len(schema) == 0 {
			return // a file
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
		if err != nil {
			t.Errorf("%s %s: %v", method, p.path, err)
			return
		}
		at := "/paths/" + escape(p.path) + "/" + strings.ToLower(method) + "/responses/" + status + "/content/" + escape(media) + "/schema"
		if err := d.schema(t, at).Validate(value); err != nil {
			t.Errorf("%s %s: the answer is not what the document says: %v\n%s", method, p.path, err, a.body)
		}
		return
	}
}

// fits says whether a request's body is one that the document allows.
func (d *document) fits(t testing.TB, method, path string, body any) error {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return d.schema(t, "/paths/"+escape(path)+"/"+strings.ToLower(method)+"/requestBody/content/"+escape("application/json")+"/schema").Validate(value)
}

// Every route is in the document and nothing else is, and every schema in it stands for itself and resolves.
func TestTheDocumentIsTheRoutes(t *testing.T) {
	h := open(t)
	want := map[string]bool{}
	for _, r := range h.routes() {
		if strings.HasPrefix(r.path, "/api/") {
			want[r.method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.path, "{$1}")] = true
		}
	}
	ids := map[string]bool{}
	for _, p := range h.doc.paths {
		for method, op := range p.ops {
			name := method + " " + p.path
			if !want[name] {
				t.Errorf("%s is no route", name)
			}
			delete(want, name)
			id, _ := op["operationId"].(string)
			if summary, _ := op["summary"].(string); id == "" || ids[id] || summary == "" {
				t.Errorf("%s: operationId %q, summary %q", name, id, summary)
			}
			ids[id] = true
			params := regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(p.path, -1)
			given, _ := op["parameters"].([]any)
			for _, m := range params {
				found := false
				for _, g := range given {
					g := g.(map[string]any)
					found = found || g["name"] == m[1] && g["in"] == "path" && g["required"] == true
				}
				if !found {
					t.Errorf("%s: the parameter %s is not described", name, m[1])
				}
			}
		}
	}
	for name := range want {
		t.Errorf("%s is not in the document", name)
	}
	if h.doc.root["openapi"] != "3.1.0" {
		t.Errorf("openapi: %v", h.doc.root["openapi"])
	}
	components := h.doc.root["components"].(map[string]any)["schemas"].(map[string]any)
	for name := range components {
		if !regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(name) {
			t.Errorf("the component %q has a name that OpenAPI does not allow", name)
		}
		h.doc.schema(t, "/components/schemas/"+escape(name))
	}
	used := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch x := v.(type) {
		case map[string]any:
			if ref, ok := x["$ref"].(string); ok {
				used[strings.TrimPrefix(ref, "#/components/schemas/")] = true
			}
			for _, child := range x {
				walk(child)
			}
		case []any:
			for _, child := range x {
				walk(child)
			}
		}
	}
	walk(map[string]any(h.doc.root))
	for name := range used {
		if components[name] == nil {
			t.Errorf("the reference to %s leads nowhere", name)
		}
	}
	if len(used) != len(components) {
		t.Errorf("%d components, %d in use", len(components), len(used))
	}
	if err := h.doc.fits(t, "POST", "/api/v1/tickets", map[string]any{"message": "x", "level": "L4"}); err == nil {
		t.Error("the document allows a field that is refused")
	}
	if err := h.doc.fits(t, "POST", "/api/v1/tickets", map[string]any{"email": "x"}); err == nil {
		t.Error("the document allows a ticket without a message")
	}
	if err := h.doc.fits(t, "POST", "/api/v1/tickets", map[string]any{"message": "x", "email": "a@b.example"}); err != nil {
		t.Error(err)
	}
}
