package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeline/store/fault"
	"lifeline/templates"
)

func written(t *testing.T, dir string) (*Press, *Edition) {
	t.Helper()
	press := samplePress(t, dir)
	e, err := press.Render(sampleRecovery())
	if err != nil {
		t.Fatalf("render: %v", err)
	}
	if err := press.Write(e); err != nil {
		t.Fatalf("write: %v", err)
	}
	return press, e
}

// Whoever serves the directory answers every public path in every language with the bytes that we would answer, said to be what they are.
func TestAPlainFileServerCarriesOn(t *testing.T) {
	press := sampleWide(t)
	press.Dir = filepath.Join(t.TempDir(), "page")
	e, err := press.Render(sampleRecovery())
	if err != nil {
		t.Fatal(err)
	}
	sites := everywhere(t, press, e)
	paths := slices.Collect(maps.Keys(e.docs))
	for _, must := range append(slices.Clone(publicPaths), "/ko/", "/pt-BR/questions", "/de/verify/"+templates.CheckCode(firstNotice().ID)) {
		if !e.Has(must) {
			t.Errorf("the edition has no %s", must)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, site := range sites {
		if site.name == "nginx" { // who looks for the form, behind which nobody is, is told so in her language
			req, err := http.NewRequest(http.MethodGet, site.url+"/support?lang=de", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept-Language", "de-AT,de")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusNotFound || !strings.Contains(string(body), press.Words.Catalog("de").T("page.away")) || !strings.Contains(string(body), `lang="de"`) {
				t.Errorf("nginx answers %s for the form: %.300s, %v", resp.Status, body, err)
			}
		}
		for _, path := range paths {
			resp, err := client.Get(site.url + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if path == "/favicon.ico" && site.name != "portal" || path == factsPath && site.name == "file server" {
				continue // the page names its drawing, and the list is there as incidents.json: incidents is the directory of each one
			}
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("%s: %s: %s, %v", site.name, path, resp.Status, err)
				continue
			}
			if !bytes.Equal(body, e.Body(path, "en")) {
				t.Errorf("%s: %s: the file differs from what is served", site.name, path)
			}
			if site.name != "nginx" { // a file server that is told nothing guesses the type by the name
				continue
			}
			d := e.docs[path]
			if d.perLocale != nil {
				d = d.perLocale[0]
			}
			for _, name := range []string{"Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Content-Security-Policy"} {
				if got, want := strings.Replace(strings.ToLower(resp.Header.Get(name)), "application/javascript", "text/javascript", 1), strings.ToLower(string(d.reps[identityCoding].headers().full.Peek(name))); got != want {
					t.Errorf("nginx: %s: %s is %q, want %q", path, name, got, want)
				}
			}
		}
	}
}

func TestTheManifestNamesEveryFile(t *testing.T) {
	dir := t.TempDir()
	_, e := written(t, dir)
	root := filepath.Join(dir, "current")
	b, err := os.ReadFile(filepath.Join(root, manifest))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.Release != 1 || m.Edition != e.Number || !m.AsOf.Equal(e.AsOf) || m.Written.IsZero() {
		t.Errorf("manifest says %d, %d, %v, %v", m.Release, m.Edition, m.AsOf, m.Written)
	}
	listed := map[string]bool{manifest: true}
	for _, f := range m.Files {
		listed[f.Path] = true
		body, err := os.ReadFile(filepath.Join(root, f.Path))
		sum := sha256.Sum256(body)
		if err != nil || len(body) != f.Bytes || hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s: %v, %d bytes", f.Path, err, len(body))
		}
	}
	for _, must := range []string{"index.html", "index.html.br", "index.html.gz", "ja/index.html", "api/v2/summary.json", "history.atom"} {
		if !listed[must] {
			t.Errorf("%s is missing", must)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "releases", "1"), func(name string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(dir, "releases", "1"), name)
		if err == nil && !d.IsDir() && !listed[filepath.ToSlash(rel)] {
			t.Errorf("%s is not in the manifest", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever opens the directory while releases follow each other finds one of them whole, and whoever asks for a page by its name always gets one.
func TestReadersNeverSeeHalfOfARelease(t *testing.T) {
	dir := t.TempDir()
	press, _ := written(t, dir)
	press.few, press.tongues = press.few[:1], nil
	const rounds = 4
	pass, done := make(chan struct{}), make(chan struct{})
	go func() { // a release for each time that the reader was through: two stay, so the one that she is in does
		defer close(done)
		p := sampleRecovery()
		for n := range rounds {
			p.Edition++
			u := slices.Clone(p.Incidents[0].Updates)
			u[0].Statement.Headline = strings.Repeat("Another word. ", n+1)
			p.Incidents[0].Updates = u
			e, err := press.Render(p)
			if err == nil {
				err = press.Write(e)
			}
			if err != nil {
				t.Errorf("write: %v", err)
			}
			<-pass
		}
	}()
	releases := map[int]bool{}
	for going := true; going; {
		releases[wholeRelease(t, filepath.Join(dir, currentLink))] = true
		for range 20 {
			if b, err := os.ReadFile(filepath.Join(dir, currentLink, "index.html")); err != nil || !bytes.HasSuffix(bytes.TrimSpace(b), []byte("</html>")) {
				t.Errorf("the first page has %d bytes: %v", len(b), err)
			}
		}
		select {
		case pass <- struct{}{}:
		case <-done:
			going = false
		}
	}
	if len(releases) < rounds/2 {
		t.Errorf("the reader saw %d releases of %d", len(releases), rounds)
	}
}

// wholeRelease opens a directory once and holds every file in it against the manifest.
func wholeRelease(t *testing.T, dir string) int {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	b, err := root.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		body, err := root.ReadFile(f.Path)
		if sum := sha256.Sum256(body); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("release %d: %s is not what the manifest says: %v", m.Release, f.Path, err)
		}
	}
	return m.Release
}

func TestReleasesFollowEachOtherAndTwoStay(t *testing.T) {
	dir := t.TempDir()
	press, _ := written(t, dir)
	for range 3 {
		e, err := press.Render(sampleResolved())
		if err != nil {
			t.Fatal(err)
		}
		if err := press.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "current")); err != nil || to != "releases/4" {
		t.Errorf("current is %q, %v", to, err)
	}
	if got := names(t, filepath.Join(dir, "releases")); got != "3 4" {
		t.Errorf("releases %s, want 3 4", got)
	}
	// What did not change is the same file, not a copy.
	a, errA := os.Stat(filepath.Join(dir, "releases/3/history.atom"))
	b, errB := os.Stat(filepath.Join(dir, "releases/4/history.atom"))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("history.atom was written again: %v, %v", errA, errB)
	}
	// Another process carries on where this one ended.
	fresh := samplePress(t, dir)
	e, err := fresh.Render(sampleEmpty())
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Write(e); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(dir, "releases")); got != "4 5" {
		t.Errorf("releases %s, want 4 5", got)
	}
}

func TestWhatACrashLeftIsClearedAway(t *testing.T) {
	dir := t.TempDir()
	press, e := written(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "releases/2.partial/en"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("releases/2", filepath.Join(dir, "current.next")); err != nil {
		t.Fatal(err)
	}
	if err := press.Write(e); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "current lifeline-page.json releases" {
		t.Errorf("the directory holds %s", got)
	}
	if got := names(t, filepath.Join(dir, "releases")); got != "1 2" {
		t.Errorf("releases %s", got)
	}
}

func TestADirectoryThatIsNotOursIsRefused(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string) string{
		"somebody's files": func(t *testing.T, dir string) string {
			return dir + put(t, dir, "index.html", "theirs")
		},
		"a file among ours": func(t *testing.T, dir string) string {
			written(t, dir)
			return dir + put(t, dir, "notes.txt", "theirs")
		},
		"a directory among releases": func(t *testing.T, dir string) string {
			written(t, dir)
			if err := os.Mkdir(filepath.Join(dir, "releases", "old"), 0o755); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"a link in place of releases": func(t *testing.T, dir string) string {
			put(t, dir, ownerFile, "{}")
			if err := os.Symlink(t.TempDir(), filepath.Join(dir, "releases")); err != nil {
				t.Fatal(err)
			}
			return dir
		},
		"a link in place of the directory": func(t *testing.T, dir string) string {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			return link
		},
		"a file in place of the directory": func(t *testing.T, dir string) string {
			put(t, dir, "file", "theirs")
			return filepath.Join(dir, "file")
		},
		"a directory in place of current": func(t *testing.T, dir string) string {
			put(t, dir, ownerFile, "{}")
			if err := os.Mkdir(filepath.Join(dir, "current"), 0o755); err != nil {
				t.Fatal(err)
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := prepare(t, t.TempDir())
			press := samplePress(t, dir)
			e, err := press.Render(sampleEmpty())
			if err != nil {
				t.Fatal(err)
			}
			before := tree(t, dir)
			err = press.Write(e)
			if !errors.Is(err, &fault.Error{Kind: fault.Invalid}) {
				t.Errorf("got %v, want a refusal", err)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("the directory changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return ""
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		b.WriteString(name + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
