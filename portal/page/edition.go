// Package page renders everything that strangers may read about the vendor's incidents to bytes, serves those bytes, and writes
// them as a static site that any file server can carry on with when the portal itself is gone.
//
// Rendering happens when something was published, never in a request: a request finds its bytes in a map and copies them. An
// [Edition] is complete and never changes; a new one takes its place in one step, so no reader sees half of each. When
// rendering fails, the last good edition stays. Times on pages are UTC.
package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"
)

// Edition is every public answer of one moment, as bytes. It is never changed after it was rendered.
type Edition struct {
	Number  int64     // of the store when it was read
	AsOf    time.Time // domain time of what it says
	Written time.Time // wall time of the rendering

	docs      map[string]*document // by request path
	files     []file               // what the static site holds
	staleAt   time.Time            // wall time of the next promise on it; zero: none
	languages *languages
	security  [][2]string // headers of every answer
	own       Own
}

// Own is the vendor's look on its pages, for others that stand beside them.
func (e *Edition) Own() Own { return e.own }

// Has says whether a path (such as "/en/") is one that this edition answers.
func (e *Edition) Has(path string) bool {
	_, ok := e.docs[path]
	return ok
}

// Body returns the identity bytes of a path in a locale (only the paths that are negotiated look at it), nil when there is none.
// The bytes must not be changed.
func (e *Edition) Body(path, locale string) []byte {
	d := e.docs[path]
	if d == nil {
		return nil
	}
	for i, l := range e.languages.locales {
		if d.perLocale != nil && l == locale {
			return d.perLocale[i].reps[identityCoding].body
		}
	}
	if d.perLocale != nil {
		d = d.perLocale[0]
	}
	return d.reps[identityCoding].body
}

// document is what one path answers: either one set of representations, or one per locale.
type document struct {
	reps      [codings]*representation // nil where a coding would not be smaller
	modified  time.Time
	perLocale []*document // for paths that are negotiated by language, in the order of the locales
}

func (d *document) has(c coding) bool { return d.reps[c] != nil }

// representation is one answer in one coding with its header block ready to be copied.
type representation struct {
	body []byte
	tag  []byte // the opaque part of the entity tag, with its quotes
	once sync.Once
	made *headers
	set  func() *headers
}

// headers are what stands before a body.
type headers struct {
	full fasthttp.ResponseHeader // of a 200
	bare fasthttp.ResponseHeader // of a 304: only what RFC 9110 15.4.5 asks for, as what the reader has kept holds the rest
}

// headers are made for the first who asks, and kept: of tens of thousands of answers about what is long over most are never asked for, and their headers would take more memory than
// their bodies.
func (r *representation) headers() *headers {
	r.once.Do(func() { r.made, r.set = r.set(), nil })
	return r.made
}

// file is one file of the static site.
type file struct {
	path string // relative, with slashes
	enc  *encoded
	sent answer // how it is served
}

// encoded is one content in every coding; a coding that saves nothing is nil.
type encoded struct {
	bytes    [codings][]byte
	hash     string          // of the identity bytes, hex SHA-256
	sums     [codings]string // of each coding's bytes, the same
	modified time.Time       // when this content first appeared
}

// smallestWorthCoding is the size from which compression is tried at all: below it headers and the packet cost more.
const smallestWorthCoding = 200

// coder compresses bodies, one after the other. It keeps its writers: their tables are far larger than what they compress, and
// making them anew for each page costs more than the work.
type coder struct {
	gz, gzLong *gzip.Writer
	br, brLong *brotli.Writer
	flat       *flate.Writer
}

func newCoder() *coder {
	gz, _ := gzip.NewWriterLevel(io.Discard, gzipLevel) // fails for a level that there is not
	gzLong, _ := gzip.NewWriterLevel(io.Discard, gzipLong)
	flat, _ := flate.NewWriter(io.Discard, gzipLevel)
	return &coder{flat: flat, gz: gz, gzLong: gzLong, br: brotli.NewWriterLevel(io.Discard, brotliQuality), brLong: brotli.NewWriterLevel(io.Discard, brotliLong)}
}

// encode compresses a body. The same body always gives the same bytes.
func (c *coder) encode(body []byte, hash string, modified time.Time) (*encoded, error) {
	e := &encoded{hash: hash, modified: modified.UTC().Truncate(time.Second)}
	e.bytes[identityCoding], e.sums[identityCoding] = body, hash
	if len(body) < smallestWorthCoding {
		return e, nil
	}
	var gz, br bytes.Buffer
	gzip, brotli := c.gz, c.br
	if len(body) >= long {
		gzip, brotli = c.gzLong, c.brLong
	}
	gzip.Reset(&gz)
	brotli.Reset(&br)
	for _, w := range []io.WriteCloser{gzip, brotli} {
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	if gz.Len() < len(body) {
		e.bytes[gzipCoding], e.sums[gzipCoding] = gz.Bytes(), sumOf(gz.Bytes())
	}
	if br.Len() < len(body) {
		e.bytes[brotliCoding], e.sums[brotliCoding] = br.Bytes(), sumOf(br.Bytes())
	}
	return e, nil
}

// sumOf is the SHA-256 of a content in hex.
func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Where more effort stops paying: a first load takes 0.6 % less brotli at 9 and a publishing 100 ms more, on two cores, and 1 % less gzip at 9 in more than twice
// the time.
const (
	brotliQuality = 6
	gzipLevel     = 7
)

// A body from long on is a list or a feed for programs, and most of those are made of parts (see part). The others say the same over and over, so that little effort makes nearly as little of them (of 377 KB of
// feed 5.4 KB of brotli instead of 4.8 and 7.6 KB of gzip instead of 7.1), in a third of the time.
const (
	long       = 128 << 10
	brotliLong = 1
	gzipLong   = 3
)

// answer is how a document is sent.
type answer struct {
	contentType string
	cache       string
	locale      string // Content-Language, or ""
	negotiated  bool   // by Accept-Language as well
	weak        bool   // one weak tag for all codings, as clients of the status API know it
	cors        bool   // any origin may read it
	schema      string // where it is described, or ""
}

// newDocument makes the representations of one content with their headers.
func newDocument(enc *encoded, a answer, security [][2]string) *document {
	d := &document{modified: enc.modified}
	for c := range codings {
		body := enc.bytes[c]
		if body == nil {
			continue
		}
		r := &representation{body: body, tag: []byte(entityTag(enc.hash, c, a.weak))}
		r.set = func() *headers { return r.newHeaders(c, a, enc.modified, security) }
		d.reps[c] = r
	}
	return d
}

// entityTag is the opaque part of a representation's tag. A strong tag differs between codings (RFC 9110 8.8.3.3), a weak one
// need not.
func entityTag(hash string, c coding, weak bool) string {
	tag := hash[:24]
	if !weak && c != identityCoding {
		tag += "-" + tokens[c]
	}
	return `"` + tag + `"`
}

func (r *representation) newHeaders(c coding, a answer, modified time.Time, security [][2]string) *headers {
	made := &headers{}
	full, bare := &made.full, &made.bare
	vary := "Accept-Encoding"
	if a.negotiated {
		vary += ", Accept-Language"
	}
	etag := string(r.tag)
	if a.weak {
		etag = "W/" + etag
	}
	for _, h := range []*fasthttp.ResponseHeader{full, bare} {
		h.Set("ETag", etag)
		h.Set("Cache-Control", a.cache)
		h.Set("Vary", vary)
		if a.cors { // some browsers look for it in this answer, not in the one that they kept
			h.Set("Access-Control-Allow-Origin", "*")
		}
	}
	full.Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
	if a.locale != "" {
		full.Set("Content-Language", a.locale)
	}
	if a.schema != "" {
		full.Set("Link", "<"+a.schema+`>; rel="describedby"`)
	}
	for _, kv := range security {
		full.Set(kv[0], kv[1])
	}
	full.SetStatusCode(fasthttp.StatusOK)
	full.SetContentType(a.contentType)
	if c != identityCoding {
		full.SetContentEncoding(tokens[c])
	}
	full.SetContentLength(len(r.body))
	bare.SetStatusCode(fasthttp.StatusNotModified)
	bare.SetNoDefaultContentType(true)
	return made
}
