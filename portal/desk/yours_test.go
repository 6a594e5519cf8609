package desk

import (
	"testing"

	"lifeline/comms"
)

func TestWhatSeveralIncidentsDoToOneSite(t *testing.T) {
	in := func(open, whole bool, state string) comms.Fate {
		f := comms.Fate{Open: open, Whole: whole, Sites: map[string]comms.SiteFate{"other": {State: comms.Lost}}}
		if state != "" {
			f.Sites["sit_1"] = comms.SiteFate{State: state}
		}
		return f
	}
	for name, c := range map[string]struct {
		all          []comms.Fate
		state, stage string
	}{
		"nothing goes on":                {nil, Unharmed, ""},
		"not in a whole set":             {[]comms.Fate{in(true, true, "")}, Unharmed, ""},
		"not in a set that may grow":     {[]comms.Fate{in(true, false, "")}, Unsure, ""},
		"not in a set, and it is over":   {[]comms.Fate{in(false, false, "")}, Unharmed, ""},
		"lost":                           {[]comms.Fate{in(true, false, comms.Lost)}, Impaired, StageWaiting},
		"an attempt failed":              {[]comms.Fate{in(true, true, comms.FailedSite)}, Impaired, StageRestoring},
		"checked and not handed back":    {[]comms.Fate{in(true, true, comms.Passed)}, Impaired, StageChecked},
		"handed back":                    {[]comms.Fate{in(true, true, comms.HandedBack)}, Restored, StageBack},
		"back in one, lost in the other": {[]comms.Fate{in(true, true, comms.HandedBack), in(true, true, comms.Lost)}, Impaired, StageWaiting},
		"back in one, open in the other": {[]comms.Fate{in(true, true, comms.HandedBack), in(true, false, "")}, Unsure, ""},
	} {
		if got := fateOf(c.all, "sit_1"); got.State != c.state || got.Stage != c.stage {
			t.Errorf("%s: %s %q, want %s %q", name, got.State, got.Stage, c.state, c.stage)
		}
	}
}
