package outbound

import "net/netip"

// special are the address blocks that no public service has, with what they are, from the IANA special-purpose registries
// (https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry), and the metadata services that
// clouds keep at public addresses. The first that fits names the address.
var special = []struct {
	block netip.Prefix
	is    string
}{
	{block("169.254.169.254/32"), "a metadata service"},
	{block("168.63.129.16/32"), "a metadata service"}, // Azure's
	{block("100.100.100.200/32"), "a metadata service"},
	{block("fd00:ec2::254/128"), "a metadata service"},
	{block("0.0.0.0/8"), "this host"},
	{block("10.0.0.0/8"), "a private address"},
	{block("100.64.0.0/10"), "behind carrier-grade NAT"},
	{block("127.0.0.0/8"), "a loopback address"},
	{block("169.254.0.0/16"), "a link-local address"},
	{block("172.16.0.0/12"), "a private address"},
	{block("192.0.0.0/24"), "reserved"},
	{block("192.0.2.0/24"), "for documentation"},
	{block("192.88.99.0/24"), "a 6to4 relay"},
	{block("192.168.0.0/16"), "a private address"},
	{block("198.18.0.0/15"), "for benchmarks"},
	{block("198.51.100.0/24"), "for documentation"},
	{block("203.0.113.0/24"), "for documentation"},
	{block("224.0.0.0/4"), "a multicast address"},
	{block("240.0.0.0/4"), "reserved"},
	{block("::/128"), "this host"},
	{block("::1/128"), "a loopback address"},
	{block("::/96"), "an IPv4-compatible address"},
	{block("::ffff:0:0:0/96"), "a translated address"}, // RFC 2765
	{block("64:ff9b::/96"), "a NAT64 address"},
	{block("64:ff9b:1::/48"), "a NAT64 address"},
	{block("fc00::/7"), "a private address"},
	{block("fe80::/10"), "a link-local address"},
	{block("fec0::/10"), "a site-local address"},
	{block("ff00::/8"), "a multicast address"},
	{block("2001::/32"), "a Teredo address"},
	{block("2001::/23"), "reserved"},
	{block("2001:db8::/32"), "for documentation"},
	{block("2002::/16"), "a 6to4 address"},
	{block("3fff::/20"), "for documentation"},
}

func block(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// global is the only IPv6 space that is handed out (RFC 4291 section 2.4, as IANA assigns it).
var global = block("2000::/3")

// NotPublic says of what sort an address is that nobody outside can have; "" when it is a public one.
func NotPublic(a netip.Addr) string {
	if !a.IsValid() {
		return "no address"
	}
	if a.Zone() != "" {
		return "a link-local address"
	}
	a = a.Unmap()
	for _, s := range special {
		if s.block.Contains(a) {
			return s.is
		}
	}
	if a.Is6() && !global.Contains(a) {
		return "reserved"
	}
	return ""
}
