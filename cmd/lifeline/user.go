package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

const userUsage = "user: write `lifeline user add|list|disable|enable|enrol|reset`; `lifeline help user` says more"

func userCommand() command {
	return command{
		name: "user", args: "add|list|disable|enable|enrol|reset [NAME or EMAIL]", short: "manage the accounts of staff",
		long: `Accounts work while single sign-on is down: an address, a password, a second factor, and recovery codes to keep.

  lifeline user add --name NAME --email EMAIL --role ROLE[,ROLE]    one person
  lifeline user add --csv FILE                                       many: columns name, email, phone, roles, time_zone, languages, regions, skills, until
  lifeline user list [--json]
  lifeline user enrol EMAIL      a new link for somebody who has not enrolled
  lifeline user reset EMAIL      ends what somebody signs in with, as when the phone is lost, and gives a new link
  lifeline user disable EMAIL --reason WHY, lifeline user enable EMAIL

Adding prints a link for each person, with --csv as CSV. It works once, for 14 days at the most; behind it she chooses a password and reads a QR code with an
authenticator app. An account with an end lasts to the end of that day. What is done here to somebody who approves or administrates, once there are accounts,
raises an alarm: nobody else had to agree.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("name", "", "`name` of the person")
			fs.String("email", "", "`address` that she signs in with and alerts go to")
			fs.String("role", "", "`roles`, separated by commas")
			fs.String("phone", "", "`number` for alerts, +12025550101")
			fs.String("zone", "", "IANA time `zone`")
			fs.String("region", "", "`regions`, separated by commas")
			fs.String("until", "", "`day` to whose end the account lasts, 2022-04-18")
			fs.Bool("break-glass", false, "each sign-in of this account raises an alarm")
			fs.String("csv", "", "`file` of many people; - is standard input")
			fs.String("reason", "", "disable: `why`; it is kept in the audit log")
			fs.Bool("json", false, "answer as JSON")
		},
		verbs: map[string]string{"add": "name email role phone zone region until break-glass csv json", "list": "json", "enrol": "json", "reset": "json",
			"disable": "reason", "enable": ""},
		run: runUser,
	}
}

// enrolLink is what adding somebody answers.
type enrolLink struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Link    string    `json:"link"`
	Expires time.Time `json:"expires_at"`
}

type userLine struct {
	ID    string     `json:"id"`
	Name  string     `json:"name"`
	Email string     `json:"email"`
	Roles []string   `json:"roles"`
	State string     `json:"state"`
	Until *time.Time `json:"until"`
}

func runUser(ctx context.Context, e env, fs *flag.FlagSet) error {
	what := fs.Arg(0)
	named := what == "disable" || what == "enable" || what == "enrol" || what == "reset"
	if named && fs.NArg() != 2 || !named && (fs.NArg() != 1 || what != "add" && what != "list") {
		return usage{userUsage}
	}
	if what == "add" && text(fs, "csv") == "" && (text(fs, "name") == "" || text(fs, "email") == "" || text(fs, "role") == "") {
		return usage{"user: add needs --name, --email and --role, or a --csv; `lifeline help user` says more"}
	}
	if one := given(fs, "name", "email", "role", "phone", "zone", "region", "until", "break-glass"); text(fs, "csv") != "" && one != "" {
		return usage{fmt.Sprintf("user: --csv goes without --%s: the file's columns say it", one)}
	}
	c, err := reach(ctx, e, fs)
	if err != nil {
		return err
	}
	defer c.close()
	switch {
	case what == "add":
		return c.addUsers(ctx, e, fs)
	case what == "list":
		return c.listUsers(ctx, e.stdout, text(fs, "json") == "true")
	}
	who, err := c.findUser(ctx, fs.Arg(1))
	if err != nil {
		return err
	}
	path := "/api/v1/staff/" + who.ID
	if what == "disable" || what == "enable" {
		var body any = struct{}{}
		if what == "disable" {
			body = map[string]string{"reason": text(fs, "reason")}
		}
		if err := c.post(ctx, path+"/"+what, body, &who); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%s is %s\n", who.Email, who.State)
		return err
	}
	if what == "enrol" {
		what = "invite"
	}
	var made enrolLink
	if err := c.post(ctx, path+"/"+what, struct{}{}, &made); err != nil {
		return err
	}
	return printLinks(e.stdout, []enrolLink{made}, text(fs, "json") == "true", false)
}

func (c *client) addUsers(ctx context.Context, e env, fs *flag.FlagSet) error {
	asJSON := text(fs, "json") == "true"
	if file := text(fs, "csv"); file != "" {
		in, _, err := openInput(e, file)
		if err != nil {
			return err
		}
		table, err := io.ReadAll(in)
		in.Close()
		if err != nil {
			return err
		}
		var made struct{ Items []enrolLink }
		if err := c.call(ctx, http.MethodPost, "/api/v1/staff/imports", "text/csv", bytes.NewReader(table), &made); err != nil {
			return err
		}
		return printLinks(e.stdout, made.Items, asJSON, true)
	}
	comma := func(name string) []string {
		return strings.FieldsFunc(text(fs, name), func(r rune) bool { return r == ',' || r == ' ' || r == ';' })
	}
	in := map[string]any{"name": text(fs, "name"), "email": text(fs, "email"), "roles": comma("role"), "phone": text(fs, "phone"), "time_zone": text(fs, "zone"),
		"regions": comma("region"), "break_glass": text(fs, "break-glass") == "true"}
	if day := text(fs, "until"); day != "" {
		until, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return usage{"user: --until must be a day such as 2022-04-18"}
		}
		in["until"] = until.AddDate(0, 0, 1)
	}
	var made enrolLink
	if err := c.post(ctx, "/api/v1/staff", in, &made); err != nil {
		return err
	}
	return printLinks(e.stdout, []enrolLink{made}, asJSON, false)
}

func printLinks(w io.Writer, made []enrolLink, asJSON, table bool) error {
	switch {
	case asJSON:
		return json.NewEncoder(w).Encode(made)
	case !table:
		_, err := fmt.Fprintln(w, made[0].Link)
		return err
	}
	out := csv.NewWriter(w)
	_ = out.Write([]string{"name", "link", "expires_at"}) // Error says below what failed
	for _, m := range made {
		_ = out.Write([]string{contacts.Guarded(m.Name), m.Link, m.Expires.Format(time.RFC3339)})
	}
	out.Flush()
	return out.Error()
}

// users walks everybody who has or had an account here.
func (c *client) users(ctx context.Context, each func(userLine) (more bool)) error {
	for after := ""; ; {
		var page struct {
			Items []userLine
			Next  string
		}
		if err := c.call(ctx, http.MethodGet, "/api/v1/staff?limit=200&after="+url.QueryEscape(after), "", nil, &page); err != nil {
			return err
		}
		for _, u := range page.Items {
			if !each(u) {
				return nil
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

func (c *client) findUser(ctx context.Context, who string) (found userLine, err error) {
	err = c.users(ctx, func(u userLine) bool {
		if u.ID == who || strings.EqualFold(u.Email, who) || auth.FoldName(u.Name) == auth.FoldName(who) {
			found = u
		}
		return found.ID == ""
	})
	if err == nil && found.ID == "" {
		err = fmt.Errorf("there is nobody %q; `lifeline user list` names everybody", who)
	}
	return found, err
}

func (c *client) listUsers(ctx context.Context, w io.Writer, asJSON bool) error {
	all := []userLine{}
	if err := c.users(ctx, func(u userLine) bool { all = append(all, u); return true }); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "Nobody has an account. `lifeline user add` makes one; so does the link that `lifeline serve` prints at its first start.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range all {
		until := ""
		if u.Until != nil {
			until = "until " + u.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", u.Name, u.Email, u.State, strings.Join(u.Roles, ","), until)
	}
	return t.Flush()
}

// offerSetUp prints the link by which the first administrator makes her account, until there is one. It stands on the machine's own terminal and in no log.
func (h *house) offerSetUp(ctx context.Context, w io.Writer) {
	link, err := h.gate.SetUp(ctx, h.cfg.url)
	if err != nil {
		h.log.Error("no link to set up the first account could be made", "err", err)
		return
	}
	if link != "" {
		fmt.Fprintf(w, "NO ACCOUNTS: whoever opens this within 24 hours makes the first one, an administrator's:\n  %s\n", link)
	}
}

// alarms says whether the ladder of those on duty reaches anybody now.
func (h *house) alarms() (reached bool) {
	if slices.ContainsFunc(h.comms.Policy.OnDuty, func(r comms.Rung) bool { return len(r.To) > 0 }) {
		return true
	}
	err := h.db.View(context.Background(), func(tx *store.Tx) error {
		for _, rung := range h.comms.Policy.OnDuty {
			for _, post := range rung.Staff {
				people, err := h.comms.Staffed(tx, post, tx.Now())
				if err != nil || len(people) > 0 {
					reached = err == nil
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		h.log.Error("who is on duty cannot be read", "err", err)
	}
	return reached
}

// granted is told that somebody was given a role that approves or administrates. The machine's operator gives it at once, anybody else with a second person;
// everybody on alarm hears of it.
func (h *house) granted(tx *store.Tx, g auth.Granting) error {
	where := "two people gave it"
	switch {
	case g.By == auth.OperatorID:
		where = "given on the machine"
	case g.Second == "":
		return fault.New(fault.Forbidden, "the roles approver and admin are not given by one person: propose it on her page, for a second person to approve; or whoever runs the machine gives them with `lifeline user`, which raises an alarm")
	}
	return h.alarmAccess(tx, "access.granted", g.Staff, "%s may now approve or administrate, or has a new way in: "+where)
}

// promoting is told that somebody asked for such a role; a day is left to step in.
func (h *house) promoting(tx *store.Tx, p auth.Promotion) error {
	return h.alarmAccess(tx, "access.proposed", p.Staff, "%s is to be given the role "+string(p.Role)+"; a second person can approve or refuse it")
}

// glass is told that a break-glass account signs in.
func (h *house) glass(tx *store.Tx, id string) error {
	return h.alarmAccess(tx, "access.break_glass", id, "Break-glass account used: %s has signed in")
}

// alarmAccess tells everybody on alarm about somebody's access, by her name. Each time is a task of its own: one that nobody has closed yet must not keep
// quiet what happens after it.
func (h *house) alarmAccess(tx *store.Tx, what, id, says string) error {
	name, err := h.gate.NameIn(tx, id)
	if err != nil {
		return err
	}
	_, err = h.comms.Alarm(tx, comms.Task{What: what, Of: id + " " + tx.Now().UTC().Format(time.RFC3339Nano), Title: fmt.Sprintf(says, cmp.Or(name, id))})
	return err
}

// copied owes somebody a look at a passkey whose count went back: one of the two who hold it is not its owner.
func (h *house) copied(tx *store.Tx, id string) error {
	_, err := h.comms.Alarm(tx, comms.Task{What: "access.passkey", Of: id, Title: "A passkey may have been copied; it opens nothing any more. Ask its owner: " + id})
	return err
}

// wayIn writes to the owner of an account that a way into it was changed.
func (h *house) wayIn(tx *store.Tx, w auth.WayIn) error {
	data, err := json.Marshal(templates.WayIn{What: w.What, By: w.By, Left: w.Left, At: tx.Now(), URL: h.cfg.url + "/desk/account"})
	if err != nil {
		return fmt.Errorf("write the facts of a way in: %w", err)
	}
	_, err = h.comms.Tell(tx, comms.Notice{Lane: comms.LaneUrgent, Name: templates.MsgWayIn, Channels: []string{comms.ChannelEmail}, Data: data,
		To: []comms.Direct{{Channel: comms.ChannelEmail, Address: w.Email, Locale: w.Locale}}})
	return err
}
