package page

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store/fault"
)

// The layout of a page directory. A static server's root is current/, a link to the newest complete release:
//
//	lifeline-page.json   says that the directory is ours
//	current -> releases/17
//	releases/16/...      the one before, for readers in the middle of it
//	releases/17/...      every file beside its .gz and .br; manifest.json lists them and manifest.sig signs the list
const (
	ownerFile   = "lifeline-page.json"
	currentLink = "current"
	nextLink    = "current.next"
	releasesDir = "releases"
	manifest    = "manifest.json"
	signed      = "manifest.sig" // the signature over manifest, in base 64
	partial     = ".partial"     // suffix of a release that is being written
	kept        = 2              // releases that stay
)

// Manifest lists what a release holds, so that a copy elsewhere can be compared with it. It is signed, and numbered so that an old one is told.
type Manifest struct {
	Format  int            `json:"format"`
	Release int            `json:"release"` // counts up from 1 in its directory
	Edition int64          `json:"edition"` // of the store
	AsOf    time.Time      `json:"as_of"`
	Written time.Time      `json:"written_at"`
	Files   []ManifestFile `json:"files"` // sorted by path
}

// ManifestFile is one file of a release.
type ManifestFile struct {
	Path   string `json:"path"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

type owner struct {
	Format int    `json:"format"`
	Note   string `json:"note"`
}

// ownedBy is what says that a place is ours.
func ownedBy() []byte {
	b, _ := json.MarshalIndent(owner{Format: 1, Note: "Lifeline writes this place, and removes from it. In a directory serve current/ as the root of a static site."}, "", "\t") // of plain strings
	return b
}

// Write puts the edition into Dir as a complete static site and swaps it in as a whole: readers of current/ see the old release or
// the new one. Everything is on disk before the swap. Nothing in the directory is followed or overwritten: every release is
// a new directory, and a directory that holds anything which is not ours is refused. The last two releases stay.
func (p *Press) Write(e *Edition) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	root, err := openSite(p.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	site := site{root: root, last: p.written, sign: p.Sign, giveWay: p.giveWay}
	if err := site.write(e); err != nil {
		return fmt.Errorf("write the static page to %s: %w", p.Dir, err)
	}
	p.written = site.last
	p.onDisk.Store(e)
	return nil
}

// giveWay returns when nothing is being rendered. A copy is thousands of files, whose writing would take half of what a small machine has from a word that readers wait for.
func (p *Press) giveWay() {
	p.rendering.Lock()
	defer p.rendering.Unlock()
}

// openSite opens a page directory that is ours, or makes an empty or missing one ours.
func openSite(dir string) (*os.Root, error) {
	if dir == "" {
		return nil, fault.BadField("LIFELINE_PAGE_DIR", "is empty; name a directory for the static page")
	}
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the page directory: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("look at the page directory: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fault.BadField("LIFELINE_PAGE_DIR", "%s is a link; name the directory itself", dir)
	case !info.IsDir():
		return nil, fault.BadField("LIFELINE_PAGE_DIR", "%s is not a directory", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the page directory: %w", err)
	}
	if err := own(root, dir); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// own checks that every entry is part of our layout, and marks an empty directory as ours.
func own(root *os.Root, dir string) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("read the page directory: %w", err)
	}
	if len(entries) == 0 {
		if err := writeFile(root, ownerFile, ownedBy()); err != nil {
			return fmt.Errorf("mark the page directory: %w", err)
		}
		return settle(root, ".")
	}
	wanted := map[string]fs.FileMode{ownerFile: 0, releasesDir: fs.ModeDir, currentLink: fs.ModeSymlink, nextLink: fs.ModeSymlink}
	marked := false
	for _, entry := range entries {
		mode, known := wanted[entry.Name()]
		if !known || entry.Type() != mode {
			return fault.BadField("LIFELINE_PAGE_DIR", "%s holds %q, which Lifeline did not write; name an empty directory", dir, entry.Name())
		}
		marked = marked || entry.Name() == ownerFile
	}
	if !marked {
		return fault.BadField("LIFELINE_PAGE_DIR", "%s holds files but no %s; name an empty directory", dir, ownerFile)
	}
	return nil
}

// site is one page directory while a release is written to it.
type site struct {
	root *os.Root
	last *release // the newest release that this process wrote whole, or nil
	sign func(manifest []byte) []byte

	giveWay func() // called before each file
}

// release remembers what is in a directory, so that the next one links what did not change instead of writing it again.
type release struct {
	dir    string
	hashes map[string]string // by path
}

func (s *site) write(e *Edition) error {
	numbers, err := s.clean()
	if err != nil {
		return err
	}
	number := 1
	if len(numbers) > 0 {
		number = numbers[len(numbers)-1] + 1
	}
	final := path.Join(releasesDir, strconv.Itoa(number))
	next := &release{dir: final, hashes: map[string]string{}}
	if err := s.fill(final+partial, number, e, next); err != nil {
		return errors.Join(err, s.root.RemoveAll(final+partial))
	}
	if err := s.root.Rename(final+partial, final); err != nil {
		return err
	}
	if err := syncDir(s.root, releasesDir); err != nil {
		return err
	}
	if err := s.root.Symlink(final, nextLink); err != nil {
		return err
	}
	if err := s.root.Rename(nextLink, currentLink); err != nil {
		return err
	}
	s.last = next
	if err := syncDir(s.root, "."); err != nil {
		return err
	}
	for _, old := range numbers[:max(0, len(numbers)-kept+1)] {
		if err := s.remove(path.Join(releasesDir, strconv.Itoa(old))); err != nil {
			return err
		}
	}
	return nil
}

// remove is RemoveAll, directory by directory.
func (s *site) remove(dir string) error {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := s.remove(path.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	s.giveWay()
	return s.root.RemoveAll(dir)
}

// clean removes what a crash left half written and returns the numbers of the releases, ascending.
func (s *site) clean() ([]int, error) {
	if err := s.root.Mkdir(releasesDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := s.root.Remove(nextLink); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := fs.ReadDir(s.root.FS(), releasesDir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasSuffix(name, partial) {
			if err := s.root.RemoveAll(path.Join(releasesDir, name)); err != nil {
				return nil, err
			}
			continue
		}
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || !entry.IsDir() {
			return nil, fault.BadField("LIFELINE_PAGE_DIR", "holds %s/%s, which Lifeline did not write; name an empty directory", releasesDir, name)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// fill writes every file of a release, and returns when all of it is on disk.
func (s *site) fill(dir string, number int, e *Edition, next *release) error {
	if err := s.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	made := map[string]bool{".": true}
	pieces := e.pieces()
	for _, p := range pieces {
		s.giveWay()
		if err := s.mkdirs(dir, path.Dir(p.name), made); err != nil {
			return err
		}
		if err := s.place(dir, p.name, p.hash, p.body); err != nil {
			return err
		}
		next.hashes[p.name] = p.hash
	}
	b, err := json.MarshalIndent(e.manifest(number, pieces), "", "\t")
	if err != nil {
		return err
	}
	if err := writeFile(s.root, path.Join(dir, manifest), b); err != nil {
		return err
	}
	if s.sign != nil {
		signature := base64.StdEncoding.EncodeToString(s.sign(b)) + "\n"
		if err := writeFile(s.root, path.Join(dir, signed), []byte(signature)); err != nil {
			return err
		}
	}
	return settle(s.root, dir)
}

// piece is one file of a release: one content in one coding.
type piece struct {
	name   string
	body   []byte
	hash   string // hex SHA-256
	coding coding
	sent   answer // how its content is served
}

// pieces are all files of a release but its manifest, sorted by name.
func (e *Edition) pieces() (all []piece) {
	for _, f := range e.files {
		for c := range codings {
			if body := f.enc.bytes[c]; body != nil {
				all = append(all, piece{f.path + suffixes[c], body, f.enc.sums[c], c, f.sent})
			}
		}
	}
	slices.SortFunc(all, func(a, b piece) int { return strings.Compare(a.name, b.name) })
	return all
}

// manifest lists pieces as a release.
func (e *Edition) manifest(number int, pieces []piece) Manifest {
	m := Manifest{Format: 1, Release: number, Edition: e.Number, AsOf: e.AsOf.UTC(), Written: e.Written.UTC()}
	for _, p := range pieces {
		m.Files = append(m.Files, ManifestFile{Path: p.name, Bytes: len(p.body), SHA256: p.hash})
	}
	return m
}

// place links a file that the release before already holds, or writes it.
func (s *site) place(dir, name, hash string, body []byte) error {
	to := path.Join(dir, name)
	if s.last != nil && s.last.hashes[name] == hash {
		if err := s.root.Link(path.Join(s.last.dir, name), to); err == nil {
			return nil
		} // not every file system links, and somebody may have removed it
	}
	return writeFile(s.root, to, body)
}

func (s *site) mkdirs(dir, sub string, made map[string]bool) error {
	if made[sub] {
		return nil
	}
	if err := s.mkdirs(dir, path.Dir(sub), made); err != nil {
		return err
	}
	made[sub] = true
	return s.root.Mkdir(path.Join(dir, sub), 0o755)
}

// writeFile makes a new file, never an existing one. It is on disk for certain once settle has said so.
func writeFile(root *os.Root, name string, body []byte) error {
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(body); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
