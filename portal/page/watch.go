package page

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Watch looks at a static page from outside, as a reader gets it. It needs no key but the public one, which Valid knows.
type Watch struct {
	URL    string // of the directory that holds manifest.json
	Client *http.Client
	Valid  func(manifest, signature []byte) bool
	Now    func() time.Time
}

// What a watch finds wrong; each is wrapped with what was seen.
var (
	ErrUnsigned = errors.New("the list of files is not signed by our key")
	ErrAltered  = errors.New("a file is not as listed")
	ErrOldPage  = errors.New("the page is an older one than was seen before")
	ErrUnkept   = errors.New("nobody writes the page any more")
)

// Look reads the manifest, its signature and the files, and joins everything that is wrong with them; seen is the number of the newest release
// that was seen before, 0 for none. Of a manifest whose signature is wrong nothing else is believed.
func (w Watch) Look(ctx context.Context, seen int) (m Manifest, err error) {
	list, err := w.get(ctx, manifest, mostManifest)
	if err != nil {
		return m, err
	}
	signature, err := w.get(ctx, signed, 1<<10)
	if err != nil {
		return m, errors.Join(ErrUnsigned, err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signature)))
	if err != nil || !w.Valid(list, raw) {
		return m, ErrUnsigned
	}
	if err := json.Unmarshal(list, &m); err != nil {
		return m, fmt.Errorf("read the list of files: %w", err)
	}
	var wrong []error
	if m.Release < seen {
		wrong = append(wrong, fmt.Errorf("%w: number %d after %d", ErrOldPage, m.Release, seen))
	}
	if age := w.Now().Sub(m.Written).Truncate(time.Second); age > 3*Refresh {
		wrong = append(wrong, fmt.Errorf("%w: the last time was %s ago", ErrUnkept, age))
	}
	looked := 0
	for _, f := range m.Files {
		if strings.HasSuffix(f.Path, ".gz") || strings.HasSuffix(f.Path, ".br") || looked == mostLooked {
			continue // the server may send either coding of a file, and what it sends is its own affair
		}
		looked++
		body, err := w.get(ctx, f.Path, int64(f.Bytes)+1)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != f.SHA256 {
			wrong = append(wrong, fmt.Errorf("%w: %s", ErrAltered, f.Path))
		}
	}
	return m, errors.Join(wrong...)
}

const (
	mostManifest = 8 << 20
	mostLooked   = 500 // files of one look
)

func (w Watch) get(ctx context.Context, name string, most int64) ([]byte, error) {
	at := strings.TrimSuffix(w.URL, "/") + "/" + strings.TrimSuffix(name, "index.html") // file servers redirect from index.html to its directory
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	res, err := w.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", at, res.Status)
	}
	return io.ReadAll(io.LimitReader(res.Body, most))
}
