package page

import (
	"fmt"
	"strings"

	"lifeline/comms"
)

// uptimeView is a component's record as a strip of days: good ones are the ground, and only the others are drawn.
type uptimeView struct {
	Says  string
	Text  string
	Width int
	Marks []dayMark
}

// dayMark is days of one state, as one path: taller the worse, so that colour does not carry the meaning alone.
type dayMark struct{ Tone, Path string }

// Of the strip's own units a day is this wide, and this much of it is drawn.
const (
	dayWide  = 10
	dayDrawn = 8
	dayTall  = 30
)

func (t tongue) uptime(u comms.Uptime) *uptimeView {
	if len(u.Days) == 0 {
		return nil
	}
	v := &uptimeView{Width: len(u.Days) * dayWide, Text: t.words.T("page.uptime_percent", t.words.Decimal(u.Percent))}
	paths := map[string]*strings.Builder{}
	bad := 0
	for i, d := range u.Days {
		status := componentStatus(d.Status)
		if status == "operational" {
			continue
		}
		bad++
		tone := componentTone(status)
		if paths[tone] == nil {
			paths[tone] = &strings.Builder{}
		}
		tall := map[string]int{"info": 10, "warn": 14, "bad": 22, "dire": dayTall}[tone]
		fmt.Fprintf(paths[tone], "M%d %dh%dv%dh-%dz", i*dayWide, dayTall-tall, dayDrawn, tall, dayDrawn)
	}
	for _, tone := range []string{"info", "warn", "bad", "dire"} {
		if p := paths[tone]; p != nil {
			v.Marks = append(v.Marks, dayMark{tone, p.String()})
		}
	}
	v.Says = t.words.T("page.uptime_says", bad, len(u.Days), t.words.Decimal(u.Percent))
	return v
}
