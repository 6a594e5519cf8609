package comms

import (
	"cmp"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Policy is comms's section of the policy file. Every duration can be set, down to a second.
type Policy struct {
	Categories    []string                 `yaml:"categories" json:"categories"`
	NextUpdate    map[string]time.Duration `yaml:"next_update" json:"next_update"`         // by severity: the longest promise without a finding
	FirstWord     map[string]time.Duration `yaml:"first_word" json:"first_word"`           // by channel: within it of its declaration the first word of a P0 or P1 is out
	Ladders       map[string]Ladder        `yaml:"ladders" json:"ladders"`                 // by deadline: who is told
	OnDuty        Ladder                   `yaml:"on_duty" json:"on_duty"`                 // of what has no ladder, once staff have accounts
	Near          time.Duration            `yaml:"near" json:"near"`                       // so long before a promise to readers passes are those on duty told of it; 0: not
	Call          []Post                   `yaml:"call" json:"call"`                       // who is called when a P0 or P1 is declared, once staff have accounts
	Commanded     time.Duration            `yaml:"commanded" json:"commanded"`             // within it somebody takes command of it
	SecondRead    time.Duration            `yaml:"second_reading" json:"second_reading"`   // of a first notice
	Classify      time.Duration            `yaml:"classify" json:"classify"`               // of a P0 or P1 that was declared without all facts
	PageOnly      time.Duration            `yaml:"page_only_after" json:"page_only_after"` // no approver for so long: the author of a P0 may publish to the page
	NoAnswer      time.Duration            `yaml:"no_answer" json:"no_answer"`             // a passed site counts as handed back after it
	TaskDue       map[string]time.Duration `yaml:"task_due" json:"task_due"`               // by a task's what or its family: how long it may take; "default": the others
	CoverEvery    time.Duration            `yaml:"cover_every" json:"cover_every"`         // how often affected sets are compared with whom the book can reach
	Confirm       Confirm                  `yaml:"confirm" json:"confirm"`                 // how contacts are asked whether we still reach them
	Reviews       []Review                 `yaml:"reviews" json:"reviews"`                 // what people look at each quarter, say
	Retry         Retry                    `yaml:"retry" json:"retry"`
	Lease         time.Duration            `yaml:"lease" json:"lease"`           // of a page; outlasts the longest SMTP phase or is renewed
	Workers       int                      `yaml:"workers" json:"workers"`       // pages worked on at once
	Senders       int                      `yaml:"senders" json:"senders"`       // messages under way at once in one page
	PerDomain     int                      `yaml:"per_domain" json:"per_domain"` // of them to one recipient domain, in all pages
	MailDown      time.Duration            `yaml:"mail_down" json:"mail_down"`   // no relay took mail for so long: texts are offered to those who wait
	SMSValid      time.Duration            `yaml:"sms_valid" json:"sms_valid"`
	Internal      []Direct                 `yaml:"internal" json:"internal"` // told when an incident is declared
	Lists         map[string][]Direct      `yaml:"lists" json:"lists"`       // who is told by the audiences partners, media and list:NAME
	Components    []ComponentPolicy        `yaml:"components" json:"components"`
	InternalNames []string                 `yaml:"internal_names" json:"internal_names"` // of machines, projects and tools: no statement may hold one
	Links         []string                 `yaml:"links" json:"links"`                   // hosts that updates may link to besides this portal's own
	PointStandard time.Duration            `yaml:"point_standard" json:"point_standard"` // a restore point that lies further back before the loss is older than the standard
	Texting       Texting                  `yaml:"texting" json:"texting"`               // what an SMS costs, and how fast it goes
	Targets       map[string]Target        `yaml:"targets" json:"targets"`               // by tier, T0 to T3: how soon a service is back, and how much it may lose
	Thresholds    map[string]Threshold     `yaml:"thresholds" json:"thresholds"`         // by name: which of our own figures page whoever is on duty
	BatchMost     int                      `yaml:"batch_most" json:"batch_most"`         // sites in one batch
	Playbooks     map[string][]string      `yaml:"playbooks" json:"playbooks"`           // by category, and "default": the playbooks with which a grave incident begins
	Checklists    map[string][]Item        `yaml:"checklists" json:"checklists"`         // what a list of that name is until somebody publishes it

	// Automatic is what the ledger says by itself.
	Automatic Automatic `yaml:"automatic" json:"automatic"`
	// Subscribe is what strangers may ask of us.
	Subscribe Subscribing `yaml:"subscribe" json:"subscribe"`
	// Levels say what belongs to each severity, by language.
	Levels map[string]map[string]string `yaml:"levels" json:"levels"`

	// Estimate is when another estimate is news.
	Estimate Estimating `yaml:"estimate" json:"estimate"`

	// PageEntry are the severities of which the page tells at their declaration, without a word of the declarer's; none: it waits for the first word.
	PageEntry []string `yaml:"page_entry" json:"page_entry"`

	// CategoryNames is how desk and page call a category; without one they use the built-in word, or the category as it is.
	CategoryNames map[string]string `yaml:"category_names" json:"category_names"`

	// SeverityConfirmed is within what whoever took command of a grave incident says that it is as grave as was said.
	SeverityConfirmed time.Duration `yaml:"severity_confirmed" json:"severity_confirmed"`

	// Meeting is how often the core team of a grave incident meets; MeetingLate is when one that has not been closed counts as late.
	Meeting     time.Duration `yaml:"meeting" json:"meeting"`
	MeetingLate time.Duration `yaml:"meeting_late" json:"meeting_late"`

	// MajorProblem is how many incidents of one problem make it a major one; a P0 always does.
	MajorProblem int `yaml:"major_problem" json:"major_problem"`
}

// ComponentPolicy names a part of the vendor's service for the public pages, in their order. An update's scope.products name it by Name.
type ComponentPolicy struct {
	Name        string `yaml:"name" json:"name"`
	Group       string `yaml:"group" json:"group"`
	Description string `yaml:"description" json:"description"`
	Kind        string `yaml:"kind" json:"kind"`   // one of componentKinds, or ""
	Tier        *int   `yaml:"tier" json:"tier"`   // 0 (most urgent) to 3: which targets it is held to; null: those of the contacts' default
	Owner       string `yaml:"owner" json:"owner"` // who answers for its targets

	// Champion sees to it that it can be recovered, SRE keeps it running, and Lead is who of leadership stands for it: each an account by its id, name or e-mail address.
	Champion string `yaml:"champion" json:"champion"`
	SRE      string `yaml:"sre" json:"sre"`
	Lead     string `yaml:"lead" json:"lead"`
}

// componentKinds are the sorts of parts that a service is made of, the suppliers' among them.
var componentKinds = []string{"website", "api", "third_party", "network", "supplier_software", "supplier_hardware"}

// CategoryName is how people call a category.
func (p Policy) CategoryName(category string) string {
	return cmp.Or(p.CategoryNames[category], category)
}

// Ladder is who is told when a deadline passes, one rung after the other.
type Ladder []Rung

// Rung is told After the deadline passed (the first often at once), or before it passes where After is below zero.
type Rung struct {
	After time.Duration `yaml:"after" json:"after"`
	To    []Direct      `yaml:"to" json:"to"`
	Staff []Post        `yaml:"staff" json:"staff"` // people by role or by name, by mail and by SMS
}

// Retry is when a deferred delivery is tried again.
type Retry struct {
	Waits  []time.Duration `yaml:"waits" json:"waits"`   // the last one repeats
	Jitter float64         `yaml:"jitter" json:"jitter"` // share of a wait that chance adds
	Most   int             `yaml:"most" json:"most"`     // attempts; then it has failed
	// Unknown is how often a message whose fate nobody knows is sent again, by channel. A second copy of an e-mail carries the same
	// Message-ID and does little harm, and so does one of a post with its webhook-id; a second SMS costs money and trust, and its provider will say what became of the first.
	Unknown map[string]int `yaml:"unknown" json:"unknown"`
}

// DefaultPolicy is what is in force when the policy file says nothing.
func DefaultPolicy() Policy {
	call, commanded := defaultCall()
	return Policy{
		Categories: []string{"availability", "performance", "data", "access", "security", "third_party", "maintenance"},
		Levels:     defaultLevels(),
		NextUpdate: map[string]time.Duration{"P0": 2 * time.Hour, "P1": 4 * time.Hour, "P2": 24 * time.Hour, "P3": 24 * time.Hour},
		FirstWord:  map[string]time.Duration{ChannelPage: 2 * time.Hour, ChannelEmail: 2 * time.Hour},
		Ladders:    map[string]Ladder{},
		OnDuty:     onDuty(),
		Near:       15 * time.Minute,
		Call:       call, Commanded: commanded,
		SeverityConfirmed: 15 * time.Minute,
		Meeting:           3 * time.Hour, MeetingLate: 30 * time.Minute,
		MajorProblem: 3,
		SecondRead:   time.Hour,
		Classify:     time.Hour,
		PageOnly:     15 * time.Minute,
		NoAnswer:     72 * time.Hour,
		TaskDue: map[string]time.Duration{dueOtherwise: 72 * time.Hour, "outreach": 24 * time.Hour, Escalation: 4 * time.Hour, "finding": 24 * time.Hour, "ticket": 4 * time.Hour,
			"finding.sites_vanished": 15 * time.Minute, "finding.page_bucket": 15 * time.Minute, reviewFamily: 14 * day, ProblemFamily: 14 * day},
		Reviews:    defaultReviews(),
		CoverEvery: 15 * time.Second,
		Confirm: Confirm{Every: time.Minute, Interval: 90 * day, Settle: day, PerHour: 200, FromHour: 8, ToHour: 18, Remind: 7 * day, Text: 7 * day, Outreach: 3 * day,
			FirstDay: 50, Growth: 1.5, Audit: 91 * day},
		Retry: Retry{Waits: []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}, Jitter: 0.2, Most: 12,
			Unknown: map[string]int{ChannelEmail: 1, ChannelWebhook: 1}},
		Lease:         2 * time.Minute,
		Workers:       4,
		Senders:       16,
		PerDomain:     20,
		MailDown:      5 * time.Minute,
		SMSValid:      4 * time.Hour,
		Texting:       Texting{Currency: "USD", Rate: 1}, // what one ordinary number sends
		BatchMost:     60,
		PointStandard: 5 * time.Minute,
		Targets:       defaultTargets(),
		Thresholds:    defaultThresholds(),
		Automatic:     defaultAutomatic(),
		Estimate:      defaultEstimating(),
		Subscribe:     Subscribing{PerAddress: 3, Texts: 200, PerRange: 20, Unanswered: 7 * day, Hooks: 500, Ports: []int{443}, PerHost: 200, PauseAfter: 5, PauseOver: 3 * day},
		Playbooks:     defaultPlaybooks(),
		Checklists:    map[string][]Item{SiteCheckList: defaultSiteCheck()},
	}
}

// SiteCheckList is the name of the list by which restored sites are checked.
const SiteCheckList = "site_check"

func defaultSiteCheck() []Item {
	return []Item{
		{Key: "opens", Text: "The site opens", Texts: Said{"zh-CN": "站点可以打开", "ja": "サイトが開く"}, Required: true, Evidence: EvidenceNone, Stop: true},
		{Key: "admin", Text: "An administrator can sign in", Texts: Said{"zh-CN": "管理员可以登录", "ja": "管理者がサインインできる"}, Required: true, Evidence: EvidenceProbe, Stop: true},
		{Key: "newest", Text: "The newest entry is as old as the restore point says", Texts: Said{"zh-CN": "最新一条记录的时间与恢复点相符", "ja": "最新のデータの日時が復元時点と合っている"}, Required: true, Evidence: EvidenceText},
		{Key: "files", Text: "Attachments open: how many were tried", Texts: Said{"zh-CN": "附件可以打开：试了几个", "ja": "添付ファイルが開く：試した件数"}, Required: true, Evidence: EvidenceNumber, MayBeNA: true},
		{Key: "apps", Text: "Apps and integrations answer", Texts: Said{"zh-CN": "应用和集成有响应", "ja": "アプリと連携が応答する"}, Required: true, Evidence: EvidenceNone, MayBeNA: true},
		{Key: "people", Text: "Users, groups and permissions are there", Texts: Said{"zh-CN": "用户、群组和权限都在", "ja": "ユーザー、グループ、権限が揃っている"}, Required: true, Evidence: EvidenceNone},
	}
}

// Check names every value that cannot be used, by its name in the policy file.
func (p Policy) Check() error {
	var f []fault.Field
	bad := func(field, format string, args ...any) { f = append(f, wrong("comms."+field, format, args...)) }
	if len(p.Categories) == 0 {
		bad("categories", "is empty: a P0 could not be declared")
	}
	for i, c := range p.Categories {
		f = prose{most: 60, required: true}.bad(f, fmt.Sprintf("comms.categories[%d]", i), c)
	}
	for category, name := range p.CategoryNames {
		field := "category_names." + bounded(category)
		if !slices.Contains(p.Categories, category) {
			bad(field, "names no category of comms.categories")
		}
		f = prose{most: 60, required: true}.bad(f, "comms."+field, name)
	}
	for severity, d := range p.NextUpdate {
		if !slices.Contains(severities, severity) || d <= 0 {
			bad("next_update."+bounded(severity), "must be a duration above 0 for one of %s", strings.Join(severities, ", "))
		}
	}
	for channel, d := range p.FirstWord {
		if !slices.Contains([]string{ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket}, channel) || d <= 0 {
			bad("first_word."+bounded(channel), "must be a duration above 0 for one of email, sms, page, ticket")
		}
	}
	for name, d := range map[string]time.Duration{"second_reading": p.SecondRead, "classify": p.Classify, "commanded": p.Commanded, "severity_confirmed": p.SeverityConfirmed, "meeting": p.Meeting, "meeting_late": p.MeetingLate, "page_only_after": p.PageOnly, "no_answer": p.NoAnswer, "lease": p.Lease, "sms_valid": p.SMSValid, "mail_down": p.MailDown, "point_standard": p.PointStandard} {
		if d <= 0 {
			bad(name, "must be above 0")
		}
	}
	if p.Near < 0 {
		bad("near", "must not be below 0")
	}
	if p.CoverEvery < shortestTurn {
		bad("cover_every", "must be at least %s", shortestTurn)
	}
	for what, d := range p.TaskDue {
		if d <= 0 {
			bad("task_due."+bounded(what), "must be above 0")
		}
	}
	if p.TaskDue[dueOtherwise] <= 0 {
		bad("task_due."+dueOtherwise, "is missing")
	}
	if p.Workers < 1 || p.Senders < 1 || p.PerDomain < 1 {
		bad("workers", "senders and per_domain must be at least 1")
	}
	if p.Texting.Price < 0 || p.Texting.Rate <= 0 || len(p.Texting.Currency) != 3 {
		bad("texting", "needs a price of 0 or more, a currency of three letters and a rate above 0")
	}
	if p.MajorProblem < 2 {
		bad("major_problem", "must be at least 2")
	}
	if p.BatchMost < 1 {
		bad("batch_most", "must be at least 1")
	}
	for name, items := range p.Checklists {
		f = badItems(f, "comms.checklists."+bounded(name), items)
	}
	if len(p.Retry.Waits) == 0 || slices.ContainsFunc(p.Retry.Waits, func(d time.Duration) bool { return d <= 0 }) || p.Retry.Jitter < 0 || p.Retry.Jitter > 1 || p.Retry.Most < 1 {
		bad("retry", "needs waits above 0, a jitter from 0 to 1, and at least 1 attempt")
	}
	f = p.Confirm.bad(f)
	f = p.Subscribe.bad(f)
	f = p.Automatic.bad(f)
	f = p.Estimate.bad(f)
	for i, severity := range p.PageEntry {
		f = oneOf(f, fmt.Sprintf("comms.page_entry[%d]", i), severity, severities...)
	}
	f = p.badReviews(f)
	f = p.badPlaybooks(f)
	f = badLevels(f, p.Levels)
	f = badDirect(f, "comms.internal", p.Internal)
	for i, name := range p.InternalNames {
		f = prose{most: 60, required: true}.bad(f, fmt.Sprintf("comms.internal_names[%d]", i), name)
	}
	for name, to := range p.Lists {
		if !listForm.MatchString(name) {
			bad("lists."+bounded(name), "must be named with lower-case letters, digits and hyphens")
		}
		f = badDirect(f, "comms.lists."+bounded(name), to)
	}
	for what, ladder := range p.Ladders {
		f = ladder.bad(f, "comms.ladders."+bounded(what))
	}
	f = p.OnDuty.bad(f, "comms.on_duty")
	f = p.badThresholds(p.badTargets(p.badComponents(f)))
	if len(f) > 0 {
		slices.SortStableFunc(f, func(a, b fault.Field) int { return strings.Compare(a.Field, b.Field) })
		return fault.BadFields(f...)
	}
	return nil
}

func (l Ladder) bad(f []fault.Field, name string) []fault.Field {
	for i, rung := range l {
		field := fmt.Sprintf("%s[%d]", name, i)
		if i > 0 && rung.After < l[i-1].After {
			f = append(f, wrong(field, "must come after the rung before it"))
		}
		f = badDirect(f, field+".to", rung.To)
		for j, post := range rung.Staff {
			at := fmt.Sprintf("%s.staff[%d]", field, j)
			if named := len(slices.DeleteFunc([]string{post.Role, post.Person, post.Seat}, func(s string) bool { return s == "" })); named != 1 {
				f = append(f, wrong(at, "must name a role, a person or a seat"))
			}
			if post.Seat != "" {
				f = oneOf(f, at+".seat", post.Seat, append(IncidentRoles(), SeatAll, SeatOpen, SeatOwner)...)
			}
		}
	}
	return f
}

func (p Policy) badComponents(f []fault.Field) []fault.Field {
	seen := map[string]bool{}
	for i, c := range p.Components {
		field := fmt.Sprintf("comms.components[%d]", i)
		f = prose{most: 100, required: true}.bad(f, field+".name", c.Name)
		f = prose{most: 100}.bad(f, field+".group", c.Group)
		f = prose{most: 300}.bad(f, field+".description", c.Description)
		if c.Kind != "" {
			f = oneOf(f, field+".kind", c.Kind, componentKinds...)
		}
		if c.Tier != nil && (*c.Tier < 0 || *c.Tier >= tierCount) {
			f = append(f, wrong(field+".tier", "must be 0 to 3"))
		}
		f = prose{most: 100}.bad(f, field+".owner", c.Owner)
		for _, d := range c.duties() {
			f = prose{most: 200}.bad(f, field+"."+d.Duty, d.Person)
		}
		if key := squeeze(c.Name); seen[key] {
			f = append(f, wrong(field+".name", "names %.60q twice; updates name components by name", c.Name))
		} else {
			seen[key] = true
		}
	}
	return f
}

var listForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

var phoneForm = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`) // E.164

// badDirect names addresses that could never be sent to: one of them would make every declaration fail.
func badDirect(f []fault.Field, field string, to []Direct) []fault.Field {
	if len(to) > mostDirect {
		f = append(f, wrong(field, "names more than %d addresses", mostDirect))
	}
	for i, d := range to {
		at := fmt.Sprintf("%s[%d]", field, i)
		a, err := mail.ParseAddress(d.Address)
		switch {
		case d.Channel == ChannelEmail && (err != nil || a.Address != d.Address):
			f = append(f, wrong(at+".address", "is %.80q, which is not an e-mail address", d.Address))
		case d.Channel == ChannelSMS && !phoneForm.MatchString(d.Address):
			f = append(f, wrong(at+".address", "is %.80q, which is not a number such as +12025550101", d.Address))
		case d.Channel != ChannelEmail && d.Channel != ChannelSMS:
			f = append(f, wrong(at+".channel", "is %.40q; it must be email or sms", d.Channel))
		}
		f = prose{most: 100}.bad(f, at+".name", d.Name)
	}
	return f
}
