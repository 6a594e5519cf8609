package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/portal/mailin"
	"lifeline/portal/page"
	"lifeline/store"
	"lifeline/store/backup"
	"lifeline/store/fault"
	"lifeline/store/outbound"
)

// setting is one variable of the environment, also read from NAME_FILE and from the file given by --config.
type setting struct {
	name, meaning, fallback string
	secret                  bool // masked in --print-config
}

var settings = []setting{
	{"LIFELINE_DATA", "data directory: store, page", "./lifeline-data", false},
	{"LIFELINE_KEYS", "directory of the keys, mode 0700, outside the data directory", "./lifeline-keys", false},
	{"LIFELINE_LISTEN", "HTTP address", "127.0.0.1:8080", false},
	{"LIFELINE_URL", "public base URL", "", false},
	{"LIFELINE_TRUSTED_PROXIES", "addresses or networks that may set forwarding headers, separated by commas", "127.0.0.0/8,::1/128", false},
	{"LIFELINE_STORE", "bolt: or postgres://...", "bolt:", true},
	{"LIFELINE_SMTP", "mail relays, separated by spaces, or file:DIR", "", true},
	{"LIFELINE_MAIL_FROM", "sender of all mail", "", false},
	{"LIFELINE_DKIM_DOMAIN", "domain that signs mail", "", false},
	{"LIFELINE_DKIM_SELECTOR", "its selector", "", false},
	{"LIFELINE_DKIM_KEY", "its private key, PEM", "", true},
	{"LIFELINE_TWILIO", "SMS provider, or file:DIR", "", true},
	{"LIFELINE_INBOUND", "address of the SMTP listener for customers' mail and for what comes back, such as :25; empty: mail is not read", "", false},
	{"LIFELINE_OIDC", "the vendor's single sign-on for staff, beside their accounts here: https://CLIENT:SECRET@ISSUER; register LIFELINE_URL/desk/sign-in/back with it, name it in LIFELINE_ALLOW where its address is not public, and see sign_in in the policy for what its groups may", "", true},
	{"LIFELINE_SOURCE_SECRETS", "sources that sign their events and imports (Standard Webhooks): product=whsec_..., separated by spaces", "", true},
	{"LIFELINE_PULL_KEYS", "what files are fetched with: SOURCE=TOKEN, or SOURCE=KEY:SECRET for s3, separated by spaces", "", true},
	{"LIFELINE_ALLOW", "addresses or networks that are not public and may be dialled all the same, such as 10.1.0.0/16", "", false},
	{"LIFELINE_PAGE_DIR", "where the static status page is written", "", false},
	{"LIFELINE_PAGE_BUCKET", "where a copy of the static page is kept for a CDN, s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=NAME; empty: nowhere", "", true},
	{"LIFELINE_POLICY", "policy file, YAML", "", false},
	{"LIFELINE_TEMPLATES", "directory of your own words in place of ours: lifeline help words", "", false},
	{"LIFELINE_OPS_LISTEN", "metrics, health and profiles; loopback only", "127.0.0.1:9090", false},
	{"LIFELINE_VENDOR", "who speaks: the name in every message", "Lifeline", false},
	{"LIFELINE_SUPPORT_PHONE", "the number in every message at which support answers", "", false},
	{"LIFELINE_LOGO", "file with the status page's logo, SVG or PNG, at most 16 KiB", "", false},
	{"LIFELINE_COLOURS", "colours of the status page's links on light and on dark ground, such as '#0a55a8 #8fbcff'", "", false},
	{"LIFELINE_LINKS", "links at the foot of the status page: 'Name=https://...; Name=https://...'", "", false},
	{"LIFELINE_TIME_ZONE", "IANA zone that times are shown in beside UTC, such as Europe/Berlin", "", false},
	{"LIFELINE_BACKUPS", "where backups go, separated by spaces: directories, s3://KEY:SECRET@HOST/BUCKET/PREFIX?region=NAME; the first is read", "", true},
	{"LIFELINE_BACKUP_RECIPIENTS", "at least two public keys of age that can open backups; without them none are taken", "", false},
	{"LIFELINE_HEARTBEAT", "URLs of outside monitors, separated by spaces, that are asked every minute while this process is well", "", true},
	{"LIFELINE_AUDIT_SINK", "file outside the data directory to which the audit log's heads are appended; they go to the log in any case", "", false},
}

// mostName bounds the vendor's name: it stands in every subject, beside a title, and in the badge.
const mostName = 60

// config is what is in force.
type config struct {
	values  map[string]string
	policy  policy
	secrets portal.Secrets    // of sources that sign
	pulls   map[string]string // keys of sources that are fetched
	allow   []netip.Prefix    // not public, and dialled all the same
	look    page.Look         // of the status page
	single  *auth.Single      // nil: there is no single sign-on
	url     string
	trusted []*net.IPNet
}

// policy is the policy file: each room owns its section.
type policy struct {
	Contacts contacts.Policy `yaml:"contacts"`
	Comms    comms.Policy    `yaml:"comms"`
	Desk     desk.Policy     `yaml:"desk"`
	Backup   backup.Policy   `yaml:"backup"`
	Mail     mailin.Policy   `yaml:"mail"`
	SignIn   auth.Policy     `yaml:"sign_in"`
}

func (c config) get(name string) string { return c.values[name] }

// readConfig gathers the settings: the environment over NAME_FILE over the file given by --config over the defaults.
func readConfig(file string, environ func(string) (string, bool)) (config, error) {
	c := config{values: map[string]string{}}
	fromFile := map[string]string{}
	if file != "" {
		var err error
		if fromFile, err = readSettings(file); err != nil {
			return c, err
		}
	}
	for _, s := range settings {
		value, from := s.fallback, "default"
		if v, ok := fromFile[s.name]; ok {
			value, from = v, file
		}
		if path, ok := environ(s.name + "_FILE"); ok && path != "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return c, fmt.Errorf("%s_FILE: %w", s.name, err)
			}
			value, from = strings.TrimRight(string(b), "\r\n"), path
		}
		if v, ok := environ(s.name); ok && v != "" {
			value, from = v, "the environment"
		}
		if strings.ContainsRune(value, 0) {
			return c, fmt.Errorf("%s (from %s) holds a zero byte", s.name, from)
		}
		c.values[s.name] = value
	}
	return c, c.check()
}

// readSettings reads NAME=value lines; # begins a comment line.
func readSettings(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	out := map[string]string{}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !slices.ContainsFunc(settings, func(s setting) bool { return s.name == name || s.name+"_FILE" == name }) {
			return nil, fmt.Errorf("%s line %d: %q is not a setting; `lifeline serve --print-config` lists them", file, i+1, name)
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if base, isFile := strings.CutSuffix(name, "_FILE"); isFile {
			secret, err := os.ReadFile(value)
			if err != nil {
				return nil, fmt.Errorf("%s line %d: %w", file, i+1, err)
			}
			name, value = base, strings.TrimRight(string(secret), "\r\n")
		}
		out[name] = value
	}
	return out, nil
}

// check refuses wrong values by name and reason.
func (c *config) check() error {
	var bad []error
	say := func(name, format string, args ...any) { bad = append(bad, fmt.Errorf(name+": "+format, args...)) }
	if _, _, err := net.SplitHostPort(c.get("LIFELINE_LISTEN")); err != nil {
		say("LIFELINE_LISTEN", "%q is not host:port", c.get("LIFELINE_LISTEN"))
	}
	if host, _, err := net.SplitHostPort(c.get("LIFELINE_OPS_LISTEN")); err != nil || !loopback(host) {
		say("LIFELINE_OPS_LISTEN", "%q must be a loopback address and a port", c.get("LIFELINE_OPS_LISTEN"))
	}
	c.url = strings.TrimRight(c.get("LIFELINE_URL"), "/")
	if c.url == "" {
		c.url = "http://" + c.get("LIFELINE_LISTEN")
	}
	u, err := url.Parse(c.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Path != "" {
		say("LIFELINE_URL", "%q is not a base URL such as https://status.example.com", c.url)
	}
	for _, s := range strings.FieldsFunc(c.get("LIFELINE_TRUSTED_PROXIES"), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !strings.Contains(s, "/") {
			if ip, err := netip.ParseAddr(s); err == nil {
				s = netip.PrefixFrom(ip, ip.BitLen()).String()
			}
		}
		_, network, err := net.ParseCIDR(s)
		if err != nil {
			say("LIFELINE_TRUSTED_PROXIES", "%q is neither an address nor a network", s)
			continue
		}
		c.trusted = append(c.trusted, network)
	}
	data, keys := absolute(c.get("LIFELINE_DATA")), absolute(c.get("LIFELINE_KEYS"))
	if keys == data || strings.HasPrefix(keys, data+string(filepath.Separator)) {
		say("LIFELINE_KEYS", "lies in the data directory: a copy of the data would hold its own keys")
	}
	if s := c.get("LIFELINE_STORE"); s != "bolt:" && !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") {
		say("LIFELINE_STORE", "must be bolt: or postgres://...")
	}
	if c.get("LIFELINE_SMTP") != "" && !strings.HasPrefix(c.get("LIFELINE_SMTP"), "file:") && c.get("LIFELINE_MAIL_FROM") == "" {
		say("LIFELINE_MAIL_FROM", "is needed with LIFELINE_SMTP")
	}
	if inbound := c.get("LIFELINE_INBOUND"); inbound != "" {
		if _, _, err := net.SplitHostPort(inbound); err != nil {
			say("LIFELINE_INBOUND", "%q is not host:port", inbound)
		}
		if c.get("LIFELINE_MAIL_FROM") == "" {
			say("LIFELINE_MAIL_FROM", "is needed with LIFELINE_INBOUND: mail comes in at its domain")
		}
	}
	if from := c.get("LIFELINE_MAIL_FROM"); from != "" {
		if _, err := mail.ParseAddress(from); err != nil {
			say("LIFELINE_MAIL_FROM", "%q is not an address such as status@example.com or Example Status <status@example.com>", from)
		}
	}
	if _, err := c.dkim().Records(); err != nil {
		say("LIFELINE_DKIM_DOMAIN, LIFELINE_DKIM_SELECTOR, LIFELINE_DKIM_KEY", "%w", err)
	}
	if _, err := c.places(); err != nil {
		bad = append(bad, err)
	}
	if _, err := c.pageBucket(); err != nil {
		say("LIFELINE_PAGE_BUCKET", "%w", err)
	}
	if err := checkHeartbeat(c.get("LIFELINE_HEARTBEAT")); err != nil {
		say("LIFELINE_HEARTBEAT", "%w", err)
	}
	if zone := c.get("LIFELINE_TIME_ZONE"); zone != "" {
		if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
			say("LIFELINE_TIME_ZONE", "%q is no zone of the IANA database, such as Europe/Berlin", zone)
		}
	}
	if name := c.get("LIFELINE_VENDOR"); strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > mostName || strings.ContainsFunc(name, unicode.IsControl) {
		say("LIFELINE_VENDOR", "must be a name in one line of at most %d letters: it stands in every subject", mostName)
	}
	var logo []byte
	if file := c.get("LIFELINE_LOGO"); file != "" {
		if logo, err = os.ReadFile(file); err != nil {
			say("LIFELINE_LOGO", "%w", err)
		}
	}
	var look *fault.Error
	if c.look, err = page.NewLook(logo, c.get("LIFELINE_COLOURS"), c.get("LIFELINE_LINKS")); errors.As(err, &look) {
		for _, f := range look.Fields {
			say("LIFELINE_"+strings.ToUpper(f.Field), "%s", f.Reason)
		}
	}
	if phone := c.get("LIFELINE_SUPPORT_PHONE"); phone != "" {
		if _, err := contacts.ParsePhone(phone, ""); err != nil {
			say("LIFELINE_SUPPORT_PHONE", "%q is not a number such as +12025550101", phone)
		}
	}
	if c.secrets, err = portal.ParseSecrets(c.get("LIFELINE_SOURCE_SECRETS")); err != nil {
		say("LIFELINE_SOURCE_SECRETS", "%w", err)
	}
	if c.pulls, err = contacts.ParseKeys(c.get("LIFELINE_PULL_KEYS")); err != nil {
		say("LIFELINE_PULL_KEYS", "%w", err)
	}
	if c.allow, err = outbound.ParseAllow(c.get("LIFELINE_ALLOW")); err != nil {
		say("LIFELINE_ALLOW", "%w", err)
	}
	c.policy = policy{Contacts: contacts.DefaultPolicy(), Comms: comms.DefaultPolicy(), Desk: desk.DefaultPolicy(), Backup: backup.DefaultPolicy(), Mail: mailin.DefaultPolicy(), SignIn: auth.DefaultPolicy()}
	if file := c.get("LIFELINE_POLICY"); file != "" {
		if err := readPolicy(file, &c.policy); err != nil {
			say("LIFELINE_POLICY", "%w", err)
		}
	}
	if c.single, err = auth.ParseSingle(c.get("LIFELINE_OIDC")); err != nil {
		say("LIFELINE_OIDC", "%w", err)
	} else if c.single != nil {
		c.single.Policy, c.single.HTTP = c.policy.SignIn, (&outbound.Dialer{Allow: c.allow}).Client()
	}
	return errors.Join(bad...)
}

func readPolicy(file string, into *policy) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := yaml.NewDecoder(f, yaml.Strict()).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return errors.Join(into.Contacts.Check(), into.Comms.Check(), into.Desk.Check(), into.Backup.Check(), into.Mail.Check(), into.SignIn.Check())
}

// barred says why nothing may be published: real people would get links that only this machine can open.
func (c config) barred() string {
	u, err := url.Parse(c.url)
	if err != nil || !loopback(u.Hostname()) {
		return ""
	}
	for _, name := range []string{"LIFELINE_SMTP", "LIFELINE_TWILIO"} {
		for _, relay := range strings.Fields(c.get(name)) {
			if r, err := url.Parse(relay); err == nil && r.Host != "" && !loopback(r.Hostname()) {
				return fmt.Sprintf("nothing is published while LIFELINE_URL is %s and %s names a relay of the outside: every link in the messages would be dead; set LIFELINE_URL", c.url, name)
			}
		}
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// print writes what is in force, secrets masked.
func (c config) print(w io.Writer) error {
	for _, s := range settings {
		value := c.get(s.name)
		switch s.name { // what follows from another setting
		case "LIFELINE_URL":
			value = c.url
		case "LIFELINE_PAGE_DIR":
			value = c.pageDir()
		case "LIFELINE_BACKUPS":
			if value == "" {
				value = c.backupDir()
			}
		}
		if s.name == "LIFELINE_HEARTBEAT" { // its paths are as good as passwords
			words := strings.Fields(value)
			for i := range words {
				words[i] = maskPath(words[i])
			}
			value = strings.Join(words, " ")
		} else if s.secret && value != "" && value != s.fallback && !strings.HasPrefix(value, "file:") {
			value = mask(value)
		}
		if _, err := fmt.Fprintf(w, "# %s\n%s=%s\n", s.meaning, s.name, value); err != nil {
			return err
		}
	}
	return nil
}

// mask hides the password of each URL in a value, or all of a value that is none.
func mask(value string) string {
	words := strings.Fields(value)
	for i, w := range words {
		if filepath.IsAbs(w) {
			continue // a directory
		}
		u, err := url.Parse(w)
		if err != nil || u.Host == "" {
			return "(set)"
		}
		if u.User != nil {
			u.User = url.UserPassword(u.User.Username(), "xxxxx")
		}
		words[i] = u.String()
	}
	return strings.Join(words, " ")
}

func (c config) printPolicy(w io.Writer) error {
	b, err := yaml.Marshal(c.policy)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// pageDir is where the static status page is written.
func (c config) pageDir() string {
	if dir := c.get("LIFELINE_PAGE_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(absolute(c.get("LIFELINE_DATA")), "page")
}

// backupDir is where backups go when no place is named.
func (c config) backupDir() string {
	return filepath.Join(absolute(c.get("LIFELINE_DATA")), "backups")
}

// storeFile is where the embedded store lies.
func (c config) storeFile() string {
	return filepath.Join(absolute(c.get("LIFELINE_DATA")), "lifeline.db")
}

// replicas says whether other processes may have the store open: the embedded one is this process's alone.
func (c config) replicas() bool { return c.get("LIFELINE_STORE") != "bolt:" }

// haveStore says whether there is a store and keys for it, so that looking at it makes neither. A database is asked by opening it.
func (c config) haveStore() bool {
	if !store.HaveKeys(absolute(c.get("LIFELINE_KEYS"))) {
		return false
	}
	_, err := os.Stat(c.storeFile())
	return err == nil || c.replicas()
}

// dataDir makes the data directory, private to us.
func (c config) dataDir() (string, error) {
	dir := absolute(c.get("LIFELINE_DATA"))
	if err := store.MakeDir(dir); err != nil {
		return "", fmt.Errorf("LIFELINE_DATA: %w", err)
	}
	return dir, nil
}
