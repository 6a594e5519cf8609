package page

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"lifeline/store/fault"
)

// Bucket keeps a copy of the static site in storage that speaks S3, for a CDN or a bucket that serves itself. Readers of the page never wait for it: it takes the
// edition that is shown, and whatever fails is tried again. One process may write to a prefix at a time; [Bucket.Turn] is a standing duty for that.
//
// There is no swap of a whole directory here, so what pages need is put before the pages, and the manifest when everything that it names is there. What
// the manifest before named and this one does not is removed last; assets stay, for pages that caches still hold.
type Bucket struct {
	Client  *minio.Client
	Name    string
	Prefix  string // of every name: "" or ending in a slash
	Server  *Server
	Sign    func(manifest []byte) []byte
	Trouble func(ctx context.Context, detail string) // what is wrong; "": it went well since
	Now     func() time.Time                         // nil: time.Now
	Log     *slog.Logger

	put    map[string]stored // what this process put, for storage whose tags are no digests
	held   int64             // the edition that is there, and when it was written
	heldAt time.Time
	rest   time.Time // until when nothing is tried after a failure
	failed bool
	asked  bool // whether the bucket is ours and what it holds was looked at
	number int  // of the newest manifest there
}

type stored struct{ hash, tag string }

const (
	turnTime   = 15 * time.Second // a turn ends after it and the next goes on: other duties wait for it
	turnRest   = time.Minute      // after one that failed
	atOnce     = 16               // objects under way
	cacheNever = "no-cache"

	// replicaSlack is how far apart processes render the same edition.
	replicaSlack = 5 * time.Second
)

// Turn brings the bucket up to the edition that is shown, as far as it gets in a quarter of a minute.
func (b *Bucket) Turn(ctx context.Context) error {
	e := b.Server.Shown()
	if e == nil || b.asked && b.held == e.Number && b.heldAt.Equal(e.Written) || b.now().Before(b.rest) {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	err := b.turn(short, e)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		b.rest, b.failed = b.now().Add(turnRest), true
		err = fmt.Errorf("copy the page to s3://%s/%s: %w", b.Name, b.Prefix, err)
		b.Trouble(ctx, err.Error())
		return err
	}
	if b.failed || !b.asked {
		b.Trouble(ctx, "")
		b.Log.Info("the page's copy in the bucket is up to date", "edition", e.Number)
	}
	b.held, b.heldAt, b.failed, b.asked = e.Number, e.Written, false, true
	return nil
}

func (b *Bucket) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

func (b *Bucket) turn(ctx context.Context, e *Edition) error {
	there, err := b.list(ctx)
	if err != nil {
		return err
	}
	if _, ours := there[ownerFile]; !ours && len(there) > 0 {
		return fault.BadField("LIFELINE_PAGE_BUCKET", "holds files and no %s; name an empty prefix", ownerFile)
	}
	before, err := b.manifest(ctx, there)
	if err != nil {
		return err
	}
	if before.Edition == e.Number && !before.Written.Before(e.Written.Add(-replicaSlack)) && b.whole(before, there) {
		return nil // another process put it there
	}
	if before.Edition > e.Number && b.now().Sub(before.Written) < turnRest {
		return nil // another process is ahead, and we will be there in a moment; after a restore we never would
	}
	b.number = max(b.number, before.Release)
	pieces := e.pieces()
	todo := changes(pieces, before, func(p piece) bool { return b.same(p, there[p.name]) })
	if _, ours := there[ownerFile]; !ours {
		if err := b.send(ctx, piece{name: ownerFile, body: ownedBy(), coding: identityCoding, sent: answer{contentType: jsonType, cache: cacheNever}}); err != nil {
			return err
		}
	}
	for _, batch := range todo.send {
		if err := b.sendAll(ctx, batch); err != nil {
			return err
		}
	}
	list, err := json.MarshalIndent(e.manifest(b.number+1, pieces), "", "\t")
	if err != nil {
		return err
	}
	if b.Sign != nil {
		signature := base64.StdEncoding.EncodeToString(b.Sign(list)) + "\n"
		if err := b.send(ctx, piece{name: signed, body: []byte(signature), coding: identityCoding, sent: answer{contentType: "text/plain; charset=utf-8", cache: cacheNever}}); err != nil {
			return err
		}
	}
	if err := b.send(ctx, piece{name: manifest, body: list, coding: identityCoding, sent: answer{contentType: jsonType, cache: cacheNever}}); err != nil {
		return err
	}
	b.number++
	for _, name := range todo.remove {
		if err := b.Client.RemoveObject(ctx, b.Name, b.Prefix+name, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		delete(b.put, name)
	}
	return nil
}

// list is what lies under the prefix: its tags by name.
func (b *Bucket) list(ctx context.Context) (map[string]string, error) {
	there := map[string]string{}
	for o := range b.Client.ListObjects(ctx, b.Name, minio.ListObjectsOptions{Prefix: b.Prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list it: %w", o.Err)
		}
		there[strings.TrimPrefix(o.Key, b.Prefix)] = strings.Trim(o.ETag, `"`)
	}
	return there, ctx.Err()
}

// manifest reads the list of what was put there before; without one it is empty. One that nobody can read counts as none.
func (b *Bucket) manifest(ctx context.Context, there map[string]string) (m Manifest, err error) {
	if there[manifest] == "" {
		return m, nil
	}
	o, err := b.Client.GetObject(ctx, b.Name, b.Prefix+manifest, minio.GetObjectOptions{})
	if err != nil {
		return m, fmt.Errorf("read the list of files there: %w", err)
	}
	defer o.Close()
	raw, err := io.ReadAll(io.LimitReader(o, mostManifest))
	if err != nil {
		return m, fmt.Errorf("read the list of files there: %w", err)
	}
	if json.Unmarshal(raw, &m) != nil {
		m = Manifest{}
	}
	return m, nil
}

// whole says whether everything that a manifest names is there.
func (b *Bucket) whole(m Manifest, there map[string]string) bool {
	return !slices.ContainsFunc(m.Files, func(f ManifestFile) bool { return there[f.Path] == "" })
}

// same says whether a piece lies there already. A tag is the MD5 of what was put in one part, except where storage encrypts by keys of its own: there it counts only
// for what this process put itself.
func (b *Bucket) same(p piece, tag string) bool {
	sum := md5.Sum(p.body)
	return tag != "" && (tag == hex.EncodeToString(sum[:]) || b.put[p.name] == stored{p.hash, tag})
}

// todo is what makes a bucket hold an edition: batches that are sent one behind the other, and what is removed when the manifest is there.
type todo struct {
	send   [][]piece
	remove []string
}

// changes decides what has to be done. What pages load goes before the pages.
func changes(pieces []piece, before Manifest, same func(piece) bool) (t todo) {
	t.send = make([][]piece, 2)
	names := map[string]bool{}
	for _, p := range pieces {
		names[p.name] = true
		if same(p) {
			continue
		}
		batch := 1
		if isAsset(p.name) {
			batch = 0
		}
		t.send[batch] = append(t.send[batch], p)
	}
	for _, f := range before.Files {
		if !names[f.Path] && !isAsset(f.Path) && fs.ValidPath(f.Path) {
			t.remove = append(t.remove, f.Path)
		}
	}
	return t
}

func isAsset(name string) bool { return strings.HasPrefix(name, "assets/") }

func (b *Bucket) sendAll(ctx context.Context, batch []piece) error {
	tags := make([]string, len(batch))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, p := range batch {
		g.Go(func() (err error) {
			tags[i], err = b.sendOne(ctx, p)
			return err
		})
	}
	err := g.Wait()
	if b.put == nil {
		b.put = map[string]stored{}
	}
	for i, p := range batch {
		if tags[i] != "" {
			b.put[p.name] = stored{p.hash, tags[i]}
		}
	}
	return err
}

func (b *Bucket) send(ctx context.Context, p piece) error {
	_, err := b.sendOne(ctx, p)
	return err
}

// sendOne puts one object, with the headers that a bucket or a CDN hands on to readers.
func (b *Bucket) sendOne(ctx context.Context, p piece) (tag string, err error) {
	o := minio.PutObjectOptions{ContentType: p.sent.contentType, CacheControl: p.sent.cache, ContentLanguage: p.sent.locale, SendContentMd5: true,
		DisableContentSha256: true, // else the body is signed in chunks, and some servers hand that on to readers as its encoding
	}
	if p.coding != identityCoding {
		o.ContentEncoding = tokens[p.coding]
	}
	info, err := b.Client.PutObject(ctx, b.Name, b.Prefix+p.name, bytes.NewReader(p.body), int64(len(p.body)), o)
	if err != nil {
		return "", fmt.Errorf("put %s: %w", p.name, err)
	}
	return strings.Trim(info.ETag, `"`), nil
}

// Check says whether the bucket can be read and is ours or empty, without writing.
func (b *Bucket) Check(ctx context.Context) error {
	there, err := b.list(ctx)
	if _, ours := there[ownerFile]; err == nil && !ours && len(there) > 0 {
		err = errors.New("it holds files that Lifeline did not write; name an empty prefix")
	}
	return err
}
