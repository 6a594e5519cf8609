package page

import (
	"bytes"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Server answers GET and HEAD of public paths from the edition that is shown and hands every other request on. It stands in
// front of the portal's own handler, so that a reader's request never touches a router, a session or the store. Safe for
// concurrent use; Show may be called at any time.
//
// Range is ignored, as RFC 9110 14.2 allows: pages are small, and half a page of a moving edition is worth nothing.
type Server struct {
	Live *Live // tells open pages of new editions; nil: they ask by themselves

	shown atomic.Pointer[Edition]
}

// Show puts an edition in place of the one before, in one step, and then lets open pages know.
func (s *Server) Show(e *Edition) {
	s.shown.Store(e)
	if s.Live != nil {
		s.Live.publish(e.Number)
	}
}

// Shown is the edition that readers get now; nil before the first.
func (s *Server) Shown() *Edition { return s.shown.Load() }

// Front is the handler that answers public pages and hands the rest to next. Before the first edition everything is handed on;
// so is a GET that brings a body, whose framing next may want to refuse.
func (s *Server) Front(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if e := s.shown.Load(); e != nil && plainRead(&ctx.Request.Header) {
			if s.Live != nil && ctx.Request.Header.IsGet() && string(ctx.Request.Header.RequestURI()) == livePath {
				s.Live.join(ctx, e.security)
				return
			}
			if d := e.find(ctx); d != nil {
				d.serve(ctx, e.languages)
				return
			}
		}
		next(ctx)
	}
}

// plainRead says whether a request is a GET or HEAD without a body.
func plainRead(h *fasthttp.RequestHeader) bool {
	if !h.IsGet() && !h.IsHead() {
		return false
	}
	return h.ContentLength() <= 0 && len(h.Peek(fasthttp.HeaderTransferEncoding)) == 0
}

// find looks the raw request target up first, which needs no parsing. Targets in another spelling (absolute form, escapes,
// doubled slashes) are looked up by the path that fasthttp makes of them.
func (e *Edition) find(ctx *fasthttp.RequestCtx) *document {
	target := ctx.Request.Header.RequestURI()
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	if d, ok := e.docs[string(target)]; ok {
		return d
	}
	if len(target) > 1 && target[1] == '/' { // not a host: clients of the status API really ask for //api/v2/...
		return e.docs["/"+string(bytes.TrimLeft(target, "/"))]
	}
	return e.docs[string(ctx.Path())]
}

func (d *document) serve(ctx *fasthttp.RequestCtx, l *languages) {
	header := &ctx.Request.Header
	if d.perLocale != nil {
		d = d.perLocale[l.choose(header.Peek(fasthttp.HeaderAcceptLanguage))]
	}
	r := d.reps[chooseCoding(header.PeekAll(fasthttp.HeaderAcceptEncoding), d.has)]
	noneMatch := header.PeekAll(fasthttp.HeaderIfNoneMatch)
	var since []byte
	if len(noneMatch) == 0 { // it would not be looked at
		since = header.Peek(fasthttp.HeaderIfModifiedSince)
	}
	if notModified(noneMatch, since, r.tag, d.modified) {
		r.headers().bare.CopyTo(&ctx.Response.Header)
		return
	}
	r.headers().full.CopyTo(&ctx.Response.Header)
	ctx.Response.SetBodyRaw(r.body)
}
