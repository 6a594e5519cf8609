package web

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

var inline = regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|javascript:|<script>`)

// gathered is the beginning of an object that is to be filled by name.
var gathered = regexp.MustCompile(`= \{\};|\w: \{\},`)

// The content policy forbids inline scripts and styles; sentences belong to the catalogs, addresses of strangers nowhere.
func TestFilesKeepToThePolicy(t *testing.T) {
	err := fs.WalkDir(Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(Files(), name)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "")
		if strings.Contains(text, "http://") || strings.Contains(text, "https://") || strings.Contains(text, `"//`) || strings.Contains(text, "@import") || strings.Contains(text, "url(") {
			t.Errorf("%s names another server", name)
		}
		if path.Ext(name) == ".js" {
			if m := gathered.FindString(text); m != "" {
				t.Errorf("%s begins %q, in which a name that data gives could be one that every object has: take Object.create(null)", name, m)
			}
		}
		if path.Ext(name) == ".html" {
			if m := inline.FindString(text); m != "" {
				t.Errorf("%s has %q, which the content policy forbids", name, m)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A password is typed where nobody reads along, may be long, and may come from a manager of passwords.
func TestPasswordsGoIntoPasswordFields(t *testing.T) {
	fields := regexp.MustCompile(`<input[^>]* name="(password|old)"[^>]*>`)
	found := 0
	pages, err := fs.Glob(Files(), "*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		b, err := fs.ReadFile(Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range fields.FindAllString(string(b), -1) {
			found++
			if !strings.Contains(field, `type="password"`) || !strings.Contains(field, `maxlength="1024"`) || !regexp.MustCompile(`autocomplete="(new|current)-password"`).MatchString(field) {
				t.Errorf("%s: %s", name, field)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d fields for passwords", found)
	}
}

func TestAssetsCarryTheirHash(t *testing.T) {
	form := regexp.MustCompile(`^/assets/[a-z]+\.[0-9a-f]{10}\.(css|js|svg)$`)
	for _, a := range Assets() {
		if !form.MatchString(a.Path) || len(a.Body) == 0 || a.Type == "" {
			t.Errorf("%s is served as %s, %d bytes of %q", a.Name, a.Path, len(a.Body), a.Type)
		}
		if got, err := AssetPath(a.Name); err != nil || got != a.Path {
			t.Errorf("AssetPath(%q) = %q, %v", a.Name, got, err)
		}
	}
	if _, err := AssetPath("nothing.css"); err == nil {
		t.Error("a name that is not embedded has a path")
	}
}
