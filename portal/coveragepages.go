package portal

import (
	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

func (p *Portal) coveragePages() []route {
	return []route{
		{method: "GET", path: "/desk/incidents/:id/coverage", page: true, right: auth.IncidentRead, do: (*call).coveragePage},
	}
}

// coverageView is whether every affected site has somebody to tell, and who reaches the others by hand.
type coverageView struct {
	shell
	Incident incidentAnswer
	Report   comms.CoverageReport
	Loaded   bool
	Percent  int
	Gaps     []comms.Uncovered // a page of them
	Next     int               // where the next begins; 0: there is none
	Behind   bool              // others stand on a page before
	Outreach map[string]store.Rec[comms.Task]
}

// Task is who reaches an account by hand; nil: nobody has to.
func (v coverageView) Task(account string) *store.Rec[comms.Task] {
	if rec, ok := v.Outreach[account]; ok {
		return &rec
	}
	return nil
}

func (k *call) coveragePage() error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := coverageView{shell: k.shell("desk.book.coverage"), Incident: k.p.incident(rec), Loaded: rec.Value.Loaded}
	if v.Report, err = k.p.coverageLately(ctx, rec.ID); err != nil {
		return err
	}
	v.Percent = share(v.Report.Covered, v.Report.Sites) / 10
	at := offset(k.Query("from"), len(v.Report.Uncovered))
	v.Behind = at > 0
	v.Gaps = v.Report.Uncovered[at:min(len(v.Report.Uncovered), at+shownAtOnce)]
	if at+shownAtOnce < len(v.Report.Uncovered) {
		v.Next = at + shownAtOnce
	}
	accounts := make([]string, 0, len(v.Gaps))
	for _, g := range v.Gaps {
		accounts = append(accounts, g.Account)
	}
	if v.Outreach, err = k.p.Comms.OutreachOf(ctx, rec.ID, accounts); err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_coverage", v)
}
