package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"lifeline/store/fault"
)

func TestAddressesThatAreNotPublic(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0": "this host", "0.1.2.3": "this host", "10.255.255.255": "private", "100.64.0.1": "carrier-grade", "100.127.255.255": "carrier-grade", "127.0.0.1": "loopback",
		"127.255.0.1": "loopback", "169.254.1.1": "link-local", "169.254.169.254": "metadata", "100.100.100.200": "metadata", "168.63.129.16": "metadata", "172.16.0.1": "private",
		"172.31.255.255": "private", "192.0.0.192": "reserved", "192.0.2.1": "documentation", "192.88.99.1": "6to4", "192.168.1.1": "private", "198.18.0.1": "benchmarks",
		"198.19.255.255": "benchmarks", "198.51.100.1": "documentation", "203.0.113.1": "documentation", "224.0.0.1": "multicast", "239.1.1.1": "multicast", "240.0.0.1": "reserved",
		"255.255.255.255": "reserved",
		"::":              "this host", "::1": "loopback", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "2606:4700::1%eth0": "link-local", "fec0::1": "site-local",
		"fc00::1": "private", "fd00:ec2::254": "metadata", "fdff::1": "private", "ff02::1": "multicast", "2001:db8::1": "documentation", "3fff::1": "documentation",
		"100::1": "reserved", "5f00::1": "reserved", "4000::1": "reserved", "2001::1": "Teredo", "2001:2::1": "reserved", "2001:1ff::1": "reserved",
		// IPv4 in every coat that carries it.
		"::ffff:127.0.0.1": "loopback", "::ffff:10.0.0.1": "private", "::ffff:169.254.169.254": "metadata", "::127.0.0.1": "compatible", "::ffff:0:127.0.0.1": "translated",
		"64:ff9b::127.0.0.1": "NAT64", "64:ff9b::8.8.8.8": "NAT64", "64:ff9b:1::a00:1": "NAT64", "2002:7f00:1::": "6to4", "2002:a00:1::1": "6to4",
		// And their public neighbours.
		"1.1.1.1": "", "9.255.255.255": "", "11.0.0.0": "", "100.63.255.255": "", "100.128.0.0": "", "126.255.255.255": "", "128.0.0.1": "", "169.253.1.1": "", "172.15.255.255": "",
		"172.32.0.0": "", "192.0.1.1": "", "192.167.1.1": "", "198.17.1.1": "", "198.20.0.1": "", "223.255.255.255": "", "168.63.129.17": "", "::ffff:8.8.8.8": "",
		"2606:4700:4700::1111": "", "2001:4860:4860::8888": "", "2a00::1": "",
	} {
		got := NotPublic(netip.MustParseAddr(address))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if NotPublic(netip.Addr{}) == "" {
		t.Error("no address is public")
	}
}

var errDialled = errors.New("dialled")

// road is a dialer whose names and connections the test makes.
func road(names map[string][]string, dialled *[]string) *Dialer {
	return &Dialer{
		Lookup: func(_ context.Context, _, host string) (all []netip.Addr, err error) {
			for _, a := range names[host] {
				all = append(all, netip.MustParseAddr(a))
			}
			return all, nil
		},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			*dialled = append(*dialled, address)
			return nil, errDialled
		},
	}
}

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	names := map[string][]string{
		"public.example": {"93.184.216.34", "2606:4700::1"}, "private.example": {"10.0.0.1"}, "mixed.example": {"93.184.216.34", "10.0.0.1"}, "mapped.example": {"::ffff:192.168.0.1"},
		"metadata.example": {"169.254.169.254"}, "nat64.example": {"64:ff9b::a00:1"}, "nowhere.example": nil, "localhost": {"127.0.0.1", "::1"}, "zero.example": {"0.0.0.0"},
		// What some resolvers make of numbers that are no addresses.
		"2130706433": {"127.0.0.1"}, "0x7f.1": {"127.0.0.1"}, "127.1": {"127.0.0.1"}, "0177.0.0.1": {"127.0.0.1"},
	}
	for address, want := range map[string]string{
		"public.example:443": "93.184.216.34:443 [2606:4700::1]:443", "93.184.216.34:80": "93.184.216.34:80", "[2606:4700::1]:443": "[2606:4700::1]:443", "[::ffff:93.184.216.34]:80": "93.184.216.34:80",
		"private.example:443": "", "mixed.example:443": "", "mapped.example:443": "", "metadata.example:80": "", "nat64.example:80": "", "nowhere.example:80": "", "localhost:80": "", "zero.example:80": "",
		"2130706433:80": "", "0x7f.1:80": "", "127.1:80": "", "0177.0.0.1:80": "", "127.0.0.1:80": "", "0.0.0.0:80": "", "[::]:80": "", "[::1]:80": "", "[::ffff:127.0.0.1]:80": "", "[fe80::1%lo]:80": "",
		"public.example": "", ":80": "", "": "",
	} {
		var dialled []string
		_, err := road(names, &dialled).DialContext(t.Context(), "tcp", address)
		if got := strings.Join(dialled, " "); got != want {
			t.Errorf("%s: dialled %q, want %q", address, got, want)
		}
		if want == "" && (err == nil || errors.Is(err, errDialled)) || want != "" && !errors.Is(err, errDialled) {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && want == "" && strings.Contains(err.Error(), "10.0.0.1") {
			t.Errorf("%s: the refusal tells where the name leads: %v", address, err)
		}
	}
	var dialled []string
	for _, network := range []string{"udp", "unix", "tcp7", ""} {
		if _, err := road(names, &dialled).DialContext(t.Context(), network, "93.184.216.34:80"); fault.Of(err) != fault.Permanent || dialled != nil {
			t.Errorf("%s was dialled: %v", network, err)
		}
	}
}

// A name that is judged and then points elsewhere gains nothing: what was judged is dialled, and each connection is judged anew.
func TestANameThatMovesGainsNothing(t *testing.T) {
	var dialled []string
	lookups := 0
	d := road(nil, &dialled)
	d.Lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		lookups++
		if lookups == 1 {
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	if _, err := d.DialContext(t.Context(), "tcp", "moves.example:80"); !errors.Is(err, errDialled) || lookups != 1 {
		t.Errorf("%v after %d lookups", err, lookups)
	}
	if _, err := d.DialContext(t.Context(), "tcp", "moves.example:80"); fault.Of(err) != fault.Permanent {
		t.Errorf("the second time: %v", err)
	}
	if got := strings.Join(dialled, " "); got != "93.184.216.34:80" {
		t.Errorf("dialled %q", got)
	}
}

func TestAnOperatorMayAllowHisOwn(t *testing.T) {
	allow, err := ParseAllow("10.1.0.0/16, 127.0.0.1 fd00::/64\n2606:4700::1")
	if err != nil {
		t.Fatal(err)
	}
	for address, ok := range map[string]bool{
		"10.1.2.3:80": true, "[::ffff:10.1.2.3]:80": true, "10.2.0.1:80": false, "127.0.0.1:80": true, "127.0.0.2:80": false, "[fd00::5]:80": true, "[fd00:0:0:1::5]:80": false,
		"169.254.169.254:80": false, "93.184.216.34:80": true,
	} {
		var dialled []string
		d := road(nil, &dialled)
		d.Allow = allow
		if _, err := d.DialContext(t.Context(), "tcp", address); (len(dialled) == 1) != ok {
			t.Errorf("%s: %q, %v", address, dialled, err)
		}
	}
	for _, wrong := range []string{"10.0.0.0/33", "example.com", "10.0.0", "fe80::1%eth0", "::ffff:10.0.0.0/104", "1.2.3.4/8/9"} {
		if got, err := ParseAllow(wrong); fault.Of(err) != fault.Invalid {
			t.Errorf("%q: %v, %v", wrong, got, err)
		}
	}
	if got, err := ParseAllow(" "); err != nil || got != nil {
		t.Errorf("an empty list: %v, %v", got, err)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nor any proxy asked
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			_, _ = io.WriteString(w, "here")
		case "/target":
			reached.Add(1)
		default:
			http.Redirect(w, r, "/target", 307)
		}
	}))
	defer server.Close()
	client := (&Dialer{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Client()
	defer client.CloseIdleConnections()
	res, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || string(body) != "here" {
		t.Errorf("%q, %v", body, err)
	}
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequest(method, server.URL+"/away", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(req); fault.Of(err) != fault.Permanent || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("%s: %v", method, err)
		}
	}
	if reached.Load() > 0 {
		t.Error("a redirect was followed")
	}
	if _, err := (&Dialer{}).Client().Get(server.URL); fault.Of(err) != fault.Permanent {
		t.Errorf("loopback without leave: %v", err)
	}
}
