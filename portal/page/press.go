package page

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/comms"
	"lifeline/portal/web"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Press renders editions and writes them as a static site. Safe for concurrent use; one rendering and one writing go on at a
// time.
type Press struct {
	Words   *templates.Set
	Vendor  templates.Vendor
	Dir     string // of the static site (LIFELINE_PAGE_DIR); "": none is written
	Log     *slog.Logger
	Look    Look                         // the vendor's own
	Now     func() time.Time             // wall time; nil: time.Now
	Senders []string                     // addresses and numbers from which messages come
	Sign    func(manifest []byte) []byte // signs what the static site holds; nil: it is not signed

	few []string // of the languages, in tests that are about something else; nil: all

	rendering sync.Mutex
	tongues   []tongue            // made at the first rendering
	languages *languages          // the same
	coders    sync.Pool           // the same
	contents  map[string]*encoded // of the last edition, by hash
	leaves    map[string]*leaf    // its pages, by path behind the language
	plains    map[string][]string // its updates as plain text, by id, in the order of the tongues
	bodies    map[wording]string  // the updates of its open incidents as pages say them
	shares    map[string]*share   // what each of its incidents gave to the answers that list many, by public id
	gone      *leaf               // what a file server says where it has no file; it never changes
	public    comms.Public        // what it was made of
	paths     int                 // that it answers
	made      settings            // by what

	writing sync.Mutex
	written *release
	onDisk  atomic.Pointer[Edition]
}

// Render makes an edition of what is public. What did not change since the edition before keeps its bytes, its tags and its
// Last-Modified. An error names the page that could not be rendered; no edition is made then.
func (p *Press) Render(public comms.Public) (*Edition, error) {
	p.rendering.Lock()
	defer p.rendering.Unlock()
	if err := p.prepare(); err != nil {
		return nil, err
	}
	run := &printing{
		press: p, public: public, security: SecurityHeaders(strings.HasPrefix(p.Vendor.URL, "https://")),
		contents: make(map[string]*encoded, len(p.contents)), leaves: make(map[string]*leaf, len(p.leaves)), plains: make(map[string][]string, len(p.plains)),
		bodies: map[wording]string{}, shares: make(map[string]*share, len(p.shares)), known: knownOf(p.public, public),
		edition: &Edition{Number: public.Edition, AsOf: public.AsOf.UTC(), Written: p.now(), docs: make(map[string]*document, p.paths), files: make([]file, 0, p.paths), languages: p.languages},
	}
	run.edition.security = run.security
	run.live, run.edition.staleAt = p.promises(public, run.edition.Written)
	if err := run.look(); err != nil {
		return nil, err
	}
	var both errgroup.Group // what people read is rendered beside what programs do
	both.Go(func() error { return inTurn(run.pages, run.verify) })
	both.Go(func() error { return inTurn(run.texts, run.retell, run.statusAPI, run.facts, run.feeds) })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	if err := inTurn(run.banners, run.away, run.badges, run.assets); err != nil {
		return nil, err
	}
	run.edition.own = run.own
	p.contents, p.leaves, p.plains, p.bodies, p.shares, p.public, p.paths = run.contents, run.leaves, run.plains, run.bodies, run.shares, public, len(run.edition.docs)
	return run.edition, nil
}

func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Press) now() time.Time {
	if p.Now != nil {
		return p.Now().UTC()
	}
	return time.Now().UTC()
}

// stale says whether the page has to be written again: a promise that it speaks of has passed, or it is old.
func (p *Press) stale(e *Edition) bool { return !e.staleAt.IsZero() && !p.now().Before(e.staleAt) }

// promises says whether the domain's clock is the reader's (a demo's is not, and its pages count no minutes), and when the page is to be
// written again even if nothing happens: when the first promised word is late, for it must say so, when planned work begins or ends, and every few
// minutes, so that whoever looks at a copy sees whether it is still being written.
func (p *Press) promises(public comms.Public, written time.Time) (live bool, staleAt time.Time) {
	if d := written.Sub(public.AsOf); d > clockSlack || d < -clockSlack {
		return false, time.Time{}
	}
	staleAt = written.Add(Refresh)
	for _, in := range public.Incidents {
		if latest := in.Newest(); latest != nil && isOpen(in) {
			if due := latest.Statement.NextUpdateBy.At; due.After(public.AsOf) && due.Before(staleAt) {
				staleAt = due
			}
		}
	}
	for _, m := range public.Plans {
		next := map[string]time.Time{comms.PlanScheduled: m.From, comms.PlanInProgress: m.Until}[m.Status]
		if next.After(public.AsOf) && next.Before(staleAt) {
			staleAt = next
		}
	}
	return true, staleAt
}

// Refresh is how often a page is written anew when nothing happens.
const Refresh = 5 * time.Minute

// clockSlack is how far the domain's clock may be from wall time and still be the same clock.
const clockSlack = 5 * time.Minute

// settings are what pages are made by beside what is public.
type settings struct {
	words   *templates.Set
	vendor  templates.Vendor
	look    Look
	senders []string
}

// prepare reads page templates once per language; every view is parsed and bound to its catalog before the first page. With other settings nothing of the edition
// before holds any more.
func (p *Press) prepare() error {
	now := settings{p.Words, p.Vendor, p.Look, p.Senders}
	if p.tongues != nil && reflect.DeepEqual(p.made, now) {
		return nil
	}
	p.contents, p.leaves, p.plains, p.bodies, p.shares, p.gone, p.public = nil, nil, nil, nil, nil, nil, comms.Public{}
	locales := p.few
	if locales == nil {
		locales = templates.Locales()
	}
	var tongues []tongue
	for _, locale := range locales {
		t := tongue{locale: locale, words: p.Words.Catalog(locale), set: p.Words, vendor: p.Vendor}
		views, err := web.Parse(template.FuncMap{
			"t":         t.words.Try,
			"moment":    t.moment,
			"said":      t.said,
			"sentences": templates.Sentences,
			"stamp":     stamp,
		}, "public_layout.html", "public_incident.html", "public_home.html", "public_history.html", "public_plan.html", "public_questions.html", "public_banner.html", "public_verify.html", "public_away.html", "icon.html", "look.html", "curve.html")
		if err != nil {
			return fmt.Errorf("read the page templates: %w", err)
		}
		t.views = views
		tongues = append(tongues, t)
	}
	if len(tongues) == 0 {
		return fault.New(fault.Internal, "there is no language to write pages in")
	}
	p.coders.New = func() any { return newCoder() }
	p.tongues, p.languages, p.made = tongues, newLanguages(locales), now
	return nil
}

// tongue is one language of the pages.
type tongue struct {
	locale string
	words  templates.Catalog
	set    *templates.Set
	vendor templates.Vendor
	views  *template.Template
}

// moment is a time as pages write it: for people, and for programs beside it.
func (t tongue) moment(at time.Time) template.HTML {
	return template.HTML(`<time datetime="` + stamp(at) + `">` + template.HTMLEscapeString(t.words.Time(at, t.vendor.Zone)) + `</time>`)
}

// said is a sentence about a moment, with the moment marked up in it.
func (t tongue) said(key string, at time.Time) (template.HTML, error) {
	const here = "\x00"
	text, err := t.words.Try(key, here)
	if err != nil {
		return "", err
	}
	before, after, _ := strings.Cut(text, here)
	return template.HTML(template.HTMLEscapeString(before)) + t.moment(at) + template.HTML(template.HTMLEscapeString(after)), nil
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// printing is one rendering under way.
type printing struct {
	press    *Press
	public   comms.Public
	security [][2]string
	live     bool
	edition  *Edition
	mu       sync.Mutex // of contents and bodies, and of what the edition has so far
	contents map[string]*encoded
	leaves   map[string]*leaf
	plains   map[string][]string
	bodies   map[wording]string
	shares   map[string]*share
	known    known
	own      Own
	preview  *Preview // nil: it is for readers
}

// leaf is one page in every language. It is never changed after it was rendered, so editions share those that say the same.
type leaf struct {
	encs       []*encoded  // in the order of the tongues
	docs       []*document // of the paths with a language
	negotiated *document   // of those without
	paths      [][]string  // by tongue
	files      []file      // of the static site
}

const (
	htmlType = "text/html; charset=utf-8"
	jsonType = "application/json; charset=utf-8"
)

// content compresses a body, or finds it among what the last edition had. Several may at a time.
func (r *printing) content(body []byte) (*encoded, error) {
	key := sumOf(body)
	return r.contentOf(key, func() (*encoded, error) {
		c := r.press.coders.Get().(*coder)
		defer r.press.coders.Put(c)
		e, err := c.encode(body, key, r.edition.Written)
		if err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
		return e, nil
	})
}

// contentOf finds a content by the hash of its bytes among what this edition or the last one has, or makes it.
func (r *printing) contentOf(key string, encode func() (*encoded, error)) (e *encoded, err error) {
	r.mu.Lock()
	e = r.contents[key]
	r.mu.Unlock()
	if e == nil {
		e = r.press.contents[key]
	}
	if e == nil {
		if e, err = encode(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contents[key] = e
	return e, nil
}

// add puts a content at the paths that answer it and into the static site under name ("" is not).
func (r *printing) add(enc *encoded, a answer, name string, paths ...string) *document {
	d := newDocument(enc, a, r.security)
	r.place(d, enc, a, name, paths...)
	return d
}

// place is add for a document that there is already.
func (r *printing) place(d *document, enc *encoded, a answer, name string, paths ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		r.edition.docs[path] = d
	}
	if name != "" {
		r.edition.files = append(r.edition.files, file{path: name, enc: enc, sent: a})
	}
}

// pages renders every HTML page in every language, and puts the negotiated paths in front of them.
func (r *printing) pages() error {
	if err := r.page("", "public_home.html", false, func(t tongue) (any, error) { return r.home(t) }); err != nil {
		return err
	}
	if err := r.page("history", "public_history.html", false, func(t tongue) (any, error) { return r.history(t) }); err != nil {
		return err
	}
	if err := r.page("questions", "public_questions.html", false, func(t tongue) (any, error) { return r.questions(t) }); err != nil {
		return err
	}
	for _, in := range r.public.Incidents {
		if !shortForm.MatchString(in.ID) {
			return fault.New(fault.Internal, "incident %q has no public id of 12 lower-case letters and digits", in.ID)
		}
		if err := r.page("incidents/"+in.ID, "public_incident.html", r.known.over[in.ID], func(t tongue) (any, error) { return r.incident(t, in) }); err != nil {
			return err
		}
	}
	return nil
}

var shortForm = regexp.MustCompile(`^[0-9a-z]{12}$`)

// page puts one page in every language in its place. rest is its path behind the language, without slashes at the ends. With same it says what it said in
// the last edition, and is taken from there.
func (r *printing) page(rest, view string, same bool, data func(tongue) (any, error)) error {
	l := r.press.leaves[rest]
	if !same || l == nil {
		var err error
		if l, err = r.render(rest, view, data); err != nil {
			return err
		}
	}
	r.leaves[rest] = l
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.press.tongues {
		r.contents[l.encs[i].hash] = l.encs[i]
		for _, path := range l.paths[i] {
			r.edition.docs[path] = l.docs[i]
		}
	}
	for _, path := range spellings("", rest) {
		r.edition.docs[path] = l.negotiated
	}
	r.edition.files = append(r.edition.files, l.files...)
	return nil
}

// render makes a page in every language, several at a time.
func (r *printing) render(rest, view string, data func(tongue) (any, error)) (*leaf, error) {
	n := len(r.press.tongues)
	l := &leaf{encs: make([]*encoded, n), docs: make([]*document, n), negotiated: &document{perLocale: make([]*document, n)}}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range r.press.tongues {
		g.Go(func() error {
			v, err := data(t)
			if err != nil {
				return fmt.Errorf("word /%s in %s: %w", rest, t.locale, err)
			}
			var b bytes.Buffer
			if was := r.press.leaves[rest]; was != nil { // it will be about as long
				b.Grow(len(was.encs[i].bytes[identityCoding]) + 4<<10)
			}
			if err := t.views.ExecuteTemplate(&b, view, v); err != nil {
				return fmt.Errorf("render /%s in %s: %w", rest, t.locale, err)
			}
			if l.encs[i], err = r.content(b.Bytes()); err != nil {
				return err
			}
			a := htmlIn(t)
			l.docs[i] = newDocument(l.encs[i], a, r.security)
			a.negotiated = true
			l.negotiated.perLocale[i] = newDocument(l.encs[i], a, r.security)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(rest+"/index.html", "/")
	for i, t := range r.press.tongues {
		l.paths = append(l.paths, spellings(t.locale, rest))
		l.files = append(l.files, file{path: t.locale + "/" + name, enc: l.encs[i], sent: htmlIn(t)})
	}
	l.files = append(l.files, file{path: name, enc: l.encs[0], sent: htmlIn(r.press.tongues[0])}) // a file server negotiates nothing: it gets the first language
	return l, nil
}

// htmlIn is how a page in a language is sent.
func htmlIn(t tongue) answer {
	return answer{contentType: htmlType, cache: cachePage, locale: t.locale}
}

// banners render what the vendor's own pages show in a frame: any site may frame it, and nothing in it can be pressed but links.
func (r *printing) banners() error {
	own := r.security
	defer func() { r.security = own }()
	r.security = Framed(own)
	return r.page("banner", "public_banner.html", false, func(t tongue) (any, error) { return r.banner(t) })
}

// away renders what a file server answers where it has no file: behind a copy nobody takes requests or subscriptions. It says the same at all times.
func (r *printing) away() error {
	l := r.press.gone
	if l == nil {
		var err error
		l, err = r.render(awayName, "public_away.html", func(t tongue) (any, error) {
			title := t.words.T("error.title")
			s := r.sheet(t, "", title+" · "+t.words.T("page.title", r.press.Vendor.Name), title)
			s.Live, s.Dated, s.Word = false, false, time.Time{}
			return s, nil
		})
		if err != nil {
			return err
		}
	}
	r.press.gone = l
	for i, t := range r.press.tongues {
		r.contents[l.encs[i].hash] = l.encs[i]
		r.edition.files = append(r.edition.files, file{path: t.locale + "/" + awayName, enc: l.encs[i], sent: htmlIn(t)})
	}
	r.edition.files = append(r.edition.files, file{path: awayName, enc: l.encs[0], sent: htmlIn(r.press.tongues[0])})
	return nil
}

// awayName is where many file servers look for it by themselves.
const awayName = "404.html"

// spellings are the paths of a page with and without its last slash: file servers redirect to the one, links name the other.
func spellings(locale, rest string) []string {
	path := "/" + strings.Trim(locale+"/"+rest, "/")
	if path == "/" {
		return []string{"/"}
	}
	return []string{path, path + "/"}
}

func (r *printing) statusAPI() error {
	first := r.press.tongues[0]
	answers := r.statusAnswers(first)
	for _, path := range slices.Sorted(maps.Keys(answers)) {
		v := answers[path]
		body, err := encodeJSON(v)
		if err != nil {
			return fmt.Errorf("render %s: %w", path, err)
		}
		enc, err := r.content(body)
		if err != nil {
			return err
		}
		r.add(enc, answer{contentType: jsonType, cache: cachePage, weak: true, cors: true}, path[1:], path)
	}
	return nil
}

func (r *printing) facts() error {
	list := []part{between(`{"items":[`)} // a factsList, of items that are written already
	for i, in := range r.public.Incidents {
		path, of := factsPath+"/"+in.ID, r.shares[in.ID]
		if of.facts == nil {
			body, err := encodeJSON(factsOf(in, r.press.Vendor))
			if err != nil {
				return fmt.Errorf("render %s: %w", path, err)
			}
			if of.facts, err = r.content(body); err != nil {
				return err
			}
			if of.item, err = r.pack(body); err != nil {
				return err
			}
			of.doc = newDocument(of.facts, factsSent, r.security)
		}
		r.carry(of.facts)
		r.place(of.doc, of.facts, factsSent, path[1:]+".json", path, path+".json")
		r.alias(of.facts, path)
		if i > 0 {
			list = append(list, between(","))
		}
		list = append(list, of.item)
	}
	all, err := r.list(append(list, between(`],"next":""}`)))
	if err != nil {
		return err
	}
	r.add(all, factsSent, factsPath[1:]+".json", factsPath+".json", factsPath)
	plans := factsPlans{Items: []factsPlan{}}
	for _, m := range r.public.Plans {
		plans.Items = append(plans.Items, factsPlanOf(m))
	}
	if err := r.json(plans, plansPath); err != nil {
		return err
	}
	if err := r.json(r.factsAnswers(), answersPath); err != nil {
		return err
	}
	enc, err := r.content(schema(r.press.Vendor))
	if err != nil {
		return err
	}
	r.add(enc, answer{contentType: jsonType, cache: cachePage, cors: true}, SchemaPath[1:], SchemaPath)
	return nil
}

// alias puts facts into the static site under another path too.
func (r *printing) alias(enc *encoded, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.edition.files = append(r.edition.files, file{path: path[1:], enc: enc, sent: factsSent})
}

// carry takes a content over that was made for an edition before.
func (r *printing) carry(enc *encoded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contents[enc.hash] = enc
}

const (
	factsPath   = "/api/v1/public/incidents"
	plansPath   = "/api/v1/public/maintenances"
	answersPath = "/api/v1/public/questions"
)

// factsSent is how all structured facts are sent.
var factsSent = answer{contentType: jsonType, cache: cachePage, cors: true, schema: SchemaPath}

// json puts facts at a path with and without their ending.
func (r *printing) json(v any, path string) error {
	body, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("render %s: %w", path, err)
	}
	enc, err := r.content(body)
	if err != nil {
		return err
	}
	r.add(enc, factsSent, path[1:]+".json", path+".json", path)
	r.alias(enc, path)
	return nil
}

// feeds makes those of every language, several at a time. Those of the first stand under its name as well, so that the address can be made from any language's.
func (r *printing) feeds() error {
	type feed struct {
		name, contentType string
		make              func(tongue, []entry) ([]part, error)
		in                tongue
		told              []entry
		enc               *encoded
	}
	var all []*feed
	for i, t := range r.press.tongues {
		told, err := r.told(i)
		if err != nil {
			return err
		}
		all = append(all, &feed{name: "/history.atom", contentType: atomType, make: r.atom, in: t, told: told}, &feed{name: "/history.rss", contentType: rssType, make: r.rss, in: t, told: told})
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range all {
		g.Go(func() error {
			parts, err := f.make(f.in, f.told)
			if err == nil {
				f.enc, err = r.list(parts)
			}
			if err != nil {
				return fmt.Errorf("render %s in %s: %w", f.name, f.in.locale, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range all {
		a := answer{contentType: f.contentType + "; charset=utf-8", cache: cachePage, locale: f.in.locale, cors: true}
		path := "/" + f.in.locale + f.name
		if r.add(f.enc, a, path[1:], path); r.branch(f.in) == "" {
			r.add(f.enc, a, f.name[1:], f.name)
		}
	}
	return nil
}

// robots keeps crawlers off what is not meant for them; the pages themselves are for everybody.
const robots = "User-agent: *\nAllow: /\nDisallow: /api/v1/\nAllow: /api/v1/public/\nDisallow: /t/\n"

func (r *printing) assets() error {
	for _, a := range web.Assets() {
		enc, err := r.content(a.Body)
		if err != nil {
			return err
		}
		r.add(enc, answer{contentType: a.Type, cache: cacheAsset}, a.Path[1:], a.Path)
		if a.Name == "favicon.svg" {
			r.add(enc, answer{contentType: a.Type, cache: cacheDay}, "favicon.svg", "/favicon.svg", "/favicon.ico")
		}
	}
	enc, err := r.content([]byte(robots))
	if err != nil {
		return err
	}
	r.add(enc, answer{contentType: "text/plain; charset=utf-8", cache: cacheDay}, "robots.txt", "/robots.txt")
	return nil
}
