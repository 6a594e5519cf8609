package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"lifeline/store/storetest"
)

// image is what the last stage of the Dockerfile says, laid out in an empty directory.
type image struct {
	t     *testing.T
	root  string
	env   []string
	user  syscall.Credential
	start []string // ENTRYPOINT and CMD
	check []string // HEALTHCHECK
}

// layOut builds what the Dockerfile builds, and lays its last stage out as an engine would.
func layOut(t *testing.T, dockerfile string) *image {
	t.Helper()
	b, err := os.ReadFile(dockerfile)
	if err != nil {
		t.Fatal(err)
	}
	built := t.TempDir()
	m := &image{t: t, root: filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot, stage := strings.TrimSpace(string(said)), ""
	for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "FROM":
			stage = rest
		case word == "RUN" && strings.Contains(rest, "go build"):
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(rest, "/out", built))
			cmd.Dir = filepath.Dir(dockerfile)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", rest, err, out)
			}
		case stage != "scratch":
		case word == "COPY":
			m.copy(strings.Fields(rest), strings.NewReplacer("/out", built, "/usr/local/go", goroot))
		case word == "ENV":
			m.env = append(m.env, strings.Fields(rest)...)
		case word == "USER":
			m.user = m.credential(rest)
		case word == "HEALTHCHECK":
			_, says, _ := strings.Cut(rest, " CMD ")
			m.check = m.list(says)
		case word == "ENTRYPOINT" || word == "CMD":
			m.start = append(m.start, m.list(rest)...)
		}
	}
	return m
}

func (m *image) list(says string) (words []string) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(says), &words); err != nil {
		m.t.Fatalf("%s: %v", says, err)
	}
	return words
}

func (m *image) credential(says string) syscall.Credential {
	m.t.Helper()
	user, group, _ := strings.Cut(says, ":")
	uid, err := strconv.ParseUint(user, 10, 32)
	gid, err2 := strconv.ParseUint(group, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		m.t.Fatal(err)
	}
	return syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// copy is COPY: of a file, into a directory where the target ends with a slash, or of what is in a directory.
func (m *image) copy(words []string, from *strings.Replacer) {
	m.t.Helper()
	var owner *syscall.Credential
	for strings.HasPrefix(words[0], "--") {
		if says, ok := strings.CutPrefix(words[0], "--chown="); ok {
			c := m.credential(says)
			owner = &c
		}
		words = words[1:]
	}
	source, target := from.Replace(words[0]), filepath.Join(m.root, words[1])
	info, err := os.Stat(source)
	if err != nil {
		m.t.Fatal(err)
	}
	if info.IsDir() {
		source += "/."
	} else if strings.HasSuffix(words[1], "/") {
		target = filepath.Join(target, filepath.Base(source))
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", source, target).CombinedOutput(); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	if owner == nil {
		owner = &syscall.Credential{}
	}
	if err := filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(owner.Uid), int(owner.Gid)))
	}); err != nil {
		m.t.Fatal(err)
	}
}

// command is one that sees nothing but the image, and no setting but its own and those given.
func (m *image) command(words []string, settings ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = "/", append(append([]string{}, m.env...), settings...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &m.user}
	return cmd
}

// The container image holds a binary, certificates and time zones, and no shell, no passwd and no /tmp: what it starts must need nothing else, as
// nobody's user. There is no container engine here, so its last stage is laid out by what the Dockerfile says, and run in it.
func TestTheImageServesWithNothingElseInIt(t *testing.T) {
	if os.Getenv("LIFELINE_CRASH") != "1" {
		storetest.NotTested(t, "the container image", "its binary is compiled by the long form alone, make crash")
	}
	if os.Geteuid() != 0 {
		storetest.NotTested(t, "the container image", "a root directory of its own needs root")
	}
	m := layOut(t, filepath.Join("..", "..", "Dockerfile"))
	listen, ops := freeAddress(), freeAddress()
	settings := []string{"LIFELINE_LISTEN=" + listen, "LIFELINE_OPS_LISTEN=" + ops} // those of the image may be taken on this machine
	if err := m.command(m.check, settings...).Run(); err == nil {
		t.Error("the health check is content before anything serves")
	}
	for range 2 { // the second time on what the first has left
		var said bytes.Buffer
		serve := m.command(m.start, settings...)
		serve.Stdout, serve.Stderr = &said, &said
		if err := serve.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- serve.Wait() }()
		stop := func(with os.Signal) error {
			_ = serve.Process.Signal(with)
			return <-ended
		}
		within(t, "the image's health check is content", func() bool {
			select {
			case err := <-ended:
				t.Fatalf("it ended: %v: %s", err, said.String())
			default:
			}
			return m.command(m.check, settings...).Run() == nil
		})
		for _, path := range []string{"/", "/ja/", "/support", "/api/v2/summary.json"} {
			if got := status("http://" + listen + path); got != http.StatusOK {
				t.Errorf("%s is answered %d", path, got)
			}
		}
		if err := stop(syscall.SIGTERM); err != nil {
			t.Errorf("it ends with %v: %s", err, said.String())
		}
		if !strings.Contains(said.String(), "NOT SENDING") {
			t.Errorf("it says %s", said.String())
		}
	}
	for _, path := range []string{"var/lib/lifeline/data/lifeline.db", "var/lib/lifeline/keys/seal.json"} {
		info, err := os.Stat(filepath.Join(m.root, path))
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != m.user.Uid || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s belongs to %d with mode %s", path, owner.Uid, info.Mode())
		}
	}
}
