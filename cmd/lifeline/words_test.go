package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An operator gets our words from the program itself, keeps what she changes, and hears of a broken one before a start does.
func TestAnOperatorBeginsWithOurWords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "own", "words")
	words := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := runIn(t.Context(), append([]string{"words"}, args...), env{stdout: &out, stderr: &out, environ: func(name string) (string, bool) { return dir, name == "LIFELINE_TEMPLATES" }})
		return out.String(), err
	}
	if out, err := words(dir); err != nil || !strings.Contains(out, "LIFELINE_TEMPLATES="+dir) {
		t.Fatal(out, err)
	}
	if _, err := words(dir); err == nil {
		t.Error("what an operator may have changed is written over")
	}
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) < 10 {
		t.Fatal(all, err)
	}
	for _, name := range all {
		if filepath.Base(name) != "update.email.txt" {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "update.email.txt"), []byte("{{.Headline}}\n{{if}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := words(); err == nil || !strings.Contains(err.Error(), "update.email.txt:2") {
		t.Error(err)
	}
	cfg, err := readConfig("", func(name string) (string, bool) { return dir, name == "LIFELINE_TEMPLATES" })
	if err != nil {
		t.Fatal(err)
	}
	d := &doctor{cfg: cfg}
	d.words()
	if len(d.found) != 1 || d.found[0].Level != "bad" || !strings.Contains(d.found[0].Says, "update.email.txt:2") {
		t.Errorf("the doctor says %+v", d.found)
	}
}
