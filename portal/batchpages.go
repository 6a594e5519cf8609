package portal

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
	"lifeline/templates"
)

func (p *Portal) batchPages() []route {
	const page = "/desk/incidents/:id/batches"
	return []route{
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.batchPage(200, nil) }},
		{method: "POST", path: page, page: true, right: auth.TaskWork, do: (*call).workBatch},
	}
}

// batchView is the page of an incident's batches, with the sites of one.
type batchView struct {
	shell
	crew
	Incident incidentAnswer
	Batches  []comms.BatchStand
	One      *comms.BatchStand // that was asked for
	Sites    []batchSite       // its
	Leads    bool              // she may except its sites
	Checks   bool              // she may close it
	Typed    map[string]string // of a form that was refused
}

// batchShown is a batch with what a page says it by.
type batchShown struct {
	Words templates.Catalog
	B     comms.BatchStand
}

// batchSite is one site of a batch, with how far its restoring has come.
type batchSite struct {
	comms.Row
	Name     string
	Steps    comms.Steps
	Excepted comms.Exception
}

func (k *call) batchPage(status int, refused error) error {
	ctx := k.UserContext()
	rec, err := k.p.Comms.Incident(ctx, k.Params("id"))
	if err != nil {
		return err
	}
	v := batchView{shell: k.shell("desk.checks.batches"), Incident: k.p.incident(rec), Checks: k.person.Can(auth.CheckWork) == nil, Typed: map[string]string{}}
	if v.Batches, err = k.p.Comms.BatchStands(ctx, rec.ID); err != nil {
		return err
	}
	var leads []string
	for _, b := range v.Batches {
		leads = append(leads, b.Value.Lead, b.Value.StandIn)
	}
	if v.crew, err = k.crew(rec.ID, leads...); err != nil {
		return err
	}
	name := k.Query("name")
	if refused != nil {
		v.refused(refused)
		name = k.FormValue("name")
		for _, field := range []string{"lead", "stand_in", "wave", "site_id", "reason"} {
			v.Typed[field] = k.FormValue(field)
		}
	}
	if name != "" {
		i := slices.IndexFunc(v.Batches, func(b comms.BatchStand) bool { return b.Value.Name == name })
		if i < 0 {
			return fault.New(fault.NotFound, "there is no batch %.60q in this incident", name)
		}
		v.One = &v.Batches[i]
		v.Title = v.Words.T("desk.batch.one", name)
		v.Leads = v.Checks && v.One.Value.Leads(k.person.ID)
		if v.Sites, err = k.batchSites(rec.ID, *v.One); err != nil {
			return err
		}
		if refused == nil {
			v.Typed["lead"], v.Typed["stand_in"], v.Typed["wave"] = v.One.Value.Lead, v.One.Value.StandIn, itoa(v.One.Value.Wave)
		}
	}
	return k.p.render(k.Ctx, status, "desk_batches", v)
}

func (k *call) batchSites(incident string, b comms.BatchStand) (all []batchSite, err error) {
	page, _, err := k.p.Comms.Sites(k.UserContext(), incident, comms.SiteQuery{Batch: b.Value.Name, Limit: comms.MostListed})
	if err != nil {
		return nil, err
	}
	var sites []string
	for _, rec := range page {
		sites = append(sites, rec.Value.Site)
	}
	names, err := k.p.Book.Names(k.UserContext(), sites, nil)
	if err != nil {
		return nil, err
	}
	for _, rec := range page {
		s := batchSite{Row: rec.Value, Name: cmp.Or(names[rec.Value.Site], rec.Value.Site), Excepted: b.Value.Excepted[rec.Value.Site]}
		if s.Method != "" {
			if s.Steps, err = k.p.Comms.SiteSteps(k.UserContext(), incident, s.Site); err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// workBatch names who leads a batch and when its turn is, lets it close without a site, or closes it.
func (k *call) workBatch() error {
	ctx, id, by, name := k.UserContext(), k.Params("id"), k.person.ID, k.FormValue("name")
	var err error
	switch act := k.FormValue("act"); act {
	case "except", "close":
		if err = k.person.Can(auth.CheckWork); err != nil {
			break
		}
		if act == "close" {
			_, err = k.p.Comms.CloseBatch(ctx, by, id, name)
		} else {
			_, err = k.p.Comms.Except(ctx, by, id, name, k.FormValue("site_id"), k.FormValue("reason"))
		}
	case "name":
		if err = k.person.Can(auth.IncidentEdit); err != nil {
			break
		}
		lead, standIn := k.FormValue("lead"), k.FormValue("stand_in")
		form := comms.BatchForm{Lead: &lead, StandIn: &standIn}
		if typed := strings.TrimSpace(k.FormValue("wave")); typed != "" {
			wave, bad := strconv.Atoi(typed)
			if bad != nil {
				return k.batchPage(422, fault.BadField("wave", "must be a number"))
			}
			form.Wave = &wave
		}
		_, err = k.p.Comms.NameBatch(ctx, by, id, name, 0, form)
	default:
		err = fault.BadField("act", "is none of name, except and close")
	}
	if err != nil {
		if fault.Of(err) == fault.NotFound {
			return err
		}
		return k.batchPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/incidents/"+id+"/batches?name="+url.QueryEscape(name), fiber.StatusSeeOther)
}
