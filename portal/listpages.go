package portal

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store/fault"
)

// Lists: by what sites are checked and rebuilt and incidents are worked, version for version, and what each has otherwise than another.

func (p *Portal) listRoutes() []route {
	const api, page = "/api/v1/checklists", "/desk/checklists"
	return []route{
		{method: "GET", path: api + "/versions", right: auth.IncidentRead, tag: "checks", summary: "the versions of one list, the newest first, each with how many runs went by it; without a name all lists in their newest version. Number 0: as the policy or the program brings it, used by nobody yet",
			query: []string{"name"}, answer: list[comms.ListVersion]{}, do: func(k *call) error {
				all, err := k.listVersions(k.Query("name"))
				if err != nil {
					return err
				}
				return send(k.Ctx, 200, list[comms.ListVersion]{Items: all})
			}},
		{method: "GET", path: api + "/difference", right: auth.IncidentRead, tag: "checks", summary: "what one version of a list has otherwise than another: items added, removed, changed; without from and to what the newest changed", query: []string{"name", "from", "to"}, answer: comms.ListDifference{}, do: func(k *call) error {
			all, err := p.Comms.ListVersions(k.UserContext(), k.Query("name"), nil)
			if err != nil {
				return err
			}
			from, to, err := k.twoVersions(all)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, to.Since(from.Checklist))
		}},
		{method: "GET", path: page, page: true, right: auth.IncidentRead, do: func(k *call) error { return k.listPage(200, nil, nil) }},
		{method: "POST", path: page, page: true, right: auth.IncidentEdit, do: (*call).publishList},
	}
}

// listVersions are the versions of a list, or all lists in their newest; runs in incidents that she may not read are not counted.
func (k *call) listVersions(name string) ([]comms.ListVersion, error) {
	closed, err := k.closedTo()
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return k.p.Comms.NewestLists(k.UserContext(), closed)
	}
	return k.p.Comms.ListVersions(k.UserContext(), name, closed)
}

// twoVersions are the two that the address asks to be compared: the newest and the one before it when it names none. The first version is compared
// with an empty list.
func (k *call) twoVersions(all []comms.ListVersion) (from, to comms.ListVersion, err error) {
	asked := func(field string, otherwise int) (comms.ListVersion, error) {
		n := int64(otherwise)
		if s := k.Query(field); s != "" {
			var err error
			if n, err = parseInt(s); err != nil {
				return comms.ListVersion{}, fault.BadField(field, "must be the number of a version")
			}
		}
		i := slices.IndexFunc(all, func(l comms.ListVersion) bool { return int64(l.Number) == n })
		switch {
		case i >= 0:
			return all[i], nil
		case n == 0:
			return comms.ListVersion{Checklist: comms.Checklist{Title: all[0].Title, About: all[0].About}}, nil
		}
		return comms.ListVersion{}, fault.New(fault.NotFound, "this list has no version %d", n)
	}
	if to, err = asked("to", all[0].Number); err != nil {
		return from, to, err
	}
	from, err = asked("from", max(0, to.Number-1))
	return from, to, err
}

// listView is the page of all lists, or of one.
type listView struct {
	shell
	crew
	Lists      []comms.ListVersion // all, in their newest version
	Versions   []comms.ListVersion // of one, the newest first
	From, To   comms.ListVersion
	Difference comms.ListDifference
	Form       listForm
	Edits      bool // she may publish
	Typed      bool // the form was sent and is shown again
}

// listForm is what stands in the form of the next version.
type listForm struct {
	comms.Checklist
	Rows   []listRow
	Change comms.ListDifference // against the version that stands
}

// listRow is one line of the form.
type listRow struct {
	N int // from 0, as the names of its fields end
	comms.Item
	Old   bool // it is in the version that stands: its key stays
	Wrong []fault.Field
}

// listChange is a difference with the page that tells it.
type listChange struct {
	View   listView
	Change comms.ListDifference
}

// freeRows is how many empty lines stand below the items.
const freeRows = 4

func (v listView) Evidences() []string { return comms.Evidences() }
func (v listView) Roles() []string     { return comms.IncidentRoles() }
func (v listView) Phases() []string    { return comms.Phases() }

// Fact says what one field of an item is, for the table of what changed.
func (v listView) Fact(it comms.Item, field string) string {
	yes := func(b bool) string {
		if b {
			return v.Words.T("desk.yes")
		}
		return v.Words.T("desk.no")
	}
	switch field {
	case "text":
		return it.Text
	case "texts":
		var said []string
		for _, locale := range slices.Sorted(maps.Keys(it.Texts)) {
			said = append(said, locale+": "+it.Texts[locale])
		}
		return cmp.Or(strings.Join(said, " · "), "—")
	case "required":
		return yes(it.Required)
	case "may_be_na":
		return yes(it.MayBeNA)
	case "stop_on_fail":
		return yes(it.Stop)
	case "stage":
		return itoa(it.Stage)
	case "evidence":
		return v.Words.T("desk.lists.evidence." + it.Evidence)
	case "role":
		if it.Role == "" {
			return "—"
		}
		return v.Words.T("desk.seat." + it.Role)
	case "phase":
		if it.Phase == "" {
			return "—"
		}
		return v.Words.T("desk.phase." + it.Phase)
	}
	return ""
}

// Name is what a field is called in a list of what is wrong: of a line, its number.
func (v listView) Name(field string) string {
	if n, name, is := rowOf(field); is {
		return v.Words.T("desk.lists.line", n+1) + " · " + v.Words.T("desk.lists."+name)
	}
	return v.shell.Name(field)
}

// In is where a field stands on the page: of a line, the line.
func (v listView) In(field string) string {
	if n, _, is := rowOf(field); is {
		return fmt.Sprintf("item-%d", n)
	}
	return v.shell.In(field)
}

// rowOf takes items[3].key apart.
func rowOf(field string) (n int, name string, is bool) {
	_, err := fmt.Sscanf(field, "items[%d].%s", &n, &name)
	return n, name, err == nil
}

// rows are the lines of a form: the items, and some empty ones.
func (v listView) rows(items []comms.Item, stands comms.Checklist, free int) (all []listRow) {
	for i := range len(items) + free {
		row := listRow{N: i}
		if i < len(items) {
			row.Item = items[i]
			_, row.Old = stands.Item(row.Key)
		}
		for _, f := range v.Fields {
			if n, _, is := rowOf(f.Field); is && n == i {
				row.Wrong = append(row.Wrong, f)
			}
		}
		all = append(all, row)
	}
	return all
}

// listPage shows all lists, or one; typed is what was sent to become its next version.
func (k *call) listPage(status int, typed *comms.Checklist, refused error) error {
	v := listView{shell: k.shell("desk.lists"), Edits: k.person.Can(auth.IncidentEdit) == nil, Typed: typed != nil}
	var err error
	if v.crew, err = k.crew(""); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
	}
	name := k.Query("name")
	if typed != nil {
		name = typed.Name
	}
	if name != "" {
		v.Versions, err = k.listVersions(name)
		if typed != nil && fault.Of(err) == fault.NotFound { // it is to be the first
			err = nil
		}
		if err != nil {
			return err
		}
	}
	var stands comms.Checklist
	if len(v.Versions) > 0 {
		if v.From, v.To, err = k.twoVersions(v.Versions); err != nil {
			return err
		}
		v.Difference = v.To.Since(v.From.Checklist)
		stands = v.Versions[0].Checklist
		v.Title = stands.In(v.Words.Locale()).Title
	} else if v.Lists, err = k.listVersions(""); err != nil {
		return err
	}
	v.Form.Checklist = stands
	if typed != nil {
		v.Form.Checklist = *typed
		v.Form.Change = typed.Would(stands)
	} else {
		v.Form.Number = stands.Number + 1
	}
	v.Form.Rows = v.rows(v.Form.Items, stands, freeRows)
	return k.p.render(k.Ctx, status, "desk_checklists", v)
}

// typedList reads the form of the next version. Lines that are taken out or empty are none, and the others stand in the order of their numbers.
func (k *call) typedList() comms.Checklist {
	l := comms.Checklist{Name: strings.TrimSpace(k.FormValue("name")), Title: strings.TrimSpace(k.FormValue("title")), About: strings.TrimSpace(unixLines(k.FormValue("about")))}
	if n, err := parseInt(k.FormValue("number")); err == nil {
		l.Number = int(n)
	}
	type placed struct {
		comms.Item
		place int64
	}
	var lines []placed
	number := func(s string, otherwise int64) int64 {
		if n, err := parseInt(strings.TrimSpace(s)); err == nil {
			return n
		}
		return otherwise
	}
	for i := 0; k.Request().PostArgs().Has(fmt.Sprintf("key.%d", i)); i++ {
		of := func(field string) string { return strings.TrimSpace(k.FormValue(fmt.Sprintf("%s.%d", field, i))) }
		it := comms.Item{Key: of("key"), Text: of("text"), Required: of("required") != "", Evidence: of("evidence"), MayBeNA: of("may_be_na") != "", Stop: of("stop_on_fail") != "", Stage: int(number(of("stage"), 0)), Role: of("role"), Phase: of("phase")}
		if of("out") != "" || it.Key == "" && it.Text == "" {
			continue
		}
		lines = append(lines, placed{it, number(of("place"), int64(i)+1)})
	}
	slices.SortStableFunc(lines, func(a, z placed) int { return cmp.Compare(a.place, z.place) })
	for _, line := range lines {
		l.Items = append(l.Items, line.Item)
	}
	return l
}

// publishList keeps the next version, or shows the form with more lines and with what would change.
func (k *call) publishList() error {
	l := k.typedList()
	if k.FormValue("act") != "publish" {
		return k.listPage(200, &l, nil)
	}
	if _, err := k.p.Comms.PublishChecklist(k.UserContext(), k.person.ID, l); err != nil {
		return k.listPage(problemOf(err).Status, &l, err)
	}
	return k.Redirect("/desk/checklists?name="+url.QueryEscape(l.Name), fiber.StatusSeeOther)
}
