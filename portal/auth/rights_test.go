package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/store/fault"
)

// outline is the table of roles as it was agreed with everyone who builds on Lifeline.
const outline = `
| Right | commander | comms | approver | support | engineer | security | automation | auditor |
|---|---|---|---|---|---|---|---|---|
| declare, severity, close | yes | declare | - | declare | - | - | declare | - |
| affected set, ledger up to rebuilt | yes | - | - | - | yes | - | yes | - |
| passed, handed_back | with reason | - | - | by checks | by checks | - | - | - |
| write updates, first notice | yes | yes | - | yes | - | - | by approved rule | - |
| approve (never one's own) | yes | - | yes | - | - | security texts | - | - |
| publish, retract, stop | yes | yes | stop | stop | - | - | by approved rule | - |
| tickets, accounts | yes | read | - | yes | own checks | read | file | - |
| contacts unmasked | with audit | - | - | with audit | - | with audit | import only | - |
| security cause | - | - | - | - | - | yes | - | - |
| audit log, all reads | - | - | - | - | - | yes | - | yes |
| staff, keys, policy | - | - | - | - | - | - | - | - |
`

// meaning spells out what a row's rights are, and what the words that stand for a part of them mean. Words that are not here are the same
// grant for every right of the row.
var meaning = map[string]struct {
	rights []Right
	parts  map[string][]Right
}{
	"declare, severity, close":           {[]Right{IncidentDeclare, IncidentEdit}, map[string][]Right{"declare": {IncidentDeclare}}},
	"affected set, ledger up to rebuilt": {[]Right{AffectedSet, LedgerMove}, nil},
	"passed, handed_back":                {[]Right{LedgerFinish}, nil},
	"write updates, first notice":        {[]Right{UpdateWrite, NoticeFirst}, nil},
	"approve (never one's own)":          {[]Right{UpdateApprove}, nil},
	"publish, retract, stop":             {[]Right{UpdatePublish, UpdateRetract, UpdateStop}, map[string][]Right{"stop": {UpdateStop}}},
	"tickets, accounts": {[]Right{TicketFile, TicketRead, TicketWrite, AccountRead, ContactRead}, map[string][]Right{
		"read": {TicketRead, AccountRead, ContactRead}, "file": {TicketFile}, "own checks": {TicketRead, TicketWrite, AccountRead, ContactRead},
	}},
	"contacts unmasked":    {[]Right{ContactUnmask, ContactImport, ProductEvent}, map[string][]Right{"with audit": {ContactUnmask}, "import only": {ContactImport, ProductEvent}}},
	"security cause":       {[]Right{SecuritySet}, nil},
	"audit log, all reads": {[]Right{AuditRead, IncidentRead, UpdateRead, TicketRead, AccountRead, ContactRead}, nil},
	"staff, keys, policy":  {[]Right{StaffManage, TokenIssue, KeyManage, PolicySet}, nil},
}

// besides are rights that the outline leaves open: what one must read to do the rest.
var besides = map[Right][]Role{
	PageRead:      {Commander, Comms, Approver, Support, Engineer, Security, Auditor},
	RotaRead:      {Commander, Comms, Approver, Support, Engineer, Security, Auditor},
	RotaManage:    {Commander},
	IncidentRead:  {Commander, Comms, Approver, Support, Engineer, Automation},
	SecurityRead:  {Security, Auditor},
	IncidentRole:  {Commander, Comms, Approver, Support, Engineer, Security},
	UpdateRead:    {Commander, Comms, Approver, Support, Engineer},
	TaskRead:      {Commander, Comms, Approver, Support, Engineer, Security, Auditor},
	ContactChange: {Commander, Support},
	TaskWork:      {Commander, Comms, Support, Engineer, Security},
	CheckWork:     {Support, Engineer}, // how "by checks" comes about
}

// onJudgement are the rights that somebody has who gives a reason.
var onJudgement = map[Right][]Role{IncidentRaise: {Approver, Engineer}}

// forChanges are the rights to what takes two people.
var forChanges = map[Right][]Role{
	ContactExport: {Commander},
	ChangePropose: {Commander, Support},
	ChangeRead:    {Commander, Comms, Approver, Support, Security, Auditor},
	ChangeApprove: {Commander, Approver},
	RecordDelete:  {Commander, Support},
	RecordMerge:   {Commander, Support},
}

func TestRightsAreTheOutline(t *testing.T) {
	want := map[Right]map[Role]Grant{}
	for _, r := range Rights() {
		want[r] = map[Role]Grant{}
	}
	lines := strings.Split(strings.TrimSpace(outline), "\n")
	heads := cells(lines[0])[1:]
	for _, l := range lines[2:] {
		row := cells(l)
		m, ok := meaning[row[0]]
		if !ok {
			t.Fatalf("nobody says what %q means", row[0])
		}
		for i, cell := range row[1:] {
			role := Role(heads[i])
			rights, grant := m.rights, Grant(cell)
			if part, ok := m.parts[cell]; ok {
				rights = part
				if !slices.Contains([]Grant{WithAudit, OwnChecks}, grant) {
					grant = Yes
				}
			}
			if cell == "-" {
				continue // rights are added up: a row without one takes nothing that another gives
			}
			for _, r := range rights {
				want[r][role] = grant
			}
		}
	}
	for right, roles := range besides {
		for _, role := range roles {
			want[right][role] = Yes
		}
	}
	for right, roles := range onJudgement {
		want[right][Commander] = Yes
		for _, role := range roles {
			want[right][role] = WithReason
		}
	}
	for right, roles := range forChanges {
		for _, role := range roles {
			want[right][role] = Yes
		}
	}
	want[UpdateRead][Automation] = ByRule // what its own rule published
	for _, right := range Rights() {
		want[right][Admin] = Yes
		if right == SecuritySet {
			want[right][Admin] = No
		}
		for _, role := range Roles() {
			if got := Can(role, right); got != want[right][role] {
				t.Errorf("%s, %s: %q in the code, %q in the outline", role, right, got, want[right][role])
			}
		}
	}
}

func cells(line string) []string {
	parts := strings.Split(strings.Trim(line, "|"), "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func TestWhatNobodyHeardOfIsRefused(t *testing.T) {
	for _, role := range append(Roles(), "", "root", "Admin", "admin ") {
		if g := Can(role, "store.drop"); g != No {
			t.Errorf("%q may store.drop: %q", role, g)
		}
		if g := Can(role, ""); g != No {
			t.Errorf("%q may nothing at all: %q", role, g)
		}
	}
	for _, role := range []Role{"", "root", "Admin", "admin "} {
		for _, right := range Rights() {
			if g := Can(role, right); g != No {
				t.Errorf("%q may %s: %q", role, right, g)
			}
		}
	}
}

func TestARightIsDeclaredOnce(t *testing.T) {
	all := Rights()
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("a right stands in the table twice")
	}
	for _, r := range all {
		if noun, verb, ok := strings.Cut(string(r), "."); !ok || noun == "" || verb == "" {
			t.Errorf("%q is not noun.verb", r)
		}
	}
}

func TestAConditionIsNeverMetByItself(t *testing.T) {
	lead := Person{Role: Commander}
	if err := lead.Can(LedgerFinish); fault.Of(err) != fault.Forbidden {
		t.Errorf("without a reason: %v", err)
	}
	if err := lead.Can(LedgerFinish, WithReason); err != nil {
		t.Errorf("with a reason: %v", err)
	}
	if err := lead.Can(LedgerFinish, ByChecks); fault.Of(err) != fault.Forbidden {
		t.Errorf("with another condition: %v", err)
	}
	if err := (Person{Role: Auditor}).Can(LedgerFinish, No, WithReason, ByChecks); fault.Of(err) != fault.Forbidden {
		t.Errorf("an auditor: %v", err)
	}
	if err := (Person{}).Can(PageRead, No, Yes); fault.Of(err) != fault.Forbidden {
		t.Errorf("nobody: %v", err)
	}
	if err := (Person{Role: Automation}).Can(UpdatePublish); fault.Of(err) != fault.Forbidden {
		t.Errorf("a program without a rule: %v", err)
	}
}

func TestARefusalNamesTheRightAndWhoHasIt(t *testing.T) {
	err := Person{Role: Support}.Can(UpdatePublish)
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != fault.Forbidden {
		t.Fatal(err)
	}
	for _, part := range []string{"update.publish", "admin, commander, comms, automation (by approved rule)", "support"} {
		if !strings.Contains(e.Message, part) {
			t.Errorf("%q does not say %q", e.Message, part)
		}
	}
}

func TestOtherNamesOfRoles(t *testing.T) {
	for name, want := range map[string]Role{
		"commander": Commander, "Incident Manager": Commander, "incident-lead": Commander, "CSUP": Support, "SRE": Engineer, "network": Engineer,
		"Engineering": Engineer, "management": Approver, " auditor ": Auditor, "incident_lead": Commander,
	} {
		if got, err := ParseRole(name); err != nil || got != want {
			t.Errorf("ParseRole(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "root", "lead", "admin;", "аdmin"} {
		if got, err := ParseRole(name); fault.Of(err) != fault.Invalid {
			t.Errorf("ParseRole(%q) = %q, %v", name, got, err)
		}
	}
}

func TestRightsTableShowsEveryRight(t *testing.T) {
	table := RightsTable()
	for _, r := range Rights() {
		if !strings.Contains(table, fmt.Sprintf("| `%s` |", r)) {
			t.Errorf("%s is not in the table", r)
		}
	}
	for _, l := range strings.Split(strings.TrimSpace(table), "\n") {
		if got, want := strings.Count(l, "|"), len(Roles())+3; got != want {
			t.Errorf("%d bars, want %d: %s", got, want, l)
		}
	}
}
