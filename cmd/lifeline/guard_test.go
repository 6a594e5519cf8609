package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lifeline/store"
)

// The shape of the house, held by tests: which room may import which, and that the lists in docs/ say what the code does.

// mayImport lists the rooms that each room may use; store and templates use none. A test may import anything.
var mayImport = map[string][]string{
	"store":        {"store"},
	"templates":    {"templates"},
	"contacts":     {"contacts", "store"},
	"portal/auth":  {"portal/auth", "store"},
	"comms":        {"comms", "contacts", "templates", "store"},
	"portal/desk":  {"portal/desk", "comms", "contacts", "templates", "store"},
	"portal":       {"portal", "portal/desk", "portal/auth", "comms", "contacts", "templates", "store"},
	"cmd/lifeline": {"cmd/lifeline", "portal", "portal/desk", "portal/auth", "comms", "contacts", "templates", "store"},
}

// forTests are packages that only tests and the bench import.
var forTests = regexp.MustCompile(`test(/|$)|/webshot$`)

type goPackage struct {
	ImportPath, Dir, Doc string
	Imports              []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports", "lifeline/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// roomOf is the room that a package belongs to: the longest that its path begins with.
func roomOf(path string) string {
	path = strings.TrimPrefix(path, "lifeline/")
	best := ""
	for room := range mayImport {
		if (path == room || strings.HasPrefix(path, room+"/")) && len(room) > len(best) {
			best = room
		}
	}
	return best
}

func TestDataFallsOneWay(t *testing.T) {
	for _, p := range packages(t) {
		room := roomOf(p.ImportPath)
		if forTests.MatchString(p.ImportPath) || strings.HasPrefix(p.ImportPath, "lifeline/bench") {
			continue
		}
		if room == "" {
			t.Errorf("%s is in no room", p.ImportPath)
		}
		if p.Doc == "" {
			t.Errorf("%s says nowhere what it is", p.ImportPath)
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "lifeline/") && !slices.Contains(mayImport[room], roomOf(i)) {
				t.Errorf("%s imports %s: %s may not use %s", p.ImportPath, i, room, roomOf(i))
			}
			if strings.HasPrefix(i, "lifeline/") && forTests.MatchString(i) {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, i)
			}
			if strings.HasPrefix(i, "github.com/gofiber/fiber") && room != "portal" {
				t.Errorf("%s imports Fiber: only portal serves HTTP", p.ImportPath)
			}
			engine := strings.HasPrefix(i, "lifeline/store/bolt") || strings.HasPrefix(i, "lifeline/store/postgres")
			channel := strings.HasPrefix(i, "lifeline/comms/")
			if (engine || channel) && room != "cmd/lifeline" && i != p.ImportPath && !strings.HasPrefix(p.ImportPath, i) && !strings.HasPrefix(i, p.ImportPath+"/smtp") {
				t.Errorf("%s imports %s: only cmd names engines and channels", p.ImportPath, i)
			}
		}
	}
}

// rows reads the cells of every table row of a Markdown file whose first cell matches.
func rows(t *testing.T, file, first string) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(first)
	var all [][]string
	for _, line := range strings.Split(string(b), "\n") {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(strings.TrimSpace(line), "|") && re.MatchString(cells[0]) {
			all = append(all, cells)
		}
	}
	return all
}

func TestEveryKindIsListed(t *testing.T) {
	listed := map[string]string{}
	for _, r := range rows(t, "kinds.md", `^[a-z ]+$`) {
		if len(r) != 5 || r[4] == "" {
			t.Errorf("docs/kinds.md: %q does not say why it is a kind of its own", r)
			continue
		}
		listed[r[1]] = r[0]
	}
	declared := map[string]string{}
	for _, k := range append(kinds(), store.Kinds()...) {
		declared[k.Prefix] = k.Name
		if listed[k.Prefix] == "" {
			t.Errorf("docs/kinds.md does not list %s (%s)", k.Name, k.Prefix)
		}
	}
	for prefix, name := range listed {
		if declared[prefix] == "" {
			t.Errorf("docs/kinds.md lists %s (%s), which nothing declares", name, prefix)
		}
	}
}

// Each kind of record is in one class of data, and each setting that holds a secret is among the connections or the keys.
func TestTheSecurityPageNamesEveryKindAndSecret(t *testing.T) {
	classes := map[string]int{}
	for _, r := range rows(t, "security.md", `^(secret|personal|internal|bookkeeping)$`) {
		for _, kind := range strings.Split(r[1], ", ") {
			classes[kind]++
		}
	}
	for _, k := range append(kinds(), store.Kinds()...) {
		if classes[k.Name] != 1 {
			t.Errorf("docs/security.md has %s in %d classes of data", k.Name, classes[k.Name])
		}
		delete(classes, k.Name)
	}
	for kind := range classes {
		t.Errorf("docs/security.md puts %s into a class, which nothing declares", kind)
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.secret && !bytes.Contains(b, []byte("`"+s.name+"`")) {
			t.Errorf("docs/security.md does not say what %s is for", s.name)
		}
	}
}

// shown collects every test of the tree as package.Test, and every story as story:name.
func shown(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case strings.HasSuffix(path, ".txtar"):
			all["story:"+strings.TrimSuffix(d.Name(), ".txtar")] = true
		case strings.HasSuffix(path, ".go"):
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && regexp.MustCompile(`^(Test|Fuzz)`).MatchString(f.Name.Name) {
					all[filepath.ToSlash(rel)+"."+f.Name.Name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var proofForm = regexp.MustCompile("`([^`]+)`")

// Every test that a list in docs/ names exists; a row names some, or says that it is open (requirements) or why it needs none (ASVS).
func TestTheListsNameRealTests(t *testing.T) {
	exist := shown(t)
	for file, first := range map[string]string{"requirements.md": `^S\d-\d+$`, "asvs.md": `^(V\d+\.\d+\.\d+|A\d+)$`} {
		found := rows(t, file, first)
		if len(found) == 0 {
			t.Errorf("docs/%s has no rows", file)
		}
		open := 0
		for _, r := range found {
			proof := r[len(r)-1]
			if proof == "open" || strings.HasPrefix(proof, "open:") {
				open++
				continue
			}
			names := proofForm.FindAllStringSubmatch(proof, -1)
			if len(names) == 0 {
				t.Errorf("docs/%s %s is shown by nothing: %q", file, r[0], proof)
			}
			for _, n := range names {
				if !exist[n[1]] {
					t.Errorf("docs/%s %s names %s, which does not exist", file, r[0], n[1])
				}
			}
		}
		t.Logf("docs/%s: %d of %d shown", file, len(found)-open, len(found))
	}
}
