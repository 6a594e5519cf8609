package comms

import (
	"crypto/sha256"
	"encoding/base32"
	"net/url"
	"strconv"
	"strings"

	"lifeline/store/fault"
)

// deliveryKey is the parts of a delivery's id; the ids in it are suffixes.
type deliveryKey struct {
	Notice  string
	Pass    int
	Account string
	Contact string
	Channel string
	Number  int
}

func (k deliveryKey) String() string {
	return k.person() + letters[k.Channel] + "." + strconv.Itoa(k.Number)
}

// person is what the ids of all deliveries of a notice to one person begin with.
func (k deliveryKey) person() string {
	return k.account() + k.Contact + "."
}

func (k deliveryKey) account() string {
	return k.pass() + k.Account + "."
}

func (k deliveryKey) pass() string {
	return "dlv_" + k.Notice + "." + strconv.Itoa(k.Pass) + "."
}

// letters name channels in keys, in the order of their letters; n stands for no channel, where there is nobody to tell.
var letters = map[string]string{ChannelEmail: "e", ChannelSMS: "s", ChannelWebhook: "w", "": "n"}

// sendable is the channels on which addresses are told one by one, in key order; personal is those among them on which a contact can be told.
var (
	sendable = []string{ChannelEmail, ChannelSMS, ChannelWebhook}
	personal = sendable[:2]
)

func parseKey(id string) (k deliveryKey, err error) {
	bad := func() error { return fault.New(fault.NotFound, "%.120q is not the id of a delivery", id) }
	rest, ok := strings.CutPrefix(id, "dlv_")
	if !ok || strings.Count(rest, ".") != 5 {
		return k, bad()
	}
	var parts [6]string
	for i := range parts {
		parts[i], rest, _ = strings.Cut(rest, ".")
	}
	k = deliveryKey{Notice: parts[0], Account: parts[2], Contact: parts[3]}
	known := parts[4] == letters[""]
	for _, channel := range sendable {
		if parts[4] == letters[channel] {
			k.Channel, known = channel, true
		}
	}
	var err1, err2 error
	k.Pass, err1 = strconv.Atoi(parts[1])
	k.Number, err2 = strconv.Atoi(parts[5])
	if err1 != nil || err2 != nil || !known {
		return k, bad()
	}
	return k, nil
}

func pageID(noticeSuffix string, number int, channel string) string {
	const wide = "000000"
	n := strconv.Itoa(number)
	return "pag_" + noticeSuffix + "." + wide[min(len(n), len(wide)):] + n + "." + letters[channel]
}

// pageLane is where a page waits: each channel has its own queue in each lane.
func pageLane(lane, channel string) string { return lane + "." + channel }

// suffix is what stands behind an id's prefix.
func suffix(id string) string {
	_, s, _ := strings.Cut(id, "_")
	return s
}

// host is the name under which messages are made: that of the public URL.
func (r *Room) host() string {
	u, err := url.Parse(r.Vendor.URL)
	if err != nil || u.Hostname() == "" || strings.Contains(u.Hostname(), ":") {
		return "lifeline.invalid"
	}
	return u.Hostname()
}

// messageID makes an id that says nothing about the person and is the same at every try. The host is that of the public URL.
func messageID(host string, parts ...string) string {
	var room [256]byte
	all := room[:0]
	for i, p := range parts {
		if i > 0 {
			all = append(all, 0)
		}
		all = append(all, p...)
	}
	sum := sha256.Sum256(all)
	var id [26]byte
	return string(idDigits.AppendEncode(id[:0], sum[:16])) + "@" + host
}

// idDigits are base 32's in lower case.
var idDigits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
