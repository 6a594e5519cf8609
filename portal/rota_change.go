package portal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// How a rota is changed from a day on: what that means to whom is shown before anybody says so.

type rotaChangeAnswer struct {
	Rota   rotaAnswer          `json:"rota"`
	Means  desk.RotaDifference `json:"means"`
	DryRun bool                `json:"dry_run"`
}

func (p *Portal) rotaChangeRoutes() []route {
	const api, page = "/api/v1/rotas/:id/changes", "/desk/rota/:id"
	return []route{
		{method: "POST", path: api, right: auth.RotaManage, tag: "rota", summary: "let a rota go on differently from a day that has not begun; says who gains and loses shifts, and which gaps and strains it brings, in the four weeks from there. dry_run=true: only says so", query: []string{"dry_run"},
			body: desk.RotaForm{}, needs: []string{"from", "zone", "shifts"}, answer: rotaChangeAnswer{}, do: func(k *call) error {
				dry, err := boolParam(k.Ctx, "dry_run")
				if err != nil {
					return err
				}
				var in desk.RotaForm
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				version, err := k.ifMatch()
				if err != nil {
					return err
				}
				rec, means, err := k.moveRota(version, in, dry)
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, rotaChangeAnswer{rotaOf(rec), means, dry})
			}},
		{method: "DELETE", path: api, right: auth.RotaManage, tag: "rota", summary: "take the last change of a rota back, before its day", answer: rotaAnswer{}, do: func(k *call) error {
			version, err := k.ifMatch()
			if err != nil {
				return err
			}
			rec, err := p.Desk.UndoRota(k.UserContext(), k.person.ID, k.Params("id"), version)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, rotaOf(rec))
		}},
		{method: "GET", path: page, page: true, right: auth.RotaRead, do: func(k *call) error { return k.rotaOne(200, nil, nil, nil) }},
		{method: "POST", path: page, page: true, right: auth.RotaManage, do: (*call).workRota},
	}
}

func (k *call) moveRota(version int64, in desk.RotaForm, dry bool) (rec store.Rec[desk.Rota], means desk.RotaDifference, err error) {
	if err := k.crewed(in.Shifts); err != nil {
		return rec, means, err
	}
	return k.p.Desk.ChangeRota(k.UserContext(), k.person.ID, k.Params("id"), version, in, dry)
}

// crewed refuses shifts with somebody who is none of the staff.
func (k *call) crewed(shifts []desk.Shift) error {
	names, err := k.p.Gate.Names(k.UserContext())
	if err != nil {
		return err
	}
	for i, s := range shifts {
		for _, id := range s.Crew {
			if names[id] == "" {
				return fault.BadField(fmt.Sprintf("shifts[%d].crew", i), "names %.60q, who is none of the staff", id)
			}
		}
	}
	return nil
}

// rotaView is one rota: what it was and will be, and the form by which it is changed from a day on.
type rotaView struct {
	rotaDesk
	ID      string
	Version int64
	Rota    desk.Rota
	Today   string
	Planned bool // the last change has not begun, and can be undone
	Form    desk.RotaForm
	Rows    []rotaShift
	Means   *desk.RotaDifference
}

// rotaShift is one shift of the form; the last one is empty.
type rotaShift struct {
	I int
	desk.Shift
	Rest []auth.Member // who is not of its crew: the crew stands in front of them, in the order of its turns
}

// Days are those of a week, as the form has them.
func (rotaView) Days() []string { return desk.Weekdays() }

// On says whether a shift begins on a day of the week.
func (s rotaShift) On(day string) bool { return slices.Contains(s.Shift.Days, day) }

// Of is the name of a field of a shift in a refusal.
func (s rotaShift) Of(field string) string { return fmt.Sprintf("shifts[%d].%s", s.I, field) }

// Now says that the rota goes by a phase.
func (v rotaView) Holds(p desk.RotaPhase) bool { return p.From == v.Rota.On(v.Today).From }

func (k *call) rotaOne(status int, form *desk.RotaForm, means *desk.RotaDifference, refused error) error {
	rec, err := k.p.Desk.Rota(k.UserContext(), k.Params("id"))
	if err != nil {
		return err
	}
	v := rotaView{rotaDesk: rotaDesk{shell: k.shell("desk.rota")}, ID: rec.ID, Version: rec.Version, Rota: rec.Value, Means: means}
	last := rec.Value.Last()
	v.Title, v.Today, v.Planned = rec.Value.Name, last.Today(v.shell.Now), len(rec.Value.Changes) > 0 && last.From > last.Today(v.shell.Now)
	if v.Names, err = k.p.Gate.Names(k.UserContext()); err != nil {
		return err
	}
	if v.People, err = k.people(""); err != nil {
		return err
	}
	if v.Form = (desk.RotaForm{Until: last.Until, Zone: last.Zone, Shifts: last.Shifts}); form != nil {
		v.Form = *form
	}
	for i, s := range append(slices.Clone(v.Form.Shifts), desk.Shift{}) {
		row := rotaShift{I: i, Shift: s}
		for _, m := range v.People {
			if !slices.Contains(s.Crew, m.ID) {
				row.Rest = append(row.Rest, m)
			}
		}
		v.Rows = append(v.Rows, row)
	}
	if refused != nil {
		v.refused(refused)
	}
	return k.p.render(k.Ctx, status, "desk_rota_one", v)
}

// rotaTyped reads the form. A shift without a name and without people is left out.
func (k *call) rotaTyped() (f desk.RotaForm, err error) {
	f = desk.RotaForm{From: strings.TrimSpace(k.FormValue("from")), Until: strings.TrimSpace(k.FormValue("until")), Zone: strings.TrimSpace(k.FormValue("zone"))}
	rows, _ := parseInt(k.FormValue("rows"))
	for i := range min(rows, desk.MostShifts+1) {
		at := fmt.Sprintf("%d.", i)
		s := desk.Shift{Name: strings.TrimSpace(k.FormValue(at + "name")), From: strings.TrimSpace(k.FormValue(at + "from")), To: strings.TrimSpace(k.FormValue(at + "to"))}
		for _, one := range k.Request().PostArgs().PeekMulti(at + "crew") {
			s.Crew = append(s.Crew, string(one))
		}
		for _, one := range k.Request().PostArgs().PeekMulti(at + "days") {
			s.Days = append(s.Days, string(one))
		}
		if s.Name == "" && len(s.Crew) == 0 || k.FormValue(at+"drop") != "" {
			continue
		}
		if turn := k.FormValue(at + "turn"); turn != "" {
			n, bad := parseInt(turn)
			if s.Turn = int(n); bad != nil && err == nil {
				err = fault.BadField(fmt.Sprintf("shifts[%d].turn", len(f.Shifts)), "must be a number of days")
			}
		}
		f.Shifts = append(f.Shifts, s)
	}
	return f, err
}

// workRota shows what a change would mean, does it, or takes the last one back.
func (k *call) workRota() error {
	version, _ := parseInt(k.FormValue("version"))
	act := k.FormValue("act")
	if act == "undo" {
		if _, err := k.p.Desk.UndoRota(k.UserContext(), k.person.ID, k.Params("id"), version); err != nil {
			return k.rotaOne(problemOf(err).Status, nil, nil, err)
		}
		return k.Redirect("/desk/rota/"+k.Params("id"), fiber.StatusSeeOther)
	}
	form, err := k.rotaTyped()
	var means desk.RotaDifference
	if err == nil {
		_, means, err = k.moveRota(version, form, act != "change")
	}
	switch {
	case err != nil:
		return k.rotaOne(problemOf(err).Status, &form, nil, err)
	case act == "change":
		return k.Redirect("/desk/rota/"+k.Params("id"), fiber.StatusSeeOther)
	}
	return k.rotaOne(fiber.StatusOK, &form, &means, nil)
}
