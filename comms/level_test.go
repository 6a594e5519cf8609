package comms

import (
	"testing"

	"lifeline/store/fault"
)

// What belongs to each level ships in every language of the desk, and the operator's words take its place.
func TestLevelsShipAndAreEdited(t *testing.T) {
	p := DefaultPolicy()
	for _, level := range Severities() {
		for _, locale := range []string{"en", "zh-CN", "ja"} {
			if p.Levels[level][locale] == "" {
				t.Errorf("%s says nothing in %s", level, locale)
			}
		}
	}
	p.Levels["P3"] = map[string]string{"en": "a scratch"}
	if err := p.Check(); err != nil || p.LevelSays("P3", "ja") != "a scratch" || p.LevelSays("P0", "ja") == p.LevelSays("P0", "en") {
		t.Errorf("%q %v", p.LevelSays("P3", "ja"), err)
	}
	delete(p.Levels, "P0")
	p.Levels["P9"] = map[string]string{"en": "x"}
	if err := p.Check(); fault.Of(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
}
