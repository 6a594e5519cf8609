package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/page"
)

// pageKey says which key signs the static page, for whoever watches it from outside.
func (d *doctor) pageKey() {
	key, err := auth.OpenKey(absolute(d.cfg.get("LIFELINE_KEYS")), false)
	if err != nil {
		return // the keys have a finding of their own
	}
	d.say("page", "ok", "its list of files is signed by "+base64.StdEncoding.EncodeToString(key.Public())+
		"; on a machine elsewhere: lifeline doctor --watch URL --page-key KEY --seen FILE", "")
}

// watch looks at a static page as readers get it.
func (d *doctor) watch(ctx context.Context, at, key, seenFile string) {
	public, err := d.publicKey(key)
	if err != nil {
		d.say("page", "bad", err.Error(), "give the key that lifeline doctor says beside the server: --page-key KEY")
		return
	}
	seen, err := readSeen(seenFile)
	if err != nil {
		d.say("page", "bad", err.Error(), "name a file that only this watch writes")
		return
	}
	w := page.Watch{URL: at, Client: &http.Client{Timeout: 10 * time.Second}, Now: time.Now,
		Valid: func(manifest, signature []byte) bool { return auth.CheckPage(public, manifest, signature) }}
	m, err := w.Look(ctx, seen)
	if errors.Is(err, page.ErrAltered) || errors.Is(err, page.ErrUnsigned) { // a newer page may have taken this one's place between two files
		m, err = w.Look(ctx, seen)
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			d.say("page", "bad", line, "compare "+at+" with what the server writes to LIFELINE_PAGE_DIR, and tell readers where the true page is; the server itself has no list of files, so watch the address of the copy")
		}
		return
	}
	d.say("page", "ok", fmt.Sprintf("number %d, written at %s, %d files as listed", m.Release, m.Written.Format(time.RFC3339), len(m.Files)), "")
	if seenFile != "" && m.Release > seen {
		if err := os.WriteFile(seenFile, []byte(strconv.Itoa(m.Release)+"\n"), 0o600); err != nil {
			d.say("page", "warning", err.Error(), "without it an older page that comes back is not noticed")
		}
	}
}

func (d *doctor) publicKey(given string) (ed25519.PublicKey, error) {
	if given == "" {
		key, err := auth.OpenKey(absolute(d.cfg.get("LIFELINE_KEYS")), false)
		if err != nil {
			return nil, err
		}
		return key.Public(), nil
	}
	raw, err := base64.StdEncoding.DecodeString(given)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("--page-key is not the base 64 of %d bytes", ed25519.PublicKeySize)
	}
	return raw, nil
}

func readSeen(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s holds no number", name)
	}
	return n, nil
}
