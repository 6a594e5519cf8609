package email

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"lifeline/store/fault"
)

// Security is how a connection to a relay is protected.
type Security string

// The kinds of protection. There is no opportunistic one: a relay that stops offering TLS is a relay in trouble.
const (
	StartTLS Security = "starttls" // smtp://: TLS is demanded before anything else is said
	Implicit Security = "implicit" // smtps://: TLS from the first byte (RFC 8314)
	Plain    Security = "none"     // smtp://...?tls=none: for a relay on the same machine or a private wire
)

// Relay is one place that takes our mail: a server, or a directory when Dir is set.
type Relay struct {
	Host     string
	Port     int
	Security Security
	User     string
	Dir      string // file:DIR: messages are written there and nobody is told

	password string
}

// Addr is the address to dial.
func (r Relay) Addr() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.Port)) }

// String names the relay for people, without its password.
func (r Relay) String() string {
	if r.Dir != "" {
		return "file:" + r.Dir
	}
	return r.Addr()
}

// GoString keeps the password out of %#v.
func (r Relay) GoString() string { return "email.Relay(" + r.String() + ")" }

// redact takes the password out of what a server said, in case it repeats it.
func (r Relay) redact(s string) string {
	if r.password == "" {
		return s
	}
	return strings.ReplaceAll(s, r.password, "[password]")
}

// ParseRelay reads one entry of LIFELINE_SMTP: smtp://user:pass@host:587 (STARTTLS demanded; port 587 when none is named),
// smtps://host (TLS from the first byte; port 465), smtp://host:25?tls=none, or file:DIR. Its errors name what is wrong and
// never repeat what was given, since that may hold a password.
func ParseRelay(s string) (Relay, error) {
	if dir, ok := strings.CutPrefix(s, "file:"); ok {
		dir = strings.TrimPrefix(dir, "//")
		if dir == "" {
			return Relay{}, fault.BadField("relay", "file: needs a directory, as in file:./outbox")
		}
		return Relay{Dir: dir}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return Relay{}, fault.BadField("relay", "is not a URL; percent-encode special characters in user and password")
	}
	r := Relay{Host: u.Hostname()}
	if err := r.protect(u); err != nil {
		return Relay{}, err
	}
	if r.Host == "" {
		return Relay{}, fault.BadField("relay", "names no host, as in smtp://user:password@mail.example.com:587")
	}
	if u.Path != "" && u.Path != "/" || u.Fragment != "" || u.RawFragment != "" {
		return Relay{}, fault.BadField("relay", "has something after host and port; percent-encode / and # in the password as %%2F and %%23")
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return Relay{}, fault.BadField("relay", "has a port outside 1 to 65535")
		}
		r.Port = n
	}
	return r, r.credentials(u.User)
}

func (r *Relay) protect(u *url.URL) error {
	switch u.Scheme {
	case "smtp":
		r.Security, r.Port = StartTLS, 587
	case "smtps":
		r.Security, r.Port = Implicit, 465
	default:
		return fault.BadField("relay", "must begin with smtp://, smtps:// or file:")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fault.BadField("relay", "has a query that cannot be read; only ?tls=none is known")
	}
	for key, values := range query {
		if key != "tls" || len(values) != 1 {
			return fault.BadField("relay", "has an unknown option; only ?tls=none is known")
		}
		switch {
		case values[0] == "none" && r.Security == StartTLS:
			r.Security = Plain
		case values[0] == "none":
			return fault.BadField("relay", "asks for smtps:// and tls=none at once")
		default:
			return fault.BadField("relay", "has an unknown value of tls; leave it out for STARTTLS, or say tls=none")
		}
	}
	return nil
}

func (r *Relay) credentials(user *url.Userinfo) error {
	if user == nil {
		return nil
	}
	r.User = user.Username()
	r.password, _ = user.Password()
	if r.User == "" || r.password == "" {
		return fault.BadField("relay", "needs both user and password, or neither")
	}
	if r.Security == Plain && !loopback(r.Host) {
		return fault.BadField("relay", "would send the password in clear text; leave out tls=none or the password")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
