package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/valyala/fasthttp"

	"lifeline/contacts"
	"lifeline/portal"
)

// Whoever calls a command wrongly is told what to do, with exit status 2, before anything is opened or made.
func TestWrongUseSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ line, says string }{
		{"exprot", "`lifeline help` lists them"},
		{"help exprot", "`lifeline help` lists them"},
		{"serve now", "`lifeline help serve`"},
		{"demo --exit fast", "it takes no \"fast\""},
		{"replay 2022", "`lifeline help replay`"},
		{"doctor mail", "`lifeline help doctor`"},
		{"--version now", "`lifeline help version`"},
		{"token issue", "`lifeline help token` names the roles"},
		{"user add", "needs --name, --email and --role"},
		{"user add --name Ann --email ann@vendor.example", "needs --name, --email and --role"},
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
		{"backup restore --json", "goes with --account"},
		{"backup now --dry-run", "now takes no --dry-run"},
		{"key rotate --reason lost --out escrow", "rotate takes no --out"},
		{"key rotate all --reason lost", "say one of escrow"},
		{"user list --role admin", "list takes no --role"},
		{"user add --csv staff.csv --role admin", "--csv goes without --role"},
		{"report contacts --from 2022-04-05", "contacts takes no --from"},
		{"token issue --role admin --name Ann --ttl 0", "--ttl is a time such as 8h"},
		{"token issue --role admin --name Ann --ttl -5h", "--ttl is a time such as 8h"},
		{"token issue --role admin --name Ann --tll 5h", "defined: --tll"},
		{"token issue --role admin --name", "argument: --name"},
		{"token issue --role admin --name Ann --link=perhaps", "for --link"},
		{"doctor --seen seen.txt", "--seen goes with --watch"},
		{"doctor --watch status.example.com", "--watch is the address of the page"},
		{"doctor --watch https://status.example.com --mail-to ann@example.com", "leave --mail-to to another call"},
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

// A command that is run in the wrong place says that there was nothing, instead of answering as if nobody had an account.
func TestAStoreThatACommandMakesIsSaid(t *testing.T) {
	m := newMachine(t)
	first, again := m.must("user list"), m.must("user list")
	if !strings.Contains(first, "lifeline user add") || !strings.Contains(first, m.env["LIFELINE_DATA"]) || !strings.Contains(first, "LIFELINE_KEYS") {
		t.Error(first)
	}
	if strings.Contains(again, m.env["LIFELINE_DATA"]) {
		t.Errorf("said of a store that was there: %s", again)
	}
}

func TestTheProgramListsItsComponents(t *testing.T) {
	out := newMachine(t).must("version --components")
	if !regexp.MustCompile(`(?m)^go\.etcd\.io/bbolt v1\.\S+ h1:\S+=$`).MatchString(out) || strings.Count(out, " h1:") < 30 {
		t.Error(out)
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

// A command that has nothing to ask, because a file of its was missing, ends all the same.
func TestACommandThatAsksNothingEnds(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 200 {
			_, stop := serveHere(portal.Server(func(*fasthttp.RequestCtx) {}, log), log)
			stop()
		}
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it goes on waiting")
	}
}
