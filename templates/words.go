package templates

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	html "html/template"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"
)

//go:embed words
var ours embed.FS

// The languages, in the order in which they are offered. The first one serves whoever asks for another. What customers and strangers read is there
// in all of them, the words of the desk in the first few: a customer in distress cannot be asked to read a second language, a colleague can.
var (
	locales      = []string{"en", "zh-CN", "ja", "de", "fr", "es", "pt-BR", "ko"}
	staffLocales = locales[:3]
)

// Locales lists the languages of what customers and strangers read, in the order in which they are offered.
func Locales() []string { return slices.Clone(locales) }

// StaffLocales lists those of them that the desk is written in too.
func StaffLocales() []string { return slices.Clone(staffLocales) }

// ForStaff says whether a sentence is one of the desk's, which only [StaffLocales] have.
func ForStaff(key string) bool {
	group, _, _ := strings.Cut(key, ".")
	return group == "desk" || group == "handoff"
}

// staffMessages go to staff alone, so that they are written in the languages of the desk.
var staffMessages = []string{MsgDeadline, MsgDeclared, MsgSecondReading, MsgWayIn}

// The most that one file of words may hold, in bytes.
const maxFile = 1 << 20

// Set is all the words in force: ours, with the operator's own in their place. Nothing in it is written after [Load], so any number of
// goroutines may render from it in any mix of languages.
type Set struct {
	version  string
	own      []string // files of the operator's
	matcher  language.Matcher
	staff    language.Matcher // among the languages of the desk
	catalogs map[string]Catalog
	layouts  map[string]*layouts // by language, each with functions of its own
}

// layouts are the parsed templates of one language.
type layouts struct {
	text map[string]*template.Template // by file name
	html map[string]*html.Template
}

// The layouts of words/, the same for all languages: their sentences come from the catalogs.
const (
	updateMail    = "update.email.txt"
	updateHTML    = "update.email.html"
	updatePage    = "update.page.html"
	updateTicket  = "update.ticket.txt"
	updateMedia   = "update.media.txt"
	messageLayout = "message.email.html"
)

// Load reads the built-in words and puts the operator's files, when operatorDir is not "", in their place: a layout or a message as a whole,
// a catalog sentence by sentence. Then it renders every message in every language and channel against sample data. Whatever is
// broken, unknown or unreadable is refused with file, line and reason.
func Load(operatorDir string) (*Set, error) {
	files, err := readAll(ours, "words")
	if err != nil {
		return nil, err
	}
	var own []string
	if operatorDir != "" {
		if own, err = overlay(files, operatorDir); err != nil {
			return nil, fmt.Errorf("read templates in %s: %w", operatorDir, err)
		}
	}
	s, err := build(files)
	if err != nil {
		return nil, err
	}
	s.own = own
	samples := rehearsed // ours are rehearsed by a test
	if operatorDir != "" {
		if samples, err = s.rehearse(); err != nil {
			return nil, err
		}
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, f := range files[name] {
			fmt.Fprintf(sum, "%s %d\n%s\n", name, len(f.data), f.data)
		}
	}
	io.WriteString(sum, samples)
	s.version = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

// Version is a digest of everything in force: all files, and what the program makes of them with sample data, so that a change
// of the program's own composing moves it too. An approval that names another version no longer holds.
func (s *Set) Version() string { return s.version }

// Match is the best of our languages for a BCP 47 tag or an Accept-Language header; anything that is neither gets the first.
func (s *Set) Match(accept string) string { return match(s.matcher, locales, accept) }

// MatchStaff is Match among the languages of the desk.
func (s *Set) MatchStaff(accept string) string { return match(s.staff, staffLocales, accept) }

func match(among language.Matcher, locales []string, accept string) string {
	if slices.Contains(locales, accept) {
		return accept
	}
	if len(accept) > 256 {
		accept = accept[:strings.LastIndexByte(accept[:256], ',')+1]
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return locales[0]
	}
	_, i, _ := among.Match(tags...)
	return locales[i]
}

// Catalog is the catalog of a language, or of the nearest one that we have.
func (s *Set) Catalog(locale string) Catalog { return s.catalogs[s.Match(locale)] }

// Time is [Catalog.Time] in the language.
func (s *Set) Time(locale string, t time.Time, zone string) string {
	return s.Catalog(locale).Time(t, zone)
}

// Keys lists every key of the catalogs, in order; all languages have the same, but for the words of the desk.
func (s *Set) Keys() []string { return s.catalogs[locales[0]].keys() }

// file is one source of words, ours or the operator's.
type file struct {
	name string // as errors shall name it
	data []byte
}

func readAll(fsys fs.FS, root string) (map[string][]file, error) {
	files := map[string][]file{}
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		key := strings.TrimPrefix(name, root+"/")
		files[key] = []file{{name: name, data: data}}
		return err
	})
	return files, err
}

// overlay puts the operator's files in the place of ours and names them. It never leaves the directory, by link or otherwise.
func overlay(files map[string][]file, dir string) (own []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	known := slices.Sorted(maps.Keys(files))
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); name != "." && strings.HasPrefix(base, ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() || strings.EqualFold(path.Ext(name), ".md") { // notes of the operator
			return nil
		}
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s: no words of this name are used; there are %s", name, strings.Join(known, ", "))
		}
		data, err := readFile(root, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		theirs := file{name: path.Join(dir, name), data: data}
		if path.Ext(name) == ".json" {
			files[name] = append(files[name], theirs)
		} else {
			files[name] = []file{theirs}
		}
		own = append(own, name)
		return nil
	})
	return own, err
}

// Own names the operator's files that are in force, in order.
func (s *Set) Own() []string { return slices.Clone(s.own) }

// Ours are the built-in words, file by file, for an operator to begin her own with.
func Ours() fs.FS {
	words, err := fs.Sub(ours, "words")
	if err != nil { // the name is a constant
		panic(err)
	}
	return words
}

func readFile(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errors.New("must be a regular file"), err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return data, err
}

func build(files map[string][]file) (*Set, error) {
	s := &Set{catalogs: map[string]Catalog{}, layouts: map[string]*layouts{}}
	tags := make([]language.Tag, len(locales))
	for i, locale := range locales {
		tags[i] = language.MustParse(locale)
		words, err := mergeCatalog(files[locale+".json"])
		if err != nil {
			return nil, err
		}
		c := Catalog{locale: locale, tag: tags[i], words: words}
		s.catalogs[locale] = c
		if s.layouts[locale], err = parseLayouts(c, files); err != nil {
			return nil, err
		}
	}
	s.matcher, s.staff = language.NewMatcher(tags), language.NewMatcher(tags[:len(staffLocales)])
	return s, nil
}

// mergeCatalog lays the operator's sentences over ours: each must exist and ask for no other arguments.
func mergeCatalog(sources []file) (map[string]entry, error) {
	var words map[string]entry
	for i, src := range sources {
		over, err := parseCatalog(src.data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", src.name, err)
		}
		if i == 0 {
			words = over
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(over)) {
			line := lineAt(src.data, max(0, bytes.Index(src.data, []byte(`"`+key+`"`))))
			have, ok := words[key]
			if !ok {
				return nil, fmt.Errorf("%s: line %d: no sentence is called %q", src.name, line, key)
			}
			if !slices.Equal(have.places(), over[key].places()) {
				return nil, fmt.Errorf("%s: line %d: %q must use the placeholders %v, not %v", src.name, line, key, have.places(), over[key].places())
			}
			words[key] = over[key]
		}
	}
	return words, nil
}

func parseLayouts(c Catalog, files map[string][]file) (*layouts, error) {
	l := &layouts{text: map[string]*template.Template{}, html: map[string]*html.Template{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		dir, base := path.Split(name)
		if path.Ext(name) == ".json" || dir != "" && dir != c.locale+"/" {
			continue
		}
		src := files[name][0]
		if path.Ext(name) == ".html" {
			t, err := html.New(src.name).Option("missingkey=error").Funcs(functions(c)).Parse(string(src.data))
			if err != nil {
				return nil, err // it names file and line
			}
			l.html[base] = t
			continue
		}
		t, err := template.New(src.name).Option("missingkey=error").Funcs(functions(c)).Parse(string(src.data))
		if err != nil {
			return nil, err
		}
		l.text[base] = t
	}
	return l, nil
}

// word is the catalog's word for one of an operator's own values, such as a category of her policy; without one the value itself.
func (c Catalog) word(prefix, value string) string {
	if c.Has(prefix + value) {
		return c.T(prefix + value)
	}
	return value
}

// functions are what a template may call, bound to one language.
func functions(c Catalog) map[string]any {
	return map[string]any{
		"t":        c.Try,
		"time":     c.Time,
		"duration": c.Duration,
		"number":   c.Number,
		"line":     oneLine,
		"ended":    ended,
		"word":     c.word,
	}
}
