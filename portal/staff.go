package portal

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/store/fault"
)

// profileBody is what an account says of somebody.
type profileBody struct {
	Email     string     `json:"email"`
	Phone     string     `json:"phone,omitempty"`
	Roles     []string   `json:"roles"`
	Zone      string     `json:"time_zone,omitempty"`
	Languages []string   `json:"languages,omitempty"`
	Regions   []string   `json:"regions,omitempty"`
	Skills    []string   `json:"skills,omitempty"`
	Until     *time.Time `json:"until,omitempty"` // the account ends then
	Glass     bool       `json:"break_glass,omitempty"`
}

func (b profileBody) profile() (auth.Profile, error) {
	p := auth.Profile{Email: strings.TrimSpace(b.Email), Phone: strings.ReplaceAll(b.Phone, " ", ""), Zone: b.Zone, Languages: b.Languages, Regions: b.Regions, Skills: b.Skills, Until: b.Until, Glass: b.Glass}
	for _, name := range b.Roles {
		role, err := auth.ParseRole(name)
		if err != nil {
			return p, fault.BadField("roles", "holds %.40q, which is no role", name)
		}
		p.Roles = append(p.Roles, role)
	}
	return p, nil
}

// staffBody is somebody to be given an account.
type staffBody struct {
	Name string `json:"name"`
	profileBody
}

type staffAnswer struct {
	object
	Name string `json:"name"`
	profileBody
	State    string         `json:"state"` // none (known by tokens alone), invited, active, disabled, over
	LastSeen *time.Time     `json:"last_sign_in,omitempty"`
	Codes    int            `json:"recovery_codes"`
	Passkeys []auth.Passkey `json:"passkeys,omitempty"`
	Program  bool           `json:"program,omitempty"` // known by tokens of programs alone: none of the people
}

// enrolAnswer is an account with the link by which its owner enrols. The link is shown once.
type enrolAnswer struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Link    string    `json:"link"`
	Expires time.Time `json:"expires_at"`
}

func staffOf(a auth.Account) staffAnswer {
	out := staffAnswer{object: object{a.ID, a.Version, a.Created, a.Updated}, Name: a.Name, State: a.State, Codes: a.Codes, Passkeys: a.Passkeys, Program: a.Program,
		profileBody: profileBody{Roles: []string{}, Email: a.Email, Phone: a.Phone, Zone: a.Zone, Languages: a.Languages, Regions: a.Regions, Skills: a.Skills, Until: a.Until, Glass: a.Glass}}
	for _, r := range a.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	if !a.LastSeen.IsZero() {
		out.LastSeen = &a.LastSeen
	}
	return out
}

func enrolOf(i auth.Invited) enrolAnswer { return enrolAnswer{i.ID, i.Name, i.Link, i.Until} }

// staffColumns are those of a file of newcomers.
var staffColumns = []string{"name", "email", "phone", "roles", "time_zone", "languages", "regions", "skills", "until"}

// addTable gives everybody in a CSV file an account, or nobody; every line that is wrong is named.
func (k *call) addTable(r io.Reader) ([]auth.Invited, error) {
	people, lines, err := newcomers(r)
	if err != nil {
		return nil, err
	}
	made, err := k.p.Gate.AddStaff(k.UserContext(), k.person.ID, k.p.URL, people)
	var e *fault.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		var f []fault.Field
		for _, wrong := range e.Fields {
			row, field := 0, wrong.Field
			if _, err := fmt.Sscanf(field, "staff[%d].%s", &row, &field); (err == nil || len(lines) == 1) && row < len(lines) {
				wrong.Field = fmt.Sprintf("line %d: %s", lines[row], field)
			}
			f = append(f, wrong)
		}
		err = fault.BadFields(f...)
	}
	return made, err
}

// newcomers reads a CSV file of people, each with the line on which she stands.
func newcomers(r io.Reader) (all []auth.Newcomer, lines []int, err error) {
	in := csv.NewReader(r)
	in.TrimLeadingSpace = true
	head, err := in.Read()
	if err != nil {
		return nil, nil, fault.BadField("staff", "must be CSV whose first line names the columns %s", strings.Join(staffColumns, ", "))
	}
	for i, name := range head {
		head[i] = strings.ToLower(strings.Trim(name, " \uFEFF"))
		if !slices.Contains(staffColumns, head[i]) {
			return nil, nil, fault.BadField("staff", "has a column %.40q; the columns are %s", name, strings.Join(staffColumns, ", "))
		}
	}
	var f []fault.Field
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := in.FieldPos(0)
		if err != nil {
			return nil, nil, fault.BadField("staff", "cannot be read as CSV: %s", err)
		}
		row, b := map[string]string{}, staffBody{}
		for i, cell := range cells {
			row[head[i]] = strings.TrimSpace(cell)
		}
		b.Name, b.Email, b.Phone, b.Zone = row["name"], row["email"], row["phone"], row["time_zone"]
		b.Roles, b.Languages, b.Regions, b.Skills = splitList(row["roles"], ";"), splitList(row["languages"], ";"), splitList(row["regions"], ";"), splitList(row["skills"], ";")
		if at := row["until"]; at != "" {
			until, err := readUntil(at)
			if err != nil {
				f = append(f, fault.Field{Field: fmt.Sprintf("line %d: until", line), Code: "invalid", Reason: "must be a day such as 2022-04-18"})
			}
			b.Until = &until
		}
		p, err := b.profile()
		if err != nil {
			f = append(f, fault.Field{Field: fmt.Sprintf("line %d: roles", line), Code: "invalid", Reason: "holds what is no role"})
		}
		all, lines = append(all, auth.Newcomer{Name: b.Name, Profile: p}), append(lines, line)
	}
	if len(f) > 0 {
		return nil, nil, fault.BadFields(f...)
	}
	return all, lines, nil
}

// readUntil reads a moment, or a day, to whose end an account lasts.
func readUntil(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, s)
}

// byHand refuses staff management to a stolen token: once there are accounts it takes a session with a fresh second factor, or the machine itself.
func (k *call) byHand() error { return k.p.Gate.MayManage(k.UserContext(), k.person) }

func (p *Portal) staffRoutes() []route {
	const base = "/api/v1/staff"
	account := func(do func(k *call) (auth.Account, error)) func(*call) error {
		return func(k *call) error {
			if err := k.byHand(); err != nil {
				return err
			}
			a, err := do(k)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, staffOf(a))
		}
	}
	invite := func(reset auth.Reset) func(*call) error {
		return func(k *call) error {
			if err := k.byHand(); err != nil {
				return err
			}
			made, err := p.Gate.Invite(k.UserContext(), k.person.ID, k.Params("id"), p.URL, reset)
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, enrolOf(made))
		}
	}
	listed := func(k *call, all []auth.Listed, next string, err error) error {
		if err != nil {
			return err
		}
		return send(k.Ctx, 200, list[auth.Listed]{all, next})
	}
	return []route{
		{method: "GET", path: base, right: auth.StaffManage, tag: "staff", summary: "everybody who acts here", query: []string{"after", "limit"}, answer: list[staffAnswer]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			page, next, err := p.Gate.Staff(k.UserContext(), k.Query("after"), limit)
			if err != nil {
				return err
			}
			out := list[staffAnswer]{Next: next}
			for _, a := range page {
				out.Items = append(out.Items, staffOf(a))
			}
			return send(k.Ctx, 200, out)
		}},
		{method: "POST", path: base, right: auth.StaffManage, tag: "staff", summary: "give somebody an account, with a link to enrol", status: 201, body: staffBody{}, needs: []string{"name", "email", "roles"}, answer: enrolAnswer{}, do: func(k *call) error {
			var in staffBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := k.byHand(); err != nil {
				return err
			}
			profile, err := in.profile()
			if err != nil {
				return err
			}
			made, err := p.Gate.AddStaff(k.UserContext(), k.person.ID, p.URL, []auth.Newcomer{{Name: in.Name, Profile: profile}})
			if err != nil {
				return err
			}
			return send(k.Ctx, 201, enrolOf(made[0]))
		}},
		{method: "POST", path: base + "/imports", right: auth.StaffManage, tag: "staff", summary: "give up to 1,000 people accounts, each with a link to enrol; columns " + strings.Join(staffColumns, ", "), status: 201, media: "text/csv", answer: list[enrolAnswer]{}, do: func(k *call) error {
			if err := k.byHand(); err != nil {
				return err
			}
			made, err := k.addTable(stream(k.Ctx, maxJSON))
			if err != nil {
				return err
			}
			out := list[enrolAnswer]{}
			for _, i := range made {
				out.Items = append(out.Items, enrolOf(i))
			}
			return send(k.Ctx, 201, out)
		}},
		{method: "GET", path: base + "/:id", right: auth.StaffManage, tag: "staff", summary: "one of the staff", answer: staffAnswer{}, do: func(k *call) error {
			a, err := p.Gate.Account(k.UserContext(), k.Params("id"))
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, staffOf(a))
		}},
		{method: "PUT", path: base + "/:id", right: auth.StaffManage, tag: "staff", summary: "replace what an account says; new roles end its sessions", body: profileBody{}, needs: []string{"email", "roles"}, answer: staffAnswer{}, do: account(func(k *call) (auth.Account, error) {
			var in profileBody
			if err := decode(k.Ctx, &in); err != nil {
				return auth.Account{}, err
			}
			version, err := k.ifMatch()
			if err != nil {
				return auth.Account{}, err
			}
			profile, err := in.profile()
			if err != nil {
				return auth.Account{}, err
			}
			return p.Gate.ChangeStaff(k.UserContext(), k.person.ID, k.Params("id"), version, profile)
		})},
		{method: "POST", path: base + "/:id/disable", right: auth.StaffManage, tag: "staff", summary: "close an account and end everything of its owner's", body: reasonBody{}, answer: staffAnswer{}, do: account(func(k *call) (auth.Account, error) {
			var in reasonBody
			if err := k.optional(&in); err != nil {
				return auth.Account{}, err
			}
			return p.Gate.Disable(k.UserContext(), k.person.ID, k.Params("id"), in.Reason)
		})},
		{method: "POST", path: base + "/:id/enable", right: auth.StaffManage, tag: "staff", summary: "open a closed account again", answer: staffAnswer{}, do: account(func(k *call) (auth.Account, error) {
			return p.Gate.Enable(k.UserContext(), k.person.ID, k.Params("id"))
		})},
		{method: "POST", path: base + "/:id/invite", right: auth.StaffManage, tag: "staff", summary: "a new link to enrol, for who has not", status: 201, answer: enrolAnswer{}, do: invite(auth.KeepLogin)},
		{method: "POST", path: base + "/:id/reset", right: auth.StaffManage, tag: "staff", summary: "end what somebody signs in with, and give a link to enrol anew", status: 201, answer: enrolAnswer{}, do: invite(auth.DropLogin)},
		{method: "DELETE", path: base + "/:id/passkeys/:passkey", right: auth.StaffManage, tag: "staff", summary: "take a passkey from somebody, as when the device is lost; her sessions end", query: []string{"reason"}, answer: staffAnswer{}, do: account(func(k *call) (auth.Account, error) {
			return p.Gate.TakePasskey(k.UserContext(), k.person.ID, k.Params("id"), k.Params("passkey"), k.Query("reason"))
		})},
		{method: "GET", path: "/api/v1/tokens", right: auth.TokenIssue, tag: "staff", summary: "tokens and links, in the order of their making; nothing in it opens anything", query: []string{"after", "limit"}, answer: list[auth.Listed]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			all, next, err := p.Gate.List(k.UserContext(), k.Query("after"), limit)
			return listed(k, all, next, err)
		}},
		{method: "GET", path: "/api/v1/sessions", right: auth.TokenIssue, tag: "staff", summary: "browser sessions; DELETE /api/v1/tokens/{id} ends one", query: []string{"after", "limit"}, answer: list[auth.Listed]{}, do: func(k *call) error {
			limit, err := limitParam(k.Ctx)
			if err != nil {
				return err
			}
			all, next, err := p.Gate.Sessions(k.UserContext(), k.Query("after"), limit)
			return listed(k, all, next, err)
		}},
		{method: "GET", path: auth.EnrolPath, do: func(k *call) error { return k.enrolPage(200, nil) }},
		{method: "POST", path: auth.EnrolPath, form: true, own: true, do: (*call).enrol},
		{method: "GET", path: "/desk/account", page: true, do: func(k *call) error { return k.accountPage(200, nil) }},
		{method: "POST", path: "/desk/account", page: true, do: (*call).account},
		{method: "GET", path: "/desk/account/passkey", page: true, do: func(k *call) error { return k.askPasskey(auth.Asking(k.Query("for"))) }},
		{method: "GET", path: "/desk/staff", page: true, right: auth.StaffManage, do: func(k *call) error { return k.staffPage(200, nil, nil) }},
		{method: "POST", path: "/desk/staff", page: true, right: auth.StaffManage, do: (*call).addStaff},
		{method: "GET", path: "/desk/staff/:id", page: true, right: auth.StaffManage, do: func(k *call) error { return k.memberPage(200, nil, nil) }},
		{method: "POST", path: "/desk/staff/:id", page: true, right: auth.StaffManage, do: (*call).changeMember},
	}
}

// enrolView is the page on which somebody takes her account.
type enrolView struct {
	base
	auth.Enrolment
	Link   string
	QR     auth.QR
	Wrong  map[string]string
	Gone   bool
	Typed  map[string]string
	Codes  []string // once it is done
	Follow string
}

func (k *call) enrolPage(status int, refused error) error {
	link := k.FormValue(auth.LinkParam, k.Query(auth.LinkParam))
	v := enrolView{base: k.staffBase(auth.EnrolPath, "desk.enrol"), Link: link, Wrong: map[string]string{}, Typed: map[string]string{"name": k.FormValue("name"), "email": k.FormValue("email")}}
	v.Langs = nil
	k.Set(fiber.HeaderCacheControl, "no-store")
	seen, err := k.p.Gate.Enrolling(k.UserContext(), link)
	switch {
	case fault.Of(err) == fault.Unauthentic:
		if err := k.p.slow(k); err != nil {
			return err
		}
		v.Gone, status = true, fiber.StatusGone
	case err != nil:
		return err
	}
	v.Enrolment, v.QR = seen, auth.DrawQR(seen.URL)
	if refused != nil {
		pr := problemOf(refused)
		for _, f := range pr.Errors {
			v.Wrong[f.Field] = v.Words.Refusal(f.Reason)
		}
		if len(pr.Errors) == 0 {
			v.Wrong["password"] = v.Words.Refusal(pr.Detail)
		}
		k.later(refused)
	}
	return k.p.render(k.Ctx, status, "desk_enrol", v)
}

func (k *call) enrol() error {
	k.Set(fiber.HeaderCacheControl, "no-store")
	s, cookie, codes, err := k.p.Gate.Enrol(k.UserContext(), auth.Enrol{Link: k.FormValue(auth.LinkParam), Password: k.FormValue("password"), Code: k.FormValue("code"),
		Name: k.FormValue("name"), Email: k.FormValue("email"), Source: network(k.p.source(k.Ctx))})
	if err != nil {
		return k.enrolPage(problemOf(err).Status, err)
	}
	k.setCookie(cookie, s.Expires)
	v := enrolView{base: k.staffBase(auth.EnrolPath, "desk.enrol.codes"), Enrolment: auth.Enrolment{Name: s.Name}, Codes: codes, Follow: "/desk"}
	v.Langs = nil
	return k.p.render(k.Ctx, 200, "desk_enrol", v)
}

// accountDesk is what somebody sees of herself.
type accountDesk struct {
	shell
	Account  auth.Account
	Sessions []auth.Listed
	Fresh    bool   // her second factor counts for approving now
	Own      bool   // she has an account with a password, not only a link
	Typed    string // the name of a passkey that was not taken
	Takes    bool   // browsers can have passkeys for this address
	Single   string // what single sign-on is called here; "": there is none
	Go       string // the way there to link this account
	Done     string
}

func (k *call) accountPage(status int, refused error) error {
	return k.accountPageFor(status, "", refused)
}

func (k *call) accountPageFor(status int, leave string, refused error) error {
	v := accountDesk{shell: k.shell("desk.my"), Done: k.Query("done"), Single: k.p.Gate.Single.Name(), Go: leave, Takes: k.p.Gate.TakesPasskeys()}
	var err error
	if v.Account, err = k.p.Gate.Account(k.UserContext(), k.person.ID); err != nil {
		return err
	}
	v.Own = v.Account.State == "active" && v.Account.Own
	v.Fresh = !k.person.Proved.IsZero() && time.Since(k.person.Proved) < auth.Fresh
	if v.Sessions, err = k.p.Gate.SessionsOf(k.UserContext(), k.person.ID); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		v.Typed = k.FormValue("passkey_name")
	}
	return k.p.render(k.Ctx, status, "desk_account", v)
}

// Removes says whether she may take passkeys off now.
func (v accountDesk) Removes() bool { return v.Fresh }

// account does one thing to the account of who is signed in.
func (k *call) account() error {
	ctx, gate, cookie := k.UserContext(), k.p.Gate, k.Cookies(k.p.cookie())
	act := k.FormValue("act")
	var err error
	switch act {
	case "prove", "role":
		var s auth.Session
		switch {
		case act == "role":
			s, cookie, err = gate.ActAs(ctx, cookie, auth.Role(k.FormValue("role")))
		case k.FormValue("credential") != "":
			s, cookie, err = gate.ProveByPasskey(ctx, cookie, k.answered())
		default:
			s, cookie, err = gate.Prove(ctx, cookie, k.FormValue("code"))
		}
		if err == nil {
			k.setCookie(cookie, s.Expires)
		}
	case "password":
		err = gate.NewPassword(ctx, k.person, k.FormValue("old"), k.FormValue("password"))
	case "passkey":
		err = gate.AddPasskey(ctx, k.person, k.FormValue("passkey_name"), k.answered())
	case "remove":
		err = gate.RemovePasskey(ctx, k.person, k.FormValue("passkey"))
	case "end":
		err = gate.EndOwn(ctx, k.person, k.FormValue("session"))
	case "single":
		var l auth.Leaving
		if l, err = k.linkSingle(); err == nil {
			return k.accountPageFor(200, l.URL, nil)
		}
	case "unlink":
		err = gate.Unlink(ctx, k.person)
	default:
		err = fault.BadField("act", "is none of prove, role, password, passkey, remove, end, single, unlink")
	}
	if err != nil {
		return k.accountPage(problemOf(err).Status, err)
	}
	return k.Redirect("/desk/account?done="+act, fiber.StatusSeeOther)
}

// staffDesk is everybody who acts here, and the way to more of them.
type staffDesk struct {
	shell
	All   []auth.Account
	Next  string
	Roles []auth.Role
	typedStaff
	Made []invitation // links that were just made; they are shown once
}

// Has says whether a role is ticked.
func (v staffDesk) Has(r auth.Role) bool { return slices.Contains(v.Given, r) }

// Val is what was typed and is refused.
func (v staffDesk) Val(field string) string { return v.Form[field] }

// Lists are the fields of several words.
func (v staffDesk) Lists() []string { return staffLists }

// invitation is a link with its picture.
type invitation struct {
	auth.Invited
	QR auth.QR
}

// drawn is a QR code with what it is, for those who do not see it.
type drawn struct {
	QR   auth.QR
	Says string
}

func invitations(made []auth.Invited) (all []invitation) {
	for _, i := range made {
		all = append(all, invitation{i, auth.DrawQR(i.Link)})
	}
	return all
}

func peopleRoles() []auth.Role {
	return slices.DeleteFunc(auth.Roles(), func(r auth.Role) bool { return r == auth.Automation })
}

func (k *call) staffPage(status int, made []auth.Invited, refused error) error {
	v := staffDesk{shell: k.shell("desk.staff"), Roles: peopleRoles(), Made: invitations(made)}
	var err error
	if v.All, v.Next, err = k.p.Gate.Staff(k.UserContext(), k.Query("after"), maxList); err != nil {
		return err
	}
	if refused != nil {
		v.refused(refused)
		v.typedStaff = k.typedStaff()
	}
	return k.p.render(k.Ctx, status, "desk_staff", v)
}

// addStaff gives one person an account, or everybody in a table that was pasted.
func (k *call) addStaff() error {
	made, err := k.invited()
	if err != nil {
		return k.staffPage(problemOf(err).Status, nil, err)
	}
	return k.staffPage(200, made, nil)
}

func (k *call) invited() ([]auth.Invited, error) {
	if err := k.byHand(); err != nil {
		return nil, err
	}
	if table := k.FormValue("staff"); table != "" {
		return k.addTable(strings.NewReader(table))
	}
	profile, err := k.formProfile()
	if err != nil {
		return nil, err
	}
	return k.p.Gate.AddStaff(k.UserContext(), k.person.ID, k.p.URL, []auth.Newcomer{{Name: k.FormValue("name"), Profile: profile}})
}

func (k *call) formProfile() (auth.Profile, error) {
	b := profileBody{Email: k.FormValue("email"), Phone: k.FormValue("phone"), Zone: k.FormValue("time_zone"), Languages: splitList(k.FormValue("languages"), ","),
		Regions: splitList(k.FormValue("regions"), ","), Skills: splitList(k.FormValue("skills"), ","), Glass: k.FormValue("break_glass") != ""}
	for _, r := range k.Request().PostArgs().PeekMulti("role") {
		b.Roles = append(b.Roles, string(r))
	}
	if at := k.FormValue("until"); at != "" {
		until, err := readUntil(at)
		if err != nil {
			return auth.Profile{}, fault.BadField("until", "must be a day such as 2022-04-18")
		}
		b.Until = &until
	}
	return b.profile()
}

// memberDesk is one of the staff, for those who manage them.
type memberDesk struct {
	shell
	Account  auth.Account
	Sessions []auth.Listed
	Roles    []auth.Role
	Made     []invitation
	typedStaff
}

// typedStaff is what was typed into a form about somebody and is refused.
type typedStaff struct {
	Form  map[string]string // nil: nothing was
	Given []auth.Role
}

func (k *call) typedStaff() typedStaff {
	t := typedStaff{Form: map[string]string{}}
	for _, name := range append([]string{"name", "email", "phone", "time_zone", "until", "break_glass", "staff", "reason"}, staffLists...) {
		t.Form[name] = k.FormValue(name)
	}
	for _, r := range k.Request().PostArgs().PeekMulti("role") {
		t.Given = append(t.Given, auth.Role(r))
	}
	return t
}

// Has says whether a role is ticked.
func (v memberDesk) Has(r auth.Role) bool {
	if v.Form["email"] != "" {
		return slices.Contains(v.Given, r)
	}
	return slices.Contains(v.Account.Roles, r)
}

// Val is what stands in a field: what was typed into it and is refused, or else what the account says.
func (v memberDesk) Val(field string) string {
	if v.Form["email"] != "" || field == "reason" {
		return v.Form[field]
	}
	a := v.Account
	switch field {
	case "email":
		return a.Email
	case "phone":
		return a.Phone
	case "time_zone":
		return a.Zone
	case "languages":
		return strings.Join(a.Languages, ", ")
	case "regions":
		return strings.Join(a.Regions, ", ")
	case "skills":
		return strings.Join(a.Skills, ", ")
	case "until":
		if a.Until != nil {
			return a.Until.UTC().Format(time.RFC3339)
		}
	case "break_glass":
		if a.Glass {
			return "1"
		}
	}
	return ""
}

// Removes says whether passkeys may be taken off: whoever manages staff may.
func (v memberDesk) Removes() bool { return true }

// Lists are the fields of several words.
func (v memberDesk) Lists() []string { return staffLists }

var staffLists = []string{"languages", "regions", "skills"}

func (k *call) memberPage(status int, made []auth.Invited, refused error) error {
	v := memberDesk{shell: k.shell("desk.staff"), Roles: peopleRoles(), Made: invitations(made)}
	var err error
	if v.Account, err = k.p.Gate.Account(k.UserContext(), k.Params("id")); err != nil {
		return err
	}
	if v.Sessions, err = k.p.Gate.SessionsOf(k.UserContext(), v.Account.ID); err != nil {
		return err
	}
	v.Title = v.Account.Name
	if refused != nil {
		v.refused(refused)
		v.typedStaff = k.typedStaff()
	}
	return k.p.render(k.Ctx, status, "desk_member", v)
}

func (k *call) changeMember() error {
	if k.FormValue("act") == "promote" {
		return k.promote()
	}
	made, err := k.changed()
	switch {
	case err != nil:
		return k.memberPage(problemOf(err).Status, nil, err)
	case made != nil:
		return k.memberPage(200, []auth.Invited{*made}, nil)
	}
	return k.Redirect("/desk/staff/"+k.Params("id"), fiber.StatusSeeOther)
}

// changed does one thing to an account; a link is given where that makes one.
func (k *call) changed() (*auth.Invited, error) {
	if err := k.byHand(); err != nil {
		return nil, err
	}
	ctx, gate, id := k.UserContext(), k.p.Gate, k.Params("id")
	switch act := k.FormValue("act"); act {
	case "change":
		profile, err := k.formProfile()
		if err != nil {
			return nil, err
		}
		version, err := parseInt(k.FormValue("version"))
		if err != nil {
			return nil, fault.BadField("version", "must be the version of the account")
		}
		_, err = gate.ChangeStaff(ctx, k.person.ID, id, version, profile)
		return nil, err
	case "disable":
		_, err := gate.Disable(ctx, k.person.ID, id, k.FormValue("reason"))
		return nil, err
	case "enable":
		_, err := gate.Enable(ctx, k.person.ID, id)
		return nil, err
	case "invite", "reset":
		how := auth.KeepLogin
		if act == "reset" {
			how = auth.DropLogin
		}
		made, err := gate.Invite(ctx, k.person.ID, id, k.p.URL, how)
		return &made, err
	case "remove":
		_, err := gate.TakePasskey(ctx, k.person.ID, id, k.FormValue("passkey"), k.FormValue("reason"))
		return nil, err
	case "end":
		return nil, gate.Revoke(ctx, k.person.ID, k.FormValue("session"), k.FormValue("reason"))
	}
	return nil, fault.BadField("act", "is none of change, disable, enable, invite, reset, remove, promote, end")
}
