package contacts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonReader reads JSON lines: an object per line, its keys the column names, its values text, numbers (tier) or, in columns of
// several values, arrays of text.
type jsonReader struct{ lines *lines }

func (j *jsonReader) next() (rawRow, error) {
	for {
		text, err := j.lines.text()
		row := rawRow{line: j.lines.line}
		switch {
		case errors.Is(err, errLongLine):
			row.reject("row", err.Error())
			return row, nil
		case err != nil:
			return rawRow{}, err
		case strings.TrimSpace(text) == "":
			continue
		case !utf8.ValidString(text):
			row.reject("row", "is not UTF-8; save the file as UTF-8")
			return row, nil
		}
		row.object(text)
		return row, nil
	}
}

// object reads the line token by token, because the standard decoder takes the last of several equal keys in silence.
func (r *rawRow) object(line string) {
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		r.reject("row", "is not a JSON object")
		return
	}
	var given [columnCount]bool
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			r.reject("row", "is not valid JSON")
			return
		}
		col, known := columnNamed(name)
		if !known {
			r.reject(quote(name), "is not a key; the keys are "+strings.Join(columnNames[:], ", "))
			return
		}
		if given[col] {
			r.reject(name, "is given twice")
			return
		}
		given[col] = true
		if !r.value(d, col) {
			return
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		r.reject("row", "is not valid JSON")
		return
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		r.reject("row", "has text behind the object")
	}
}

func (r *rawRow) value(d *json.Decoder, col column) bool {
	t, err := d.Token()
	if err != nil {
		r.reject(col.String(), "is not valid JSON")
		return false
	}
	switch v := t.(type) {
	case nil:
		return true
	case string:
		if len(v) > maxField {
			r.reject(col.String(), "is longer than 64 KiB")
			return false
		}
		if strings.TrimSpace(v) != "" {
			r.cells[col] = split(col, v)
		}
		return true
	case json.Number:
		if col == colTier {
			r.cells[col] = []string{v.String()}
			return true
		}
	case json.Delim:
		if v == '[' && col.many() {
			return r.array(d, col)
		}
	}
	want := "text"
	if col.many() {
		want = "text or an array of texts"
	}
	r.reject(col.String(), "must be "+want)
	return false
}

func (r *rawRow) array(d *json.Decoder, col column) bool {
	for d.More() {
		t, err := d.Token()
		v, ok := t.(string)
		if err != nil || !ok {
			r.reject(col.String(), "must be an array of texts")
			return false
		}
		if len(v) > maxField {
			r.reject(col.String(), "has a value longer than 64 KiB")
			return false
		}
		if strings.TrimSpace(v) != "" && len(r.cells[col]) <= maxList {
			r.cells[col] = append(r.cells[col], v)
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim(']') {
		r.reject(col.String(), "is not valid JSON")
		return false
	}
	return true
}

// quote makes a name from a stranger's file safe and short enough to print.
func quote(s string) string { return fmt.Sprintf("%.60q", s) }

func countReason(have, want int) string {
	return fmt.Sprintf("has %d values for %d columns", have, want)
}
