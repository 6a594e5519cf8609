package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

// zone is what the DNS says of one domain.
type zone struct {
	mx    string
	hosts map[string]string
	texts map[string]string
}

var errNoName = errors.New("no such name")

func (z zone) LookupMX(context.Context, string) ([]*net.MX, error) {
	if z.mx == "" {
		return nil, errNoName
	}
	return []*net.MX{{Host: z.mx, Pref: 10}}, nil
}

func (z zone) LookupHost(_ context.Context, host string) ([]string, error) {
	if a := z.hosts[host]; a != "" {
		return []string{a}, nil
	}
	return nil, errNoName
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if s := z.texts[name]; s != "" {
		return []string{"unrelated", s}, nil
	}
	return nil, errNoName
}

// The doctor says where customers' answers go, as far as that can be known, and what lacks.
func TestTheDoctorLooksAtInboundMail(t *testing.T) {
	own := []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.7"), Mask: net.CIDRMask(24, 32)}}
	whole := map[string]string{"vendor.example": "v=spf1 mx -all", "_dmarc.vendor.example": "v=DMARC1; p=reject"}
	for _, c := range []struct {
		what  string
		zone  zone
		level string
		says  string
		also  int // findings about records
	}{
		{"no MX", zone{texts: whole}, "bad", "names no server", 0},
		{"an MX that is nowhere", zone{mx: "mx.vendor.example.", texts: whole}, "bad", "has no address", 0},
		{"here", zone{mx: "mx.vendor.example.", hosts: map[string]string{"mx.vendor.example": "192.0.2.7"}, texts: whole}, "ok", "is this machine", 0},
		{"elsewhere", zone{mx: "mx.other.example.", hosts: map[string]string{"mx.other.example": "192.0.2.9"}, texts: whole}, "ok", "cannot be seen from here", 0},
		{"no records", zone{mx: "mx.vendor.example.", hosts: map[string]string{"mx.vendor.example": "192.0.2.7"}}, "ok", "is this machine", 2},
	} {
		d := &doctor{}
		d.mailRecords(t.Context(), c.zone, "vendor.example", own)
		if len(d.found) != 1+c.also || d.found[0].Level != c.level || !strings.Contains(d.found[0].Says, c.says) {
			t.Errorf("%s: %+v", c.what, d.found)
		}
	}
	off := &doctor{cfg: config{values: map[string]string{}}}
	if off.inbound(t.Context()); len(off.found) != 1 || off.found[0].Level != "warning" || !strings.Contains(off.found[0].Do, "LIFELINE_INBOUND") {
		t.Errorf("%+v", off.found)
	}
}
