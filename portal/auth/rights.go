package auth

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/store/fault"
)

// Role is what somebody is to Lifeline. Her rights are the ones of her role in one table, and nothing else gives a right.
type Role string

// The roles.
const (
	Admin      Role = "admin"
	Commander  Role = "commander"
	Comms      Role = "comms"
	Approver   Role = "approver"
	Support    Role = "support"
	Engineer   Role = "engineer"
	Security   Role = "security"
	Automation Role = "automation"
	Auditor    Role = "auditor"
)

// Roles are all roles, in the order of the table's columns.
func Roles() []Role {
	return []Role{Admin, Commander, Comms, Approver, Support, Engineer, Security, Automation, Auditor}
}

// ParseRole reads a role by its name or by one of the other names that people use for it.
func ParseRole(name string) (Role, error) {
	folded := strings.ToLower(strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '-' || r == '_' }), " "))
	switch folded {
	case "incident manager", "incident lead":
		return Commander, nil
	case "csup":
		return Support, nil
	case "sre", "network", "engineering":
		return Engineer, nil
	case "management":
		return Approver, nil
	}
	if slices.Contains(Roles(), Role(folded)) {
		return Role(folded), nil
	}
	var names []string
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	return "", fault.BadField("role", "must be one of %s", strings.Join(names, ", "))
}

// Right is one thing that somebody may do, named noun.verb. Every route of the portal names the one it needs.
type Right string

// The rights.
const (
	PageRead Right = "page.read" // the staff pages as such; what they show has rights of its own

	IncidentDeclare Right = "incident.declare"
	IncidentEdit    Right = "incident.edit"  // severity, state, close
	IncidentRaise   Right = "incident.raise" // make it graver
	IncidentRole    Right = "incident.role"  // have a role in it
	IncidentRead    Right = "incident.read"  // with its log, ledger and coverage

	AffectedSet  Right = "affected.set"
	LedgerMove   Right = "ledger.move"   // up to rebuilt
	LedgerFinish Right = "ledger.finish" // passed, handed_back
	CheckWork    Right = "check.work"    // claim, submit and release checks of sites

	TaskRead Right = "task.read" // what somebody owes
	TaskWork Right = "task.work" // take it, end it

	RotaRead   Right = "rota.read"   // with asking somebody to stand in for oneself
	RotaManage Right = "rota.manage" // make rotas, and say who stands in for whom

	UpdateWrite   Right = "update.write" // with its working copy
	UpdateRead    Right = "update.read"  // drafts, previews, reach, deliveries
	UpdateApprove Right = "update.approve"
	UpdatePublish Right = "update.publish"
	UpdateRetract Right = "update.retract"
	UpdateStop    Right = "update.stop"
	NoticeFirst   Right = "notice.first"

	TicketFile  Right = "ticket.file" // for a customer; customers file their own without any right
	TicketRead  Right = "ticket.read"
	TicketWrite Right = "ticket.write"

	AccountRead   Right = "account.read"
	ContactRead   Right = "contact.read" // addresses masked
	ContactUnmask Right = "contact.unmask"
	ContactImport Right = "contact.import"
	ContactChange Right = "contact.change" // decide conflicts; propose changes of roles and addresses
	ProductEvent  Right = "product.event"  // what the product reports: sites deleted

	SecuritySet  Right = "security.set"  // the security cause of an incident
	SecurityRead Right = "security.read" // security incidents in which one is not named

	AuditRead   Right = "audit.read"
	StaffManage Right = "staff.manage"
	TokenIssue  Right = "token.issue" // with links; and to list and revoke tokens and sessions
	KeyManage   Right = "key.manage"
	PolicySet   Right = "policy.set"

	ContactExport Right = "contact.export"
	ChangePropose Right = "change.propose" // besides the right that the change itself needs
	ChangeRead    Right = "change.read"
	ChangeApprove Right = "change.approve"
	RecordDelete  Right = "record.delete" // accounts, contacts, tickets; and bring them back
	RecordMerge   Right = "record.merge"
	RecordPurge   Right = "record.purge"
)

// Grant says whether a role has a right, and where it has it only under a condition, which. A condition is never met by itself: see
// [Person.Can].
type Grant string

// The grants.
const (
	No            Grant = ""
	Yes           Grant = "yes"
	WithReason    Grant = "with reason"      // a reason is given and kept in the record
	WithAudit     Grant = "with audit"       // the act is written to the audit log and counted against a cap
	ByChecks      Grant = "by checks"        // it comes from a check that was submitted, not from her word
	ByRule        Grant = "by approved rule" // an approved rule does it; no free text
	SecurityTexts Grant = "security texts"   // for the security cause and updates that carry it, nothing else
	OwnChecks     Grant = "own checks"       // of the sites whose check she holds
)

// grants are the roles that have one right. The administrator is not in it: see Can.
type grants map[Role]Grant

type line struct {
	right Right
	says  string // what it lets somebody do, for people
	who   grants
}

// table is everything that anybody but an administrator may do. What is not in it is refused. Nothing changes it.
var table = []line{
	{PageRead, "open the staff pages", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes, Auditor: Yes}},

	{IncidentDeclare, "declare an incident", grants{Commander: Yes, Comms: Yes, Support: Yes, Automation: Yes}},
	{IncidentEdit, "change an incident's severity or state, and close it", grants{Commander: Yes}},
	{IncidentRaise, "make an incident graver by judgement", grants{Commander: Yes, Approver: WithReason, Engineer: WithReason}},
	{IncidentRole, "take or confirm a role in an incident, as far as one's own role may do what it does", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes}},
	{IncidentRead, "read incidents, their log, ledger and coverage", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes, Automation: Yes, Auditor: Yes}},

	{AffectedSet, "load the affected sites", grants{Commander: Yes, Engineer: Yes, Automation: Yes}},
	{LedgerMove, "move sites in the ledger, up to rebuilt", grants{Commander: Yes, Engineer: Yes, Automation: Yes}},
	{LedgerFinish, "move sites to passed or handed back", grants{Commander: WithReason, Support: ByChecks, Engineer: ByChecks}},
	{CheckWork, "check restored sites", grants{Support: Yes, Engineer: Yes}},

	{TaskRead, "read what is owed", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes, Auditor: Yes}},
	{TaskWork, "take, finish and drop what is owed", grants{Commander: Yes, Comms: Yes, Support: Yes, Engineer: Yes, Security: Yes}},

	{RotaRead, "see who is on duty, and ask somebody to stand in for oneself", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes, Auditor: Yes}},
	{RotaManage, "make rotas, and say who stands in for whom", grants{Commander: Yes}},

	{UpdateWrite, "write updates", grants{Commander: Yes, Comms: Yes, Support: Yes, Automation: ByRule}},
	{UpdateRead, "read drafts, previews, reach and deliveries", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Engineer: Yes, Security: Yes, Automation: ByRule, Auditor: Yes}},
	{UpdateApprove, "approve an update of somebody else", grants{Commander: Yes, Approver: Yes, Security: SecurityTexts}},
	{UpdatePublish, "publish an update", grants{Commander: Yes, Comms: Yes, Automation: ByRule}},
	{UpdateRetract, "retract an update", grants{Commander: Yes, Comms: Yes, Automation: ByRule}},
	{UpdateStop, "stop what has not been sent", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Automation: ByRule}},
	{NoticeFirst, "send the first notice", grants{Commander: Yes, Comms: Yes, Support: Yes, Automation: ByRule}},

	{TicketFile, "file tickets for customers", grants{Commander: Yes, Support: Yes, Automation: Yes}},
	{TicketRead, "read tickets", grants{Commander: Yes, Comms: Yes, Support: Yes, Engineer: OwnChecks, Security: Yes, Auditor: Yes}},
	{TicketWrite, "answer and change tickets", grants{Commander: Yes, Support: Yes, Engineer: OwnChecks}},

	{AccountRead, "read accounts and their sites", grants{Commander: Yes, Comms: Yes, Support: Yes, Engineer: OwnChecks, Security: Yes, Auditor: Yes}},
	{ContactRead, "read contacts, addresses masked", grants{Commander: Yes, Comms: Yes, Support: Yes, Engineer: OwnChecks, Security: Yes, Auditor: Yes}},
	{ContactUnmask, "see contacts' addresses in full", grants{Commander: WithAudit, Support: WithAudit, Security: WithAudit}},
	{ContactImport, "import contacts", grants{Automation: Yes}},
	{ContactChange, "decide conflicts about contacts, and propose changes of their roles and addresses", grants{Commander: Yes, Support: Yes}},
	{ProductEvent, "report what happened in the product", grants{Automation: Yes}},

	{SecuritySet, "set the security cause", grants{Security: Yes}},
	{SecurityRead, "read security incidents without being named in them", grants{Security: Yes, Auditor: Yes}},

	{AuditRead, "read the audit log", grants{Security: Yes, Auditor: Yes}},
	{StaffManage, "manage staff", grants{}},
	{TokenIssue, "issue, list and revoke tokens and sessions", grants{}},
	{KeyManage, "manage keys", grants{}},
	{PolicySet, "change the policy", grants{}},

	{ContactExport, "export all contacts, once a second person agreed", grants{Commander: Yes}},
	{ChangePropose, "propose, run and undo changes of many records", grants{Commander: Yes, Support: Yes}},
	{ChangeRead, "read changes and their dry runs", grants{Commander: Yes, Comms: Yes, Approver: Yes, Support: Yes, Security: Yes, Auditor: Yes}},
	{ChangeApprove, "approve a change of somebody else", grants{Commander: Yes, Approver: Yes}},
	{RecordDelete, "delete accounts, contacts and tickets, and bring them back", grants{Commander: Yes, Support: Yes}},
	{RecordMerge, "merge accounts and contacts that are one, once a second person agreed", grants{Commander: Yes, Support: Yes}},
	{RecordPurge, "remove for good what was deleted and kept its time, once a second person agreed", grants{}},
}

// Rights are all rights, in the order of the table.
func Rights() []Right {
	var all []Right
	for _, l := range table {
		all = append(all, l.right)
	}
	return all
}

// Can looks up the table. An administrator has every right but the security cause; that nobody approves her own work holds for her as
// for everyone, and is kept where the approval is written. An unknown role or right is No.
func Can(role Role, right Right) Grant {
	for _, l := range table {
		if l.right != right {
			continue
		}
		if role == Admin && right != SecuritySet {
			return Yes
		}
		return l.who[role]
	}
	return No
}

// whoHas names the roles with a right, for the person who lacks it.
func whoHas(right Right) string {
	var names []string
	for _, r := range Roles() {
		switch g := Can(r, right); g {
		case No:
		case Yes:
			names = append(names, string(r))
		default:
			names = append(names, fmt.Sprintf("%s (%s)", r, g))
		}
	}
	if len(names) == 0 {
		return "no role"
	}
	return strings.Join(names, ", ")
}

// RightsTable is the table as Markdown, for the documentation.
func RightsTable() string {
	var b strings.Builder
	b.WriteString("| Right | What it lets somebody do |")
	for _, r := range Roles() {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(Roles())) + "\n")
	for _, l := range table {
		fmt.Fprintf(&b, "| `%s` | %s |", l.right, l.says)
		for _, r := range Roles() {
			g := Can(r, l.right)
			if g == No {
				g = "-"
			}
			fmt.Fprintf(&b, " %s |", g)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
