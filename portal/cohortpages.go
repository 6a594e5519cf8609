package portal

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
	"lifeline/templates"
)

// cohortPages are the parts of an affected set that fare otherwise than the rest, such as those with an older restore point: who is in each, how far it is, and the way to a
// word of its own.
func (p *Portal) cohortPages() []route {
	const page = "/desk/incidents/:id/cohorts"
	return []route{
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.cohortPage(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.AffectedSet, do: func(k *call) error {
			in, err := k.typedCohort()
			if err == nil {
				_, err = p.Comms.SetCohort(k.UserContext(), k.person.ID, k.Params("id"), strings.TrimSpace(k.FormValue("cohort")), in)
			}
			return k.backToCohorts(err)
		}},
		{method: "POST", path: page + "/:cohort/close", page: true, right: auth.IncidentEdit, do: func(k *call) error {
			_, err := p.Comms.CloseCohort(k.UserContext(), k.person.ID, k.Params("id"), k.Params("cohort"), k.FormValue("reason"))
			return k.backToCohorts(err)
		}},
	}
}

// typedCohort reads the form: sites one to a line or apart by spaces, the bound in hours, the time in UTC.
func (k *call) typedCohort() (in comms.CohortInput, err error) {
	in = comms.CohortInput{Name: k.FormValue("name"), Batch: strings.TrimSpace(k.FormValue("batch")), SiteIDs: strings.Fields(k.FormValue("site_ids"))}
	if typed := strings.TrimSpace(k.FormValue("at_most")); typed != "" {
		hours, err := strconv.Atoi(typed)
		if err != nil || hours < 1 || hours > 10*365*24 {
			return in, fault.BadField("at_most", "must be a whole number of hours, at least 1")
		}
		span := templates.Span(time.Duration(hours) * time.Hour)
		in.AtMost = &span
	}
	if typed := strings.TrimSpace(k.FormValue("restore_point_before")); typed != "" {
		at, err := time.Parse(minuteForm, typed)
		if err != nil {
			return in, fault.BadField("restore_point_before", "%.40q is no time such as 2022-04-05T08:00", typed)
		}
		in.RestoreBefore = &at
	}
	return in, nil
}

type cohortView struct {
	shell
	Incident incidentAnswer
	Cohorts  []comms.CohortState
	Form     map[string]string // as it was typed
	Asked    string            // the cohort whose close was refused
}

// Bound is what may be lost at most in a cohort that has a bound.
func (cohortView) Bound(c comms.CohortState) time.Duration { return time.Duration(*c.AtMost) }

func (k *call) cohortPage(status int, refused error) error {
	rec, err := k.p.Comms.Incident(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := cohortView{shell: k.shell("desk.cohorts"), Incident: k.p.incident(rec), Form: map[string]string{}}
	if refused != nil {
		v.refused(refused)
		v.Asked = k.Params("cohort")
		for _, field := range []string{"cohort", "name", "at_most", "restore_point_before", "batch", "site_ids", "reason"} {
			v.Form[field] = k.FormValue(field)
		}
	}
	if v.Cohorts, err = k.p.Comms.Cohorts(k.UserContext(), rec.ID); err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "desk_cohorts", v)
}

func (k *call) backToCohorts(err error) error {
	if err != nil {
		return k.cohortPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/incidents/"+k.Params("id")+"/cohorts", fiber.StatusSeeOther)
}
