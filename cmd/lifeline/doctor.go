package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/publicsuffix"

	"lifeline/comms"
	"lifeline/comms/email"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/postgres"
	"lifeline/templates"
)

func doctorCommand() command {
	return command{
		name: "doctor", args: "[--product DOMAIN] [--mail-to ADDRESS] | --watch URL --page-key KEY", short: "say what would fail on the worst day, and what to do about it",
		long: `Looks at keys and their escrow, backups, audit log, disk, clock, database settings, mail and SMS, your own words, what is not encrypted, and at what
shares fate with the product: with --product DOMAIN it says which of our addresses lie under that domain. Each finding says what to do.
With --mail-to ADDRESS it sends that address one mail through each relay by itself, and holds SPF, DMARC and the published DKIM keys against
what we send with: run it before the day, and read what the receiver made of the mail.
Exit status 0: nothing is wrong; 1: something is. Works whether or not the server is running.

With --watch it looks at nothing but the static page at URL, as readers get it: that its list of files is signed by our key, that every file is as
listed, that it is still being written, and with --seen FILE that it never goes back to an older one. That needs neither data nor keys, so let a
machine elsewhere do it every few minutes; lifeline doctor beside the server says the key.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("json", false, "answer as JSON")
			fs.String("product", "", "`domain` of the product that this portal must outlive")
			fs.String("mail-to", "", "`address` that gets a test mail through each relay")
			fs.String("watch", "", "`URL` of the static page to look at from outside")
			fs.String("page-key", "", "public `key` that signs the page, in base 64; without it the one in LIFELINE_KEYS")
			fs.String("seen", "", "`file` that keeps the number of the newest page seen")
		},
		bare: true,
		run:  runDoctor,
	}
}

// finding is one thing that the doctor looked at.
type finding struct {
	What  string `json:"what"`
	Level string `json:"level"` // ok, warning, bad
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

type doctor struct {
	cfg   config
	found []finding
}

func (d *doctor) say(what, level, says, do string) {
	if f := (finding{what, level, says, do}); !slices.Contains(d.found, f) {
		d.found = append(d.found, f)
	}
}

func runDoctor(ctx context.Context, e env, fs *flag.FlagSet) error {
	if err := doctorUse(fs); err != nil {
		return err
	}
	cfg, err := readConfig(text(fs, "config"), e.environ)
	if err != nil {
		return err
	}
	d := &doctor{cfg: cfg}
	if at := text(fs, "watch"); at != "" {
		d.watch(ctx, at, text(fs, "page-key"), text(fs, "seen"))
	} else {
		d.all(ctx, e, text(fs, "product"))
		if to := text(fs, "mail-to"); to != "" {
			d.mailChain(ctx, net.DefaultResolver, to)
		}
	}
	return d.tell(e, text(fs, "json") == "true")
}

// doctorUse refuses flags that would go unheard: --watch is a call of its own.
func doctorUse(fs *flag.FlagSet) error {
	at := text(fs, "watch")
	wrong := func(format string, args ...any) error { return usage{fmt.Sprintf("doctor: "+format, args...)} }
	if other := given(fs, "product", "mail-to"); at != "" && other != "" {
		return wrong("--watch looks at the page alone, so leave --%s to another call", other)
	}
	if of := given(fs, "page-key", "seen"); at == "" && of != "" {
		return wrong("--%s goes with --watch", of)
	}
	if u, err := url.Parse(at); at != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return wrong("--watch is the address of the page, such as https://status.example.com, not %q", at)
	}
	return nil
}

func (d *doctor) all(ctx context.Context, e env, product string) {
	d.keys()
	d.store(ctx, e)
	d.backupAge(ctx)
	d.drills()
	d.disk()
	d.sending()
	d.words()
	d.encryption()
	d.inbound(ctx)
	d.heartbeat()
	d.pageKey()
	d.bucket(ctx)
	d.sharedFate(product)
}

// tell prints the findings; an error says that something is wrong.
func (d *doctor) tell(e env, asJSON bool) (err error) {
	bad := slices.ContainsFunc(d.found, func(f finding) bool { return f.Level != "ok" })
	if asJSON {
		err = printJSON(e, d.found)
	} else {
		for _, f := range d.found {
			fmt.Fprintf(e.stdout, "%-8s %-12s %s\n", f.Level, f.What, f.Says)
			if f.Do != "" {
				fmt.Fprintf(e.stdout, "%-8s %-12s -> %s\n", "", "", f.Do)
			}
		}
	}
	if bad && err == nil {
		err = errors.New("something needs care")
	}
	return err
}

func (d *doctor) keys() {
	dir := absolute(d.cfg.get("LIFELINE_KEYS"))
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.say("keys", "bad", "there are none at "+dir, "start the server once on an empty store, or put the directory back from escrow")
		return
	case err != nil:
		d.say("keys", "bad", err.Error(), "make the directory readable for the server's user")
		return
	case info.Mode().Perm() != 0o700:
		d.say("keys", "bad", fmt.Sprintf("%s has mode %04o", dir, info.Mode().Perm()), "chmod 0700 "+dir)
		return
	}
	d.say("keys", "ok", "they lie at "+dir+", for their owner alone", "")
	if data := absolute(d.cfg.get("LIFELINE_DATA")); sameDevice(dir, data) {
		d.say("keys", "warning", "they lie on the same disk as the data", "keep an escrowed copy elsewhere (lifeline key escrow): a lost disk takes both")
	}
}

// words tries the operator's own words as the next start would: with a server running they were read at its start, and may have changed since.
func (d *doctor) words() {
	dir := d.cfg.get("LIFELINE_TEMPLATES")
	if dir == "" {
		return
	}
	set, err := templates.Load(dir)
	if err != nil {
		d.say("words", "bad", err.Error(), "mend it: the server does not start with it (docs/words.md)")
		return
	}
	d.say("words", "ok", fmt.Sprintf("%d of your own files are used in place of ours, and each message can be made of them", len(set.Own())), "")
}

func sameDevice(a, b string) bool {
	var x, y syscall.Stat_t
	return syscall.Stat(a, &x) == nil && syscall.Stat(b, &y) == nil && x.Dev == y.Dev
}

// store asks the store itself, by the running server or in this process.
func (d *doctor) store(ctx context.Context, e env) {
	if !d.cfg.haveStore() { // opening would make one
		d.say("store", "bad", "there is none", "lifeline serve makes it; on a new machine first lifeline key restore, then lifeline backup restore")
		return
	}
	c, err := connect(ctx, e, d.cfg)
	if err != nil {
		d.say("store", "bad", err.Error(), "see what it says; a store that does not open serves nobody")
		return
	}
	defer c.close()
	var health storeHealth
	if err := c.call(ctx, "GET", "/api/v1/health", "", nil, &health); err != nil {
		d.say("store", "bad", err.Error(), "look at the server's log")
		return
	}
	if len(health.Unsafe) == 0 {
		d.say("store", "ok", "it opens, and commits are durable", "")
	}
	for _, why := range health.Unsafe {
		d.say("store", "bad", why, "an acknowledged write could be lost: change the database's settings")
	}
	if health.Alone != "" {
		d.say("replication", "bad", health.Alone, "add a standby and set synchronous_standby_names, on a promoted one as well")
	}
	if health.Page != "" {
		d.say("page", "bad", "it is not up to date: "+health.Page, "let the server's user write to "+d.cfg.pageDir()+" (LIFELINE_PAGE_DIR), and make room there")
	}
	if m := health.Mail; m.People > m.Supports {
		d.say("mail volume", "warning", fmt.Sprintf("%d people are reached by mail; the most that was sent in one of the last 30 days is %d, which supports a broadcast to %d (ten times as many, at least 500)", m.People, m.LargestDay, m.Supports),
			"let the confirmation campaign run (comms.confirm), or warm the relay up; receivers hold back what leaps")
	} else {
		d.say("mail volume", "ok", fmt.Sprintf("what was sent lately supports a broadcast to %d people; %d are reached by mail", m.Supports, m.People), "")
	}
	d.waysIn(health.SignIn)
	for _, n := range health.Nobody {
		d.say("policy", "warning", nobody(n), "name an account that is open ("+named(n)+"), or make hers: lifeline user add")
	}
	if health.Held != "" {
		d.say("sending", "bad", "held: "+health.Held, "look at what waits, then: lifeline backup release --reason ...")
	}
	current := 0
	for _, cu := range health.Keys.Custodians {
		if cu.Current {
			current++
		}
	}
	if current < 2 {
		d.say("escrow", "bad", fmt.Sprintf("%d custodians have proved that they can open the keys in use, two must", current), "lifeline key escrow, then lifeline key prove by each")
	} else {
		d.say("escrow", "ok", fmt.Sprintf("%d custodians can open the keys", current), "")
	}
	d.journal(health.Journal)
	switch a := health.Audit; {
	case len(a.Flaws) > 0:
		d.say("audit log", "bad", fmt.Sprintf("%d flaws, the first: %s", len(a.Flaws)+a.More, a.Flaws[0].Why), "somebody changed the record: keep a copy of everything and find out who")
	case a.Waits > 0 && time.Since(a.Oldest) > time.Minute:
		d.say("audit log", "warning", fmt.Sprintf("%d rows wait to be chained, the oldest since %s", a.Waits, a.Oldest.UTC().Format(time.RFC3339)), "is no server running?")
	default:
		d.say("audit log", "ok", fmt.Sprintf("%d rows, whole; compared with %d heads kept outside", a.Rows, a.Known), "")
	}
	if skew := time.Since(health.Now).Abs(); skew > 2*time.Second {
		d.say("clock", "bad", fmt.Sprintf("the store's clock and this machine's differ by %s", skew.Round(time.Millisecond)), "let both follow a time server")
	} else {
		d.say("clock", "ok", "within 2 s of the store's", "")
	}
}

// nobody says of somebody whom the policy names that she is not here.
func nobody(n comms.Named) string {
	return fmt.Sprintf("%s names %q, who has no open account", n.Field, n.Person)
}

func named(n comms.Named) string {
	if n.ID {
		return "by its id"
	}
	return "by its id, name or e-mail address"
}

// journal says what would not hold after this machine was lost.
func (d *doctor) journal(j store.JournalState) {
	switch {
	case d.cfg.get("LIFELINE_BACKUP_RECIPIENTS") == "": // there are no backups that it could be behind
	case j.Waiting > 0 && time.Since(j.Since) > journalLate:
		d.say("journal", "bad", fmt.Sprintf("%d opt-outs, revocations and the like since %s are on this machine alone", j.Waiting, j.Since.UTC().Format(time.RFC3339)), "is a server running, and does the first place of LIFELINE_BACKUPS take files?")
	default:
		d.say("journal", "ok", fmt.Sprintf("%d opt-outs, revocations and the like wait to be brought out; it takes seconds", j.Waiting), "")
	}
	if j.Missing > 0 {
		d.say("journal", "warning", fmt.Sprintf("%d of them found nobody to hold for after the restore, the first: %s", j.Missing, j.First), "import the contacts that are missing again; they are then told apart by their address")
	}
}

// waysIn says who would be kept out while single sign-on is down, as it may be together with the product.
func (d *doctor) waysIn(n auth.WaysIn) {
	switch {
	case n.Single > 0:
		d.say("sign-in", "warning", fmt.Sprintf("%d of %d people sign in by single sign-on alone: while it is down they are kept out, and they approve nothing", n.Single, n.Own+n.Single),
			"give those who must work on that day a link to enrol (their page under Staff): a password and second factor of their own")
	case n.Own == 0 && d.cfg.single != nil:
		d.say("sign-in", "bad", "single sign-on is set, and nobody has an account of her own", "lifeline user add, before it is needed")
	case n.Own == 0:
		d.say("sign-in", "bad", "nobody has an account, so nobody could work on that day", "lifeline user add, or the link that serve prints at its first start")
	default:
		d.say("sign-in", "ok", fmt.Sprintf("%d people sign in with a password and second factor that need no other system", n.Own), "")
	}
}

// drills says whether restoring was rehearsed lately, and went well.
func (d *doctor) drills() {
	const do = "lifeline backup drill, and read docs/restore.md with who would do it"
	last, err := backup.LastDrill(filepath.Join(absolute(d.cfg.get("LIFELINE_DATA")), "drills"))
	switch age := time.Since(last.At); {
	case err != nil:
		d.say("drill", "warning", "no restore drill that passed is on record here", do)
	case age > d.cfg.policy.Backup.Drill:
		d.say("drill", "bad", fmt.Sprintf("the last one that passed was on %s: the review is overdue", last.At.UTC().Format(time.DateOnly)), do)
	default:
		d.say("drill", "ok", fmt.Sprintf("passed on %s: RPO %s, RTO %s", last.At.UTC().Format(time.DateOnly), last.RPO.Round(time.Second), last.RTO.Round(time.Millisecond)), "")
	}
}

// neededKeys says whether a key that a backup needs is gone.
func (d *doctor) neededKeys(ctx context.Context, shelf backup.Shelf) {
	entries, err := shelf.List(ctx)
	if err != nil {
		return // said already
	}
	keys, err := store.OpenKeys(absolute(d.cfg.get("LIFELINE_KEYS")), false)
	if err != nil {
		d.say("keys", "bad", err.Error(), "put the key directory back from escrow: lifeline key restore")
		return
	}
	held := keys.Names()
	for _, name := range backup.NeededKeys(entries) {
		if !slices.Contains(held, name) {
			d.say("keys", "bad", "a kept backup needs "+name+", which is not in LIFELINE_KEYS", "put a newer copy of the directory back from escrow: lifeline key restore")
		}
	}
}

func (d *doctor) backupAge(ctx context.Context) {
	if d.cfg.get("LIFELINE_BACKUP_RECIPIENTS") == "" {
		d.say("backup", "bad", "none are taken", "set LIFELINE_BACKUP_RECIPIENTS to the public keys of at least two people (age-keygen)")
		return
	}
	places, err := d.cfg.places()
	if err != nil {
		d.say("backup", "bad", err.Error(), "mend LIFELINE_BACKUPS")
		return
	}
	signer, err := d.cfg.signer()
	if err != nil {
		d.say("backup", "bad", err.Error(), "lifeline backup now")
		return
	}
	d.neededKeys(ctx, backup.Shelf{Place: places[0], Trusted: signer.Public().(ed25519.PublicKey)})
	if len(places) == 1 {
		d.say("backup", "warning", "there is one place only", "name a second one in LIFELINE_BACKUPS, in another building")
	}
	for _, p := range places {
		newest, err := backup.Shelf{Place: p, Trusted: signer.Public().(ed25519.PublicKey)}.Find(ctx, time.Time{})
		switch {
		case err != nil:
			d.say("backup", "bad", fmt.Sprintf("%s: %v", p, err), "lifeline backup now")
		case newest.Flaw != "":
			d.say("backup", "bad", fmt.Sprintf("%s, %s: %s", p, newest.Name(), newest.Flaw), "lifeline backup verify")
		case newest.Frozen != "":
			d.say("backup", "bad", fmt.Sprintf("%s, %s: %s", p, newest.Name(), newest.Frozen), "find out what removed the records, for nothing old is removed until somebody has; if it was right: "+thawCommand)
		default:
			d.say("backup", "ok", fmt.Sprintf("%s holds %s of %s", p, newest.Name(), newest.Taken.UTC().Format("2006-01-02 15:04 UTC")), "")
		}
	}
}

// bucket says whether the page's copy can be kept where it is to be.
func (d *doctor) bucket(ctx context.Context) {
	b, err := d.cfg.pageBucket()
	if err == nil && b == nil {
		return
	}
	if err == nil {
		err = b.Check(ctx)
	}
	if err != nil {
		d.say("page bucket", "bad", err.Error(), "mend LIFELINE_PAGE_BUCKET: its key needs to list, get, put and delete")
		return
	}
	d.say("page bucket", "ok", fmt.Sprintf("s3://%s/%s can be read and is ours; lifeline doctor --watch URL holds what readers get against the key", b.Name, b.Prefix), "")
}

func (d *doctor) disk() {
	says, short := room(absolute(d.cfg.get("LIFELINE_DATA")))
	if short {
		d.say("disk", "bad", says, "make room: once it is full nothing is kept, and nothing sent that could not be recorded")
		return
	}
	d.say("disk", "ok", says, "")
}

func (d *doctor) sending() {
	if why := d.cfg.barred(); why != "" {
		d.say("sending", "bad", why, "")
	}
	for _, c := range []struct{ name, setting string }{{"e-mail", "LIFELINE_SMTP"}, {"SMS", "LIFELINE_TWILIO"}} {
		switch value := d.cfg.get(c.setting); {
		case value == "":
			d.say(c.name, "bad", "nobody is told by "+c.name, "set "+c.setting)
		case strings.HasPrefix(value, "file:"):
			d.say(c.name, "bad", c.name+" is written to files; nobody is told", "set "+c.setting+" to a relay")
		case c.name == "e-mail" && len(strings.Fields(value)) < 2:
			d.say(c.name, "warning", "there is one relay only", "name a second one, of another provider, behind the first")
		default:
			d.say(c.name, "ok", "is set", "")
		}
	}
	if len(d.cfg.policy.Comms.Ladders) == 0 {
		d.say("alarms", "bad", "a deadline that passes tells nobody", "name people in the policy's comms.ladders: next_update, full_scope, second_reading, first_answer")
	}
	if d.cfg.get("LIFELINE_SMTP") != "" && d.cfg.get("LIFELINE_DKIM_DOMAIN") == "" {
		d.say("e-mail", "warning", "mail is not signed by us", "set LIFELINE_DKIM_DOMAIN, _SELECTOR and _KEY, unless the relay signs for the domain of LIFELINE_MAIL_FROM")
	}
}

// encryption names what would go in clear text over a network that others can read.
func (d *doctor) encryption() {
	before := len(d.found)
	if u, err := url.Parse(d.cfg.url); err == nil && u.Scheme != "https" && !loopback(u.Hostname()) {
		d.say("encryption", "bad", d.cfg.url+" is not encrypted: passwords, codes and tickets can be read on the way", "put a proxy with a certificate in front, and an https address into LIFELINE_URL")
	}
	for _, relay := range strings.Fields(d.cfg.get("LIFELINE_SMTP")) {
		if r, err := email.ParseRelay(relay); err == nil && r.Security == email.Plain && !loopback(r.Host) {
			d.say("encryption", "warning", r.String()+" is given mail without encryption", "leave out tls=none, unless the wire to it is yours alone")
		}
	}
	for _, host := range postgres.Readable(d.cfg.get("LIFELINE_STORE")) {
		d.say("encryption", "warning", "what goes to the database at "+host+" can be read on the way, or that machine can be another", "sslmode=verify-full in LIFELINE_STORE, unless the wire to it is yours alone")
	}
	if len(d.found) == before {
		d.say("encryption", "ok", "the address, the relays and the database are spoken to with encryption, or on this machine", "")
	}
}

func (d *doctor) heartbeat() {
	if d.cfg.get("LIFELINE_HEARTBEAT") == "" {
		d.say("heartbeat", "warning", "nobody outside would notice that this process is gone", "set LIFELINE_HEARTBEAT to a URL of a monitor that raises the alarm when a minute's ping is missing")
		return
	}
	d.say("heartbeat", "ok", "a monitor outside is told every minute", "")
}

// sharedFate names what goes down together with the product.
func (d *doctor) sharedFate(product string) {
	if product == "" {
		d.say("shared fate", "warning", "not looked at", "lifeline doctor --product DOMAIN says what of ours lies under the product's domain")
		return
	}
	root, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(strings.TrimSuffix(product, ".")))
	if err != nil {
		d.say("shared fate", "bad", fmt.Sprintf("%q is no domain", product), "")
		return
	}
	shares := 0
	for _, at := range d.addresses() {
		if own, err := publicsuffix.EffectiveTLDPlusOne(at.host); err == nil && own == root {
			shares++
			if at.setting == "LIFELINE_OIDC" { // the vendor's own, which is why accounts here need none
				d.say("shared fate", "warning", fmt.Sprintf("single sign-on (%s) lies under %s: when that domain is lost, staff get in by their passwords here alone", at.host, root), "see that everybody who must work then has one, and has tried it")
				continue
			}
			d.say("shared fate", "bad", fmt.Sprintf("%s (%s) lies under %s: whoever loses that domain, its DNS or its registrar loses both", at.setting, at.host, root), "use a domain of another registrar and DNS provider")
		}
	}
	if shares == 0 {
		d.say("shared fate", "ok", "none of our addresses lies under "+root, "")
	}
}

type address struct{ setting, host string }

func (d *doctor) addresses() (all []address) {
	add := func(setting, host string) {
		if host = strings.ToLower(host); host != "" && net.ParseIP(host) == nil {
			all = append(all, address{setting, host})
		}
	}
	if u, err := url.Parse(d.cfg.url); err == nil {
		add("LIFELINE_URL", u.Hostname())
	}
	for _, setting := range []string{"LIFELINE_SMTP", "LIFELINE_TWILIO", "LIFELINE_STORE", "LIFELINE_BACKUPS", "LIFELINE_PAGE_BUCKET", "LIFELINE_HEARTBEAT", "LIFELINE_OIDC"} {
		for _, word := range strings.Fields(d.cfg.get(setting)) {
			if u, err := url.Parse(word); err == nil {
				add(setting, u.Hostname())
			}
		}
	}
	if from, err := mail.ParseAddress(d.cfg.get("LIFELINE_MAIL_FROM")); err == nil {
		if _, domain, ok := strings.Cut(from.Address, "@"); ok {
			add("LIFELINE_MAIL_FROM", domain)
		}
	}
	add("LIFELINE_DKIM_DOMAIN", d.cfg.get("LIFELINE_DKIM_DOMAIN"))
	return all
}

// knownHeads reads the heads of the audit log that were kept outside the store.
func (c config) knownHeads() (heads []store.Head, err error) {
	name := c.get("LIFELINE_AUDIT_SINK")
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for dec := json.NewDecoder(f); ; {
		var h store.Head
		switch err := dec.Decode(&h); {
		case errors.Is(err, io.EOF):
			return heads, nil
		case err != nil:
			return heads, fmt.Errorf("%s, behind line %d: %w", name, len(heads), err)
		}
		heads = append(heads, h)
	}
}
