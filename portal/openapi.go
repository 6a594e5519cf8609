package portal

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"lifeline/portal/page"
	"lifeline/templates"
)

// The OpenAPI 3.1 document is made from the route table and the Go types that the handlers read and write, so it cannot name a call
// that does not exist or forget one that does.

type openAPI struct {
	schemas map[string]any
	input   bool // what may be sent: no other field, and none that must be there unless the route says so
}

var forms = map[bool][]string{true: {"application/x-www-form-urlencoded", "multipart/form-data"}}

var pathParam = regexp.MustCompile(`:(\w+)`)

func (p *Portal) document() map[string]any {
	d := &openAPI{schemas: map[string]any{}}
	paths := map[string]map[string]any{}
	for _, r := range p.routes() {
		if !strings.HasPrefix(r.path, "/api/") {
			continue
		}
		path := pathParam.ReplaceAllString(r.path, "{$1}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = d.operation(r)
	}
	d.schema(reflect.TypeFor[problem]())
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Lifeline", "version": "1",
			"description": "Times are RFC 3339 in UTC, errors RFC 9457 problem documents with an errors list of {field, reason}. Unknown fields are refused. Every POST honours Idempotency-Key: the same key, caller, path and body give the same answer for 24 hours.",
			"license":     map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"externalDocs": map[string]any{"url": p.URL + page.SchemaPath, "description": "The JSON Schema of the public facts, which anybody reads at /api/v1/public/incidents.json, /maintenances.json and /questions.json. The common status API is at /api/v2/."},
		"servers":      []any{map[string]any{"url": p.URL}},
		"paths":        paths,
		"components": map[string]any{
			"schemas":         d.schemas,
			"securitySchemes": map[string]any{"bearer": map[string]any{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
		},
	}
}

func (d *openAPI) operation(r route) map[string]any {
	op := map[string]any{"summary": r.summary, "tags": []string{r.tag}, "operationId": operationID(r)}
	var params []any
	for _, m := range pathParam.FindAllStringSubmatch(r.path, -1) {
		params = append(params, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, q := range r.query {
		params = append(params, map[string]any{"name": q, "in": "query", "schema": map[string]any{"type": "string"}})
	}
	for _, h := range r.headers {
		params = append(params, map[string]any{"name": h, "in": "header", "schema": map[string]any{"type": "string"}})
	}
	if r.method == "POST" {
		params = append(params, map[string]any{"name": headerOnce, "in": "header", "schema": map[string]any{"type": "string", "maxLength": 255}})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if r.right != "" {
		op["security"] = []any{map[string]any{"bearer": []any{}}}
		op["x-right"] = string(r.right)
	} else {
		op["security"] = []any{}
	}
	switch {
	case r.media != "":
		content := map[string]any{}
		for _, m := range strings.Split(r.media, " ") {
			content[m] = map[string]any{"schema": map[string]any{}}
		}
		op["requestBody"] = map[string]any{"required": true, "content": content}
	case r.body != nil:
		in := &openAPI{schemas: d.schemas, input: true}
		body := in.schema(reflect.TypeOf(r.body))
		if r.needs != nil {
			body = map[string]any{"allOf": []any{body, map[string]any{"required": r.needs}}}
		}
		content := map[string]any{}
		for _, media := range append([]string{"application/json"}, forms[r.forms]...) {
			content[media] = map[string]any{"schema": body}
		}
		op["requestBody"] = map[string]any{"required": r.needs != nil, "content": content}
	}
	status := r.status
	if status == 0 {
		status = 200
	}
	ok := map[string]any{"description": "done"}
	content := map[string]any{}
	if r.answer != nil {
		content["application/json"] = map[string]any{"schema": d.schema(reflect.TypeOf(r.answer))}
	}
	for _, m := range strings.Fields(r.gives) {
		content[m] = map[string]any{"schema": map[string]any{}}
	}
	if len(content) > 0 {
		ok["content"] = content
	}
	op["responses"] = map[string]any{
		itoa(status): ok,
		"default": map[string]any{"description": "a problem", "content": map[string]any{
			"application/problem+json": map[string]any{"schema": d.schema(reflect.TypeFor[problem]())}}},
	}
	return op
}

func operationID(r route) string {
	parts := strings.FieldsFunc(strings.TrimPrefix(r.path, "/api/v1"), func(c rune) bool { return !('a' <= c && c <= 'z' || '0' <= c && c <= '9') })
	return strings.ToLower(r.method) + "_" + strings.Join(parts, "_")
}

var wellKnown = map[reflect.Type]map[string]any{
	reflect.TypeFor[time.Time]():        {"type": "string", "format": "date-time"},
	reflect.TypeFor[json.RawMessage]():  {},
	reflect.TypeFor[templates.Count]():  {"oneOf": []any{map[string]any{"type": "integer", "minimum": 0}, map[string]any{"const": templates.NotKnown}, map[string]any{"type": "null"}}}, // null: a correction says nothing of it
	reflect.TypeFor[templates.Moment](): {"oneOf": []any{map[string]any{"type": "string", "format": "date-time"}, map[string]any{"enum": []string{templates.NotKnown, "none"}}, map[string]any{"type": "null"}}},
	reflect.TypeFor[templates.Span]():   {"type": "string", "format": "duration"},
}

// schema describes a type by its JSON fields; named structs become components.
func (d *openAPI) schema(t reflect.Type) map[string]any {
	if s, ok := wellKnown[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"oneOf": []any{d.schema(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.object(t)
	case reflect.Interface:
		return map[string]any{}
	}
	return map[string]any{"type": "integer"}
}

var genericName = regexp.MustCompile(`[^A-Za-z0-9]+`)

func (d *openAPI) object(t reflect.Type) map[string]any {
	name := ""
	if t.Name() != "" {
		pkg := t.PkgPath()
		name = genericName.ReplaceAllString(pkg[strings.LastIndex(pkg, "/")+1:]+"."+strings.ReplaceAll(t.Name(), "lifeline/", ""), "_")
		if d.input {
			name += "_input"
		}
		if _, done := d.schemas[name]; done {
			return map[string]any{"$ref": "#/components/schemas/" + name}
		}
		d.schemas[name] = nil // a type within itself refers back here
	}
	props := map[string]any{}
	var required []string
	d.fields(t, props, &required)
	s := map[string]any{"type": "object", "properties": props}
	switch {
	case d.input:
		s["additionalProperties"] = false
	case len(required) > 0:
		s["required"] = required
	}
	if name == "" {
		return s
	}
	d.schemas[name] = s
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

func (d *openAPI) fields(t reflect.Type, props map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		switch name, flat := jsonName(f); {
		case flat:
			d.fields(f.Type, props, required)
		case name != "":
			props[name] = d.schema(f.Type)
			if _, opts, _ := strings.Cut(f.Tag.Get("json"), ","); !strings.Contains(opts, "omit") && f.Type.Kind() != reflect.Pointer {
				*required = append(*required, name)
			}
		}
	}
}

func (p *Portal) docRoutes() []route {
	body := sync.OnceValues(func() ([]byte, error) { return json.MarshalIndent(p.document(), "", " ") })
	return []route{{
		method: "GET", path: "/api/v1/openapi.json", tag: "about", summary: "this document",
		do: func(k *call) error {
			doc, err := body()
			if err != nil {
				return err
			}
			k.Set("Content-Type", "application/json; charset=utf-8")
			k.Set("Cache-Control", "public, max-age=300")
			k.Set("Access-Control-Allow-Origin", "*")
			return k.Send(doc)
		},
	}}
}
