package portal

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
)

// sitePages are the list of affected sites and the work on it by hand: more sites are loaded, and those that are ticked or named are moved together, by the
// same rules as over the API.
func (p *Portal) sitePages() []route {
	const page = "/desk/incidents/:id/sites"
	return []route{
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.siteList(200, siteWork{}, nil) }},
		{method: "POST", path: page, page: true, right: auth.LedgerMove, do: func(k *call) error {
			moved, err := k.moveSites()
			return k.afterSites(siteWork{Moved: &moved}, err)
		}},
		{method: "POST", path: "/desk/incidents/:id/affected", page: true, right: auth.AffectedSet, do: func(k *call) error {
			loaded, err := k.loadSites()
			return k.afterSites(siteWork{Loaded: &loaded}, err)
		}},
	}
}

// siteWork is what a form on the list of sites did.
type siteWork struct {
	Moved  *comms.MoveReport
	Loaded *comms.AffectedReport
}

// Refused are the lines of a move that were not done; there are at most as many as were sent.
func (w siteWork) Refused() (bad []comms.MoveResult) {
	if w.Moved == nil {
		return nil
	}
	for _, res := range w.Moved.Results {
		if res.Result == comms.ResultRejected {
			bad = append(bad, res)
		}
	}
	return bad
}

// afterSites shows the list again, with what was done or why nothing was.
func (k *call) afterSites(did siteWork, err error) error {
	if err != nil {
		return k.siteList(problemOf(err).Status, did, err)
	}
	return k.siteList(200, did, nil)
}

// siteFields are what the form of a move says of all its sites, besides their state.
var siteFields = []string{"batch", "method", "restore_point", "note", "reason"}

// sitesTyped are the sites that are ticked, and those that are named, one to a line or apart by spaces or commas.
func (k *call) sitesTyped() (ids []string) {
	for _, id := range k.Request().PostArgs().PeekMulti("site") {
		ids = append(ids, string(id))
	}
	return append(ids, strings.FieldsFunc(k.FormValue("site_ids"), func(r rune) bool { return r == ',' || r == ';' || r <= ' ' })...)
}

// keepWork leaves in the form what is still to be done: all of it when it was refused, else the sites that were not moved.
func (v *siteListView) keepWork(k *call) {
	if v.Did.Loaded != nil && v.Flash == "" {
		return
	}
	ids := k.sitesTyped()
	if v.Did.Moved != nil && v.Flash == "" {
		ids = nil
		for _, res := range v.Did.Refused() {
			ids = append(ids, res.SiteID)
		}
		if len(ids) == 0 {
			return
		}
	}
	v.Work["site_ids"], v.Work["state"] = strings.Join(ids, "\n"), k.FormValue("state")
	for _, field := range siteFields {
		v.Work[field] = k.FormValue(field)
	}
}

func (k *call) moveSites() (comms.MoveReport, error) {
	line := comms.MoveLine{State: k.FormValue("state"), Batch: strings.TrimSpace(k.FormValue("batch")), Method: strings.TrimSpace(k.FormValue("method")),
		Note: k.FormValue("note"), Reason: k.FormValue("reason")}
	if typed := strings.TrimSpace(k.FormValue("restore_point")); typed != "" {
		at, err := time.Parse(minuteForm, typed)
		if err != nil {
			return comms.MoveReport{}, fault.BadField("restore_point", "%.40q is no time such as 2022-04-05T08:00", typed)
		}
		line.RestorePoint = &at
	}
	var lines []any
	for _, id := range k.sitesTyped() {
		line.SiteID = id
		lines = append(lines, line)
	}
	file, err := jsonLines(lines)
	if err != nil {
		return comms.MoveReport{}, err
	}
	mover := comms.Mover{By: k.person.ID, Finish: k.person.Can(auth.LedgerFinish, auth.WithReason) == nil}
	return k.p.Comms.MoveSites(k.UserContext(), mover, k.Params("id"), file)
}

func (k *call) loadSites() (comms.AffectedReport, error) {
	var lines []any
	for _, id := range k.sitesTyped() {
		lines = append(lines, map[string]string{"site_id": id})
	}
	file, err := jsonLines(lines)
	if err != nil {
		return comms.AffectedReport{}, err
	}
	return k.p.Comms.LoadAffected(k.UserContext(), k.person.ID, k.Params("id"), comms.JSONLines, file, false)
}

// jsonLines are the lines that the API takes for the same act.
func jsonLines(lines []any) (*bytes.Buffer, error) {
	if len(lines) == 0 {
		return nil, fault.BadField("site_ids", "names no site; tick sites of the list, or name them here")
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, line := range lines {
		if err := out.Encode(line); err != nil {
			return nil, err
		}
	}
	return &b, nil
}
