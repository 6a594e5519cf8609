package portal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// Staffed finds the people of a rung that names them by what they are: those on duty for a role, everybody who has it when nobody reachable is on duty, or one
// person; each by mail and, where a phone is known, by SMS.
func (p *Portal) Staffed(tx *store.Tx, post comms.Post, at time.Time) ([]comms.Direct, error) {
	if post.Person != "" {
		return p.reach(tx, "", []string{post.Person})
	}
	on, err := p.Desk.OnShift(tx, post.Role, post.Region, at)
	if err != nil {
		return nil, err
	}
	if len(on) > 0 {
		var ids []string
		for _, s := range on {
			ids = append(ids, s.Person)
		}
		if all, err := p.reach(tx, "", ids); err != nil || len(all) > 0 {
			return all, err
		}
	}
	return p.reach(tx, auth.Role(post.Role), nil)
}

// Cleared says whether somebody reads security incidents in which she is not named.
func (p *Portal) Cleared(tx *store.Tx, person string) (bool, error) {
	return p.Gate.HasIn(tx, person, auth.SecurityRead)
}

func (p *Portal) reach(tx *store.Tx, role auth.Role, ids []string) (all []comms.Direct, err error) {
	who, err := p.Gate.Who(tx, role, ids)
	for _, w := range who {
		locale := cmp.Or(w.Locale, "en")
		all = append(all, comms.Direct{Channel: comms.ChannelEmail, Address: w.Email, Locale: locale, Name: w.Name})
		if w.Phone != "" {
			all = append(all, comms.Direct{Channel: comms.ChannelSMS, Address: w.Phone, Locale: locale, Name: w.Name})
		}
	}
	return all, err
}

type rotaAnswer struct {
	object
	desk.Rota
}

type coverAnswer struct {
	object
	desk.Cover
}

// coverBody asks for a cover; with back it is a swap, and the asker takes what stands there in return.
type coverBody struct {
	Rota   string     `json:"rota_id"`
	Out    string     `json:"out,omitempty"`
	In     string     `json:"in,omitempty"`
	From   time.Time  `json:"from"`
	To     time.Time  `json:"to"`
	Reason string     `json:"reason,omitempty"`
	Back   *coverBody `json:"back,omitempty"`
}

func (b coverBody) cover() desk.Cover {
	return desk.Cover{Rota: b.Rota, Out: b.Out, In: b.In, From: b.From.UTC(), To: b.To.UTC(), Reason: b.Reason}
}

type nowAnswer struct {
	At    time.Time    `json:"at"`
	Items []slotAnswer `json:"items"`
}

type slotAnswer struct {
	desk.Slot
	Name string `json:"name"`
}

type feedAnswer struct {
	ID      string    `json:"id"` // DELETE /api/v1/tokens/{id} ends it
	URL     string    `json:"url"`
	Expires time.Time `json:"expires_at"`
}

func rotaOf(rec store.Rec[desk.Rota]) rotaAnswer {
	return rotaAnswer{object{rec.ID, rec.Version, rec.Created, rec.Updated}, rec.Value}
}

func coverOf(rec store.Rec[desk.Cover]) coverAnswer {
	return coverAnswer{object{rec.ID, rec.Version, rec.Created, rec.Updated}, rec.Value}
}

func (p *Portal) rotaRoutes() []route {
	const base = "/api/v1/rotas"
	put := func(status int) func(*call) error {
		return func(k *call) error {
			var in desk.Rota
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			rec, err := k.putRota(k.Params("id"), in)
			if err != nil {
				return err
			}
			return send(k.Ctx, status, rotaOf(rec))
		}
	}
	return append([]route{
		{method: "GET", path: base, right: auth.RotaRead, tag: "rota", summary: "all rotas", answer: list[rotaAnswer]{}, do: func(k *call) error {
			all, err := p.Desk.Rotas(k.UserContext())
			if err != nil {
				return err
			}
			return sendList(k, all, "", rotaOf)
		}},
		{method: "POST", path: base, right: auth.RotaManage, tag: "rota", summary: "a new rota; crews are ids of staff", status: 201, body: desk.Rota{}, needs: []string{"name", "role", "zone", "from", "shifts"}, answer: rotaAnswer{}, do: put(201)},
		{method: "PUT", path: base + "/:id", right: auth.RotaManage, tag: "rota", summary: "replace a rota, and what was changed in it, as if it had always been so; to change it from a day on there are its changes", body: desk.Rota{}, needs: []string{"name", "role", "zone", "from", "shifts"}, answer: rotaAnswer{}, do: put(200)},
		{method: "DELETE", path: base + "/:id", right: auth.RotaManage, tag: "rota", summary: "remove a rota with its covers", status: 204, do: func(k *call) error {
			if err := p.Desk.DeleteRota(k.UserContext(), k.person.ID, k.Params("id")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "GET", path: base + "/:id/covers", right: auth.RotaRead, tag: "rota", summary: "who stands in by a rota, from now on", answer: list[coverAnswer]{}, do: func(k *call) error {
			all, err := p.Desk.Covers(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return sendList(k, all, "", coverOf)
		}},
		{method: "GET", path: "/api/v1/rota", right: auth.RotaRead, tag: "rota", summary: "who is on duty, when nobody is, and for whom it is too much; the next 72 hours, or from and to", query: []string{"from", "to"}, answer: desk.Watch{}, do: func(k *call) error {
			from, to, err := k.window()
			if err != nil {
				return err
			}
			w, err := p.Desk.Plan(k.UserContext(), from, to)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, w)
		}},
		{method: "GET", path: "/api/v1/rota/now", right: auth.RotaRead, tag: "rota", summary: "who is on duty for a role, now or at a time; a region's own people first", query: []string{"role", "region", "at"}, answer: nowAnswer{}, do: func(k *call) error {
			at, err := momentParam(k.Query("at"), "at", p.DB.Now())
			if err != nil {
				return err
			}
			out := nowAnswer{At: at}
			out.Items, err = k.onDuty(k.Query("role"), k.Query("region"), at)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "POST", path: "/api/v1/rota/covers", right: auth.RotaRead, tag: "rota", summary: "somebody stands in: at once by who makes rotas, else once she agreed; with back it is a swap", status: 201, body: coverBody{}, needs: []string{"rota_id", "from", "to"}, answer: list[coverAnswer]{}, do: func(k *call) error {
			var in coverBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			made, err := k.cover(in)
			if err != nil {
				return err
			}
			out := list[coverAnswer]{}
			for _, rec := range made {
				out.Items = append(out.Items, coverOf(rec))
			}
			return send(k.Ctx, 201, out)
		}},
		{method: "POST", path: "/api/v1/rota/covers/:id/agree", right: auth.RotaRead, tag: "rota", summary: "agree to what one was asked for", status: 204, do: func(k *call) error {
			if err := p.Desk.AgreeCover(k.UserContext(), k.person.ID, k.Params("id")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "DELETE", path: "/api/v1/rota/covers/:id", right: auth.RotaRead, tag: "rota", summary: "take a cover back: before it is agreed who asked or was asked, and at any time who makes rotas", status: 204, do: func(k *call) error {
			if err := k.uncover(k.Params("id")); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "POST", path: "/api/v1/rota/feed", right: auth.RotaRead, tag: "rota", summary: "an address at which a calendar reads one's own shifts; the one before ends", status: 201, answer: feedAnswer{}, do: func(k *call) error {
			f, err := p.Gate.Feed(k.UserContext(), k.person, p.URL)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, feedAnswer{f.ID, f.URL, f.Expires})
		}},
		{method: "GET", path: auth.FeedPath + "/:token", do: (*call).calendar},
		{method: "GET", path: "/desk/rota", page: true, right: auth.RotaRead, do: func(k *call) error { return k.rotaPage(200, "", nil) }},
		{method: "POST", path: "/desk/rota", page: true, right: auth.RotaRead, do: (*call).changeRota},
	}, p.rotaChangeRoutes()...)
}

// momentParam reads a time of a query; without one it is otherwise.
func momentParam(s, name string, otherwise time.Time) (time.Time, error) {
	if s == "" {
		return otherwise, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fault.BadField(name, "must be a time such as 2022-04-05T08:00:00Z")
	}
	return t.UTC(), nil
}

func (k *call) window() (from, to time.Time, err error) {
	if from, err = momentParam(k.Query("from"), "from", k.p.DB.Now()); err != nil {
		return from, to, err
	}
	to, err = momentParam(k.Query("to"), "to", from.Add(k.p.Desk.Policy.Rota.Ahead))
	return from, to, err
}

// putRota writes a rota whose people are all staff and whose role is one of people.
func (k *call) putRota(id string, in desk.Rota) (rec store.Rec[desk.Rota], err error) {
	role, err := auth.ParseRole(in.Role)
	if err != nil {
		return rec, err
	}
	in.Role = string(role)
	if err := k.crewed(in.Shifts); err != nil {
		return rec, err
	}
	version, err := k.ifMatch()
	if err != nil {
		return rec, err
	}
	return k.p.Desk.PutRota(k.UserContext(), k.person.ID, id, version, in)
}

func (k *call) onDuty(role, region string, at time.Time) (all []slotAnswer, err error) {
	names, err := k.p.Gate.Names(k.UserContext())
	if err != nil {
		return nil, err
	}
	roles := []string{role}
	if role == "" {
		roles = nil
		for _, r := range auth.Roles() {
			roles = append(roles, string(r))
		}
	}
	err = k.p.DB.View(k.UserContext(), func(tx *store.Tx) error {
		all = []slotAnswer{}
		for _, role := range roles {
			on, err := k.p.Desk.OnShift(tx, role, region, at)
			if err != nil {
				return err
			}
			for _, s := range on {
				all = append(all, slotAnswer{s, names[s.Person]})
			}
		}
		return nil
	})
	return all, err
}

func (k *call) cover(in coverBody) ([]store.Rec[desk.Cover], error) {
	if k.person.Can(auth.RotaManage) == nil && in.Back == nil {
		rec, err := k.p.Desk.Cover(k.UserContext(), k.person.ID, in.cover())
		return []store.Rec[desk.Cover]{rec}, err
	}
	if in.Back == nil {
		return k.p.Desk.AskCover(k.UserContext(), k.person.ID, in.cover(), nil)
	}
	back := in.Back.cover()
	return k.p.Desk.AskCover(k.UserContext(), k.person.ID, in.cover(), &back)
}

func (k *call) uncover(id string) error {
	if k.person.Can(auth.RotaManage) == nil {
		return k.p.Desk.DropCover(k.UserContext(), k.person.ID, id)
	}
	return k.p.Desk.WithdrawCover(k.UserContext(), k.person.ID, id)
}

// calendarFor is how far a calendar reads ahead.
const calendarFor = 60 * 24 * time.Hour

// calendar is somebody's own shifts as iCalendar (RFC 5545), behind an address that only she has. It holds roles and times, and nothing of a customer.
func (k *call) calendar() error {
	who, err := k.p.Gate.OpenFeed(k.UserContext(), strings.TrimSuffix(k.Params("token"), ".ics"))
	if err != nil {
		if fault.Of(err) == fault.Unauthentic {
			if err := k.p.slow(k); err != nil {
				return err
			}
			return fault.New(fault.NotFound, "there is no such calendar, or no longer")
		}
		return err
	}
	now := k.p.DB.Now()
	w, err := k.p.Desk.Plan(k.UserContext(), now.Add(-24*time.Hour), now.Add(calendarFor-24*time.Hour))
	if err != nil {
		return err
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(fold(fmt.Sprintf(format, args...))) }
	line("BEGIN:VCALENDAR")
	line("VERSION:2.0")
	line("PRODID:-//Lifeline//Rota//EN")
	line("REFRESH-INTERVAL;VALUE=DURATION:PT15M")
	const stamp = "20060102T150405Z"
	for _, s := range w.Slots {
		if s.Person != who {
			continue
		}
		line("BEGIN:VEVENT")
		line("UID:%s-%d-%s@lifeline", s.Rota, s.Start.Unix(), who)
		line("DTSTAMP:%s", now.UTC().Format(stamp))
		line("DTSTART:%s", s.Start.UTC().Format(stamp))
		line("DTEND:%s", s.End.UTC().Format(stamp))
		line("SUMMARY:%s", vText(strings.TrimSpace(s.Role+" "+s.Region)+": "+s.Shift))
		line("END:VEVENT")
	}
	line("END:VCALENDAR")
	k.Set(fiber.HeaderContentType, "text/calendar; charset=utf-8")
	k.Set(fiber.HeaderCacheControl, "no-store")
	return k.SendString(b.String())
}

// rotaDesk is who is on duty, what is wrong with the plan, and how it is changed.
type rotaDesk struct {
	shell
	Now    []slotAnswer
	Watch  desk.Watch
	Days   []rotaDay
	Rotas  []rotaRow
	People []auth.Member
	Roles  []auth.Role
	Asked  []coverRow // covers that wait for me
	Feed   string     // an address that was just made; it is shown once
	Names  map[string]string
	Form   map[string]string
	Crewed []string // who was chosen for a shift that is refused
}

type rotaDay struct {
	Day   time.Time
	Slots []slotAnswer
}

type rotaRow struct {
	ID string
	desk.Rota
	Holds  desk.RotaPhase // now
	Covers []coverRow
}

type coverRow struct {
	ID string
	desk.Cover
	Mine bool
}

// Who is a person's name.
func (v rotaDesk) Who(id string) string { return cmp.Or(v.Names[id], id) }

// Crew are the names of a shift's people, the first few of many.
func (v rotaDesk) Crew(ids []string) string {
	var names []string
	for i, id := range ids {
		if i == 8 {
			names = append(names, fmt.Sprintf("+%d", len(ids)-i))
			break
		}
		names = append(names, v.Who(id))
	}
	return strings.Join(names, ", ")
}

// Has says whether somebody was chosen for a shift that is refused.
func (v rotaDesk) Has(id string) bool { return slices.Contains(v.Crewed, id) }

// Val is what was typed and is refused.
func (v rotaDesk) Val(field string) string { return v.Form[field] }

// mostShown bounds the slots on the page; the API has them all.
const mostShown = 400

func (k *call) rotaPage(status int, feed string, refused error) error {
	ctx, now := k.UserContext(), k.p.DB.Now()
	v := rotaDesk{shell: k.shell("desk.rota"), Roles: peopleRoles(), Feed: feed, Form: map[string]string{}}
	var err error
	if v.Names, err = k.p.Gate.Names(ctx); err != nil {
		return err
	}
	if v.Now, err = k.onDuty("", "", now); err != nil {
		return err
	}
	if v.Watch, err = k.p.Desk.Plan(ctx, now, now.Add(k.p.Desk.Policy.Rota.Ahead)); err != nil {
		return err
	}
	var on []string // somebody else is there for who is gone
	for _, s := range v.Watch.Slots {
		on = append(on, s.Person)
	}
	if v.People, err = k.people("", on...); err != nil {
		return err
	}
	for i, s := range v.Watch.Slots {
		if i == mostShown {
			break
		}
		day := s.Start.UTC().Truncate(24 * time.Hour)
		if n := len(v.Days); n == 0 || !v.Days[n-1].Day.Equal(day) {
			v.Days = append(v.Days, rotaDay{Day: day})
		}
		last := &v.Days[len(v.Days)-1]
		last.Slots = append(last.Slots, slotAnswer{s, v.Who(s.Person)})
	}
	all, err := k.p.Desk.Rotas(ctx)
	if err != nil {
		return err
	}
	for _, rec := range all {
		row := rotaRow{ID: rec.ID, Rota: rec.Value, Holds: rec.Value.On(rec.Value.Last().Today(now))}
		covers, err := k.p.Desk.Covers(ctx, rec.ID)
		if err != nil {
			return err
		}
		for _, c := range covers {
			one := coverRow{c.ID, c.Value, c.Value.In == k.person.ID || c.Value.By == k.person.ID}
			row.Covers = append(row.Covers, one)
			if c.Value.In == k.person.ID && c.Value.By != k.person.ID && c.Value.Agreed.IsZero() {
				v.Asked = append(v.Asked, one)
			}
		}
		v.Rotas = append(v.Rotas, row)
	}
	if refused != nil {
		v.refused(refused)
		for _, name := range []string{"name", "role", "region", "zone", "from", "shift", "shift_from", "shift_to", "turn", "until", "cover_from", "cover_to", "back_from", "back_to", "reason", "id", "out", "in"} {
			v.Form[name] = k.FormValue(name)
		}
		for _, one := range k.Request().PostArgs().PeekMulti("crew") {
			v.Crewed = append(v.Crewed, string(one))
		}
	}
	return k.p.render(k.Ctx, status, "desk_rota", v)
}

// changeRota does one thing from the page.
func (k *call) changeRota() error {
	feed, err := k.rotaAct(k.FormValue("act"))
	switch {
	case err != nil:
		return k.rotaPage(problemOf(err).Status, "", err)
	case feed != "":
		return k.rotaPage(200, feed, nil)
	}
	return k.Redirect("/desk/rota", fiber.StatusSeeOther)
}

func (k *call) rotaAct(act string) (feed string, err error) {
	ctx, id := k.UserContext(), k.FormValue("id")
	switch act {
	case "add", "delete":
		if err := k.person.Can(auth.RotaManage); err != nil {
			return "", err
		}
		if act == "delete" {
			return "", k.p.Desk.DeleteRota(ctx, k.person.ID, id)
		}
		turn := int64(0)
		if s := k.FormValue("turn"); s != "" {
			if turn, err = parseInt(s); err != nil {
				return "", fault.BadField("turn", "must be a number of days")
			}
		}
		shift := desk.Shift{Name: cmp.Or(k.FormValue("shift"), k.FormValue("name")), From: k.FormValue("shift_from"), To: k.FormValue("shift_to"), Turn: int(turn)}
		for _, one := range k.Request().PostArgs().PeekMulti("crew") {
			shift.Crew = append(shift.Crew, string(one))
		}
		_, err = k.putRota("", desk.Rota{Name: k.FormValue("name"), Role: k.FormValue("role"), Region: strings.TrimSpace(k.FormValue("region")), Zone: k.FormValue("zone"), From: k.FormValue("from"),
			Until: k.FormValue("until"), Shifts: []desk.Shift{shift}})
		return "", err
	case "cover":
		in := coverBody{Rota: id, Out: k.FormValue("out"), In: k.FormValue("in"), Reason: k.FormValue("reason")}
		if err := k.coverTimes("cover_", &in); err != nil {
			return "", err
		}
		if k.FormValue("back_from") != "" || k.FormValue("back_to") != "" { // a swap: what stands there is taken in return
			back := coverBody{Rota: id, Out: in.In, In: in.Out}
			if err := k.coverTimes("back_", &back); err != nil {
				return "", err
			}
			in.Back = &back
		}
		_, err = k.cover(in)
		return "", err
	case "agree":
		return "", k.p.Desk.AgreeCover(ctx, k.person.ID, id)
	case "uncover":
		return "", k.uncover(id)
	case "feed":
		f, err := k.p.Gate.Feed(ctx, k.person, k.p.URL)
		return f.URL, err
	}
	return "", fault.BadField("act", "is none of add, delete, cover, agree, uncover, feed")
}

// coverTimes reads from when to when somebody stands in.
func (k *call) coverTimes(of string, c *coverBody) (err error) {
	for _, one := range []struct {
		field string
		to    *time.Time
	}{{of + "from", &c.From}, {of + "to", &c.To}} {
		if *one.to, err = time.Parse("2006-01-02 15:04", strings.ReplaceAll(k.FormValue(one.field), "T", " ")); err != nil {
			return fault.BadField(one.field, "must be a time in UTC such as 2022-04-05 08:00")
		}
	}
	return nil
}
