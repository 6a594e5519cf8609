// Package outbound is the one way out to addresses that somebody gave us: webhooks, files to import, object stores, identity providers.
//
// It dials public addresses only. A name is looked up once, every address that it has is judged, and then an address is dialled and not
// the name, so a name that points elsewhere a moment later gains nothing (DNS rebinding). Private, link-local, carrier-grade NAT,
// metadata and documentation addresses are refused in every notation that carries them: mapped, compatible, NAT64, 6to4 and Teredo.
// What an operator needs inside his own network he names in Allow. No redirect is followed and no proxy of the environment is
// used, since either would dial for us without asking.
//
// Caveats. It judges where a connection goes, not what is said over it. Mail relays and the SMS provider are the operator's own
// settings and do not come through here.
package outbound

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Limits of one exchange.
const (
	Timeout   = 10 * time.Second // for all of it, the answer's body included
	perDial   = 4 * time.Second  // for one address of several
	maxHeader = 64 << 10         // bytes of an answer's header
)

// Dialer dials public addresses. The zero value is ready for use; it is safe for concurrent use once it is.
type Dialer struct {
	Allow  []netip.Prefix                                                        // what an operator lets through although it is not public
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error) // nil: the system's
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)  // of an address that was judged; nil: the system's
}

// DialContext connects to host:port over TCP. It fails with fault.Permanent when any address of the host is not public, and says of
// what sort it is but not which, so that nobody can read our network's names from it.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fault.New(fault.Permanent, "only TCP is dialled, not %.20q", network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fault.Wrap(fault.Permanent, err, "read the address")
	}
	all, err := d.resolve(ctx, network, host)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if why := d.refuses(a); why != "" {
			return nil, fault.New(fault.Permanent, "%.100q is not dialled: it is %s; an operator can allow it", host, why)
		}
	}
	dial := d.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	for _, a := range all {
		var conn net.Conn
		try, cancel := context.WithTimeout(ctx, perDial)
		conn, err = dial(try, "tcp", net.JoinHostPort(a.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fault.Wrap(fault.Unavailable, err, "connect to %.100q", host)
}

func (d *Dialer) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	lookup := d.Lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupNetIP
	}
	all, err := lookup(ctx, strings.Replace(network, "tcp", "ip", 1), host)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "look up %.100q", host)
	}
	if len(all) == 0 {
		return nil, fault.New(fault.Unavailable, "%.100q has no address", host)
	}
	out := make([]netip.Addr, len(all))
	for i, a := range all {
		out[i] = a.Unmap()
	}
	return out, nil
}

func (d *Dialer) refuses(a netip.Addr) string {
	for _, p := range d.Allow {
		if p.Contains(a.WithZone("")) {
			return ""
		}
	}
	return NotPublic(a)
}

// Client is an HTTP client that dials through d, in ten seconds or not at all. An answer that redirects is an error.
func (d *Dialer) Client() *http.Client {
	return &http.Client{
		Timeout: Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return fault.New(fault.Permanent, "it answers with a redirect, and none is followed: give the final address")
		},
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: Timeout, ResponseHeaderTimeout: Timeout, ExpectContinueTimeout: time.Second,
			MaxResponseHeaderBytes: maxHeader, MaxIdleConns: 100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true, // a few hundred bytes can become gigabytes
		},
	}
}

// ParseAllow reads an operator's list of addresses and networks, separated by commas or spaces.
func ParseAllow(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		p, err := netip.ParsePrefix(item)
		if a, alone := netip.ParseAddr(item); err != nil && alone == nil && a.Zone() == "" {
			p, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil || p.Addr().Is4In6() {
			return nil, fault.New(fault.Invalid, "%.60q is no address and no network such as 10.1.0.0/16", item)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
