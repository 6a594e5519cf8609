package portal

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store/fault"
)

// misfits finds what a type does not take of a JSON text, and names each by its path as the request has it. The decoder names a field only where its own rules
// refuse it, and without the place in a list; what a time or a span refuses it passes on without saying where it stood.
func misfits(at string, raw json.RawMessage, of reflect.Type) (found []fault.Field) {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	value := reflect.New(of)
	var parts map[string]json.RawMessage
	var items []json.RawMessage
	switch kind := of.Kind(); {
	case readsItself(value): // and nobody else knows what is in it
	case kind == reflect.Struct && json.Unmarshal(raw, &parts) == nil:
		names := fieldsOf(of)
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			if field, ok := named(names, name); ok {
				found = append(found, misfits(below(at, name), parts[name], field)...)
			} else {
				found = append(found, fault.Field{Field: below(at, name), Code: "unknown", Reason: "is not a field of this request"})
			}
		}
		return found
	case kind == reflect.Map && json.Unmarshal(raw, &parts) == nil:
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			found = append(found, misfits(below(at, name), parts[name], of.Elem())...)
		}
		return found
	case kind == reflect.Slice && of.Elem().Kind() != reflect.Uint8 && json.Unmarshal(raw, &items) == nil:
		for i, item := range items {
			found = append(found, misfits(at+"["+strconv.Itoa(i)+"]", item, of.Elem())...)
		}
		return found
	}
	if err := json.Unmarshal(raw, value.Interface()); err != nil {
		return []fault.Field{{Field: at, Code: "invalid", Reason: misfit(err, of)}}
	}
	return nil
}

// misfit says what a value should have been, without Go's names.
func misfit(err error, of reflect.Type) string {
	var typed *json.UnmarshalTypeError
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "must be an RFC 3339 time such as 2022-04-05T11:00:00Z"
	case errors.As(err, &typed):
		return "must be " + typeName(typed.Type.Kind().String()) + ", not " + typed.Value
	}
	return err.Error()
}

func readsItself(value reflect.Value) bool {
	switch value.Interface().(type) {
	case json.Unmarshaler, encoding.TextUnmarshaler:
		return true
	}
	return false
}

func below(at, name string) string {
	name = fmt.Sprintf("%.80s", name) // which may be anything
	if at == "" {
		return name
	}
	return at + "." + name
}

// fieldsOf are the fields of a struct by the names that JSON has for them, with those of the structs that it embeds.
func fieldsOf(of reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for i := range of.NumField() {
		f := of.Field(i)
		switch name, flat := jsonName(f); {
		case flat:
			for name, t := range fieldsOf(f.Type) {
				if _, own := all[name]; !own {
					all[name] = t
				}
			}
		case name != "":
			all[name] = f.Type
		}
	}
	return all
}

// named finds a field as the decoder does: by its name, or by one that differs in case alone.
func named(all map[string]reflect.Type, name string) (reflect.Type, bool) {
	if t, ok := all[name]; ok {
		return t, true
	}
	for is, t := range all {
		if strings.EqualFold(is, name) {
			return t, true
		}
	}
	return nil, false
}

// jsonName is what JSON calls a field, "" when it leaves it out; or the field is flat: its own fields stand in its place.
func jsonName(f reflect.StructField) (name string, flat bool) {
	name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
		return "", true
	case !f.IsExported() || name == "-":
		return "", false
	case name == "":
		return f.Name, false
	}
	return name, false
}
