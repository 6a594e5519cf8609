package portal

import (
	"slices"
	"strings"
	"time"

	"lifeline/portal/desk"
	"lifeline/store/fault"
)

// callZones are the zones that the form for a call offers, one for each time that many people live by. A browser without scripts cannot tell its own.
var callZones = []string{
	"Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Phoenix", "America/Chicago", "America/Mexico_City", "America/New_York", "America/Toronto",
	"America/Bogota", "America/Halifax", "America/Santiago", "America/St_Johns", "America/Sao_Paulo", "America/Argentina/Buenos_Aires", "UTC", "Europe/London", "Africa/Lagos", "Europe/Berlin", "Europe/Paris",
	"Africa/Johannesburg", "Africa/Cairo", "Europe/Athens", "Europe/Istanbul", "Africa/Nairobi", "Asia/Riyadh", "Asia/Dubai", "Asia/Tehran", "Asia/Karachi", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Bangkok", "Asia/Jakarta",
	"Asia/Shanghai", "Asia/Singapore", "Asia/Manila", "Australia/Perth", "Asia/Tokyo", "Asia/Seoul", "Australia/Adelaide", "Australia/Sydney", "Australia/Brisbane", "Pacific/Auckland",
}

// homeZone is the zone that is chosen for a reader until she chooses: that of her language where it has one, else the vendor's.
func homeZone(locale, vendor string) string {
	switch {
	case locale == "ja":
		return "Asia/Tokyo"
	case locale == "zh-CN":
		return "Asia/Shanghai"
	case vendor != "":
		return vendor
	}
	return "UTC"
}

// zoneOption is a zone as the form names it: its place, and how far it is from UTC at the moment.
type zoneOption struct {
	Value, Label string
	On           bool
	off          int
}

// Zones are the zones to choose from, from west to east.
func (v ticketView) Zones() []zoneOption { return zonesAt(v.Asked, v.Call.Zone) }

// zonesAt are the zones as they are at a time, with the one that is chosen among them.
func zonesAt(now time.Time, chosen string) []zoneOption {
	names := callZones
	if !slices.Contains(names, chosen) {
		names = append(slices.Clone(names), chosen)
	}
	var all []zoneOption
	for _, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "" {
			continue
		}
		here := now.In(zone)
		_, off := here.Zone()
		place := strings.ReplaceAll(name[strings.LastIndexByte(name, '/')+1:], "_", " ")
		all = append(all, zoneOption{name, place + " (UTC" + here.Format("-07:00") + ")", name == chosen, off})
	}
	slices.SortStableFunc(all, func(a, b zoneOption) int { return a.off - b.off })
	return all
}

// callTime reads when to call: a day and an hour in a zone, ahead of now and not too far. The error names the field.
func callTime(f callForm, now time.Time) (at time.Time, err error) {
	zone, err := time.LoadLocation(f.Zone)
	if err != nil || f.Zone == "" || f.Zone == "Local" {
		return at, fault.BadField("zone", "is no time zone")
	}
	at, err = time.ParseInLocation("2006-01-02 15:04", f.Day+" "+f.Hour, zone)
	if err != nil {
		return at, fault.BadField("day", "and hour are not a date such as 2022-04-05 and a time such as 14:30")
	}
	if ahead := at.Sub(now); ahead < 0 || ahead > mostAhead {
		return at, fault.BadField("day", "is past, or more than two weeks ahead")
	}
	return at, nil
}

const mostAhead = 14 * 24 * time.Hour

// askCall asks for a call at a time.
func (k *call) askCall() error {
	v, visit, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	form := callForm{Day: strings.TrimSpace(k.FormValue("day")), Hour: strings.TrimSpace(k.FormValue("hour")), Zone: k.FormValue("zone"), Phone: k.FormValue("phone")}
	at, err := callTime(form, k.p.DB.Now())
	if err == nil {
		v, err = k.p.Desk.AskCall(k.UserContext(), v, visit, desk.CallWish{At: at, Zone: form.Zone, Phone: form.Phone})
	}
	switch fault.Of(err) {
	case "":
		return k.back(v, visit, "called")
	case fault.Invalid, fault.TooMany, fault.Unavailable, fault.Unknown:
		k.later(err)
		words := k.p.Words.Catalog(k.speaks(v))
		wrong := map[string]string{}
		for _, f := range problemOf(err).Errors {
			if key := "call.error." + f.Field; words.Has(key) {
				wrong[f.Field] = words.T(key)
			}
		}
		if len(wrong) == 0 {
			wrong["day"] = words.T("support.error.later")
		}
		return k.showTicket(problemOf(err).Status, v, visit, ticketView{Call: form, Errors: wrong})
	}
	return err
}
