// Package web holds what browsers get: page templates, one style sheet, small scripts and the icon, embedded in the binary.
//
// Names tell who uses a file: public_*.html are the status page, and every *.html that starts otherwise belongs to the
// support form or the staff pages. icon.html, look.html, curve.html and style.css are shared by all. Scripts only add to pages that work without them. The
// content security policy forbids inline scripts and styles, so no template has a style attribute or an on... attribute.
// Every sentence comes from the catalogs of package templates; these files hold none.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// Asset is one static file under a name that carries its hash, so that caches may keep it for ever.
type Asset struct {
	Name string // "style.css"
	Path string // "/assets/style.0a1b2c3d4e.css"
	Type string // Content-Type
	Body []byte
}

// Assets lists every static file, in the order of their names.
func Assets() []Asset { return assets() }

// AssetPath is where an asset is served; it fails on a name that is not embedded, so that a typing error is found when pages
// are rendered and not by a reader.
func AssetPath(name string) (string, error) {
	for _, a := range assets() {
		if a.Name == name {
			return a.Path, nil
		}
	}
	return "", fmt.Errorf("no asset is named %q", name)
}

var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

var assets = sync.OnceValue(func() []Asset {
	var out []Asset
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are in the binary
	}
	for _, entry := range entries {
		ext := path.Ext(entry.Name())
		if types[ext] == "" {
			continue
		}
		body, err := files.ReadFile(entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		stem := strings.TrimSuffix(entry.Name(), ext)
		out = append(out, Asset{
			Name: entry.Name(), Path: "/assets/" + stem + "." + hex.EncodeToString(sum[:5]) + ext, Type: types[ext], Body: body,
		})
	}
	return out
})

// Parse reads the named templates into one set, with "asset" and the given functions. Execute a page by its file name.
func Parse(funcs template.FuncMap, names ...string) (*template.Template, error) {
	t := template.New("").Option("missingkey=error").Funcs(template.FuncMap{"asset": AssetPath}).Funcs(funcs)
	return t.ParseFS(files, names...)
}

// Files are the embedded files, for checks that walk them all.
func Files() fs.FS { return files }
