package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"lifeline/contacts"
)

// Whoever calls a command wrongly is told what to do, with exit status 2, before anything is opened or made.
func TestWrongUseSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ line, says string }{
		{"exprot", "`lifeline help` lists them"},
		{"help exprot", "`lifeline help` lists them"},
		{"export contacts.csv", "--out names the file"},
		{"export --format xlsx", "--format is csv or jsonl"},
		{"export --fromat csv", "`lifeline help export`"},
		{"import", "name one FILE and a --source"},
		{"migrate now", "--dry-run only looks"},
		{"purge", "--kind, a --reason and IDs"},
		{"purge con_1", "--kind is account, contact or ticket"},
		{"purge --kind site sit_1", "--kind is account, contact or ticket"},
		{"purge --kind contact con_1", "--reason"},
		{"purge --run chg_1 con_1", "nothing but a change to --run"},
		{"purge --run chg_1 --dry-run", "nothing but a change to --run"},
		{"report", "lifeline report contacts"},
		{"report tickets", "lifeline report incidents"},
		{"backup", "one of now, list"},
		{"backup restore --account", "`lifeline help backup`"},
		{"backup restore --account A1 --dry-run", "--identity names the file"},
		{"backup restore --dry-run", "--account or --accounts"},
	} {
		environ := func(name string) (string, bool) {
			at, ok := map[string]string{"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_KEYS": filepath.Join(dir, "keys")}[name]
			return at, ok
		}
		var out, errs bytes.Buffer
		err := runIn(t.Context(), strings.Fields(c.line), env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ})
		if code := exitCode(err, &errs); code != 2 || !errors.As(err, new(usage)) || !strings.Contains(errs.String(), c.says) || out.Len() > 0 {
			t.Errorf("%s: %d %s%s", c.line, code, &errs, &out)
		}
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("%v %v", made, err)
	}
}

// The help of a command names what it takes.
func TestTheHelpOfImportNamesEveryColumn(t *testing.T) {
	words := strings.FieldsFunc(importCommand().long, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) })
	for _, column := range contacts.Columns() {
		if !slices.Contains(words, column) {
			t.Errorf("the help of import does not name %s", column)
		}
	}
}
