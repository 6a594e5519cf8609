package desk

import (
	"lifeline/comms"
)

// Sites is what a customer may know of her sites while an incident goes on: nothing, how many of them stand where, or each.
type Sites struct {
	Stages []Stage
	Each   []SiteStage // none: she may not know each, or there are too many of them
}

// Stage is how many sites stand somewhere, in the coarse words that customers get.
type Stage struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

// SiteStage is where one site stands.
type SiteStage struct {
	Site  string `json:"site"` // as its owner calls it
	Stage string `json:"stage"`
}

// The stageNames, in the order of a recovery.
const (
	StageWaiting   = "waiting"
	StageRestoring = "restoring"
	StageChecking  = "checking"
	StageChecked   = "checked"
	StageBack      = "back"
)

var stageNames = []string{StageWaiting, StageRestoring, StageChecking, StageChecked, StageBack}

// stageOf is the coarse stage of a state of the ledger. What did not pass its check is restored again.
func stageOf(state string) string {
	switch state {
	case comms.Restoring, comms.FailedSite:
		return StageRestoring
	case comms.Rebuilt, comms.Verifying:
		return StageChecking
	case comms.Passed:
		return StageChecked
	case comms.HandedBack:
		return StageBack
	}
	return StageWaiting
}

// staged counts places by stage. A site that is in several incidents counts once, where the newest has it.
func staged(places []comms.Place) (all []Stage, newest []comms.Place) {
	seen, n := map[string]bool{}, map[string]int{}
	for _, p := range places { // the newest incident in front
		if !seen[p.Site] {
			seen[p.Site] = true
			newest = append(newest, p)
			n[stageOf(p.State)]++
		}
	}
	for _, name := range stageNames {
		if n[name] > 0 {
			all = append(all, Stage{name, n[name]})
		}
	}
	return all, newest
}
