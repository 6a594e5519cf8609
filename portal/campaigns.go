package portal

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/auth"
)

// campaignRoutes tell how well the contacts are known.
func (p *Portal) campaignRoutes() []route {
	return []route{
		{method: "GET", path: "/api/v1/contacts/report", right: auth.AccountRead, tag: "contacts", summary: "the contacts by freshness, and what changed since the audit that was kept last", answer: comms.Audit{}, do: func(k *call) error {
			a, err := p.Comms.ContactsReport(k.UserContext())
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, a)
		}},
		{method: "POST", path: "/api/v1/contacts/report", right: auth.TicketWrite, tag: "contacts", summary: "keep the report of now as the audit, and end the task that asked for it", answer: comms.Audit{}, do: func(k *call) error {
			a, err := p.Comms.KeepReport(k.UserContext(), k.person.ID)
			if err != nil {
				return err
			}
			return send(k.Ctx, 200, a)
		}},
		{method: "GET", path: "/api/v1/contacts/recoverability", right: auth.AccountRead, tag: "contacts", summary: "how well each customer could be recovered, the worst first; format=csv for a table", query: []string{"after", "limit", "format"},
			answer: comms.Recoverability{}, gives: "text/csv", do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				table := k.wantsTable()
				if table && k.Query("limit") == "" {
					limit = -1 // a table has no next page to ask for
				}
				r, err := p.Comms.Recoverability(k.UserContext(), k.Query("after"), limit)
				if err != nil {
					return err
				}
				if table {
					names, err := p.namesOf(k.UserContext(), r.Items)
					if err != nil {
						return err
					}
					return k.sendCSV("recoverability.csv", recoverabilityRows(r, names))
				}
				return send(k.Ctx, 200, r)
			}},
	}
}

func recoverabilityRows(r comms.Recoverability, names map[string]string) [][]string {
	rows := [][]string{{"account_id", "account", "recoverable", "reasons", "sites", "confirmed_contacts", "approved_contacts", "mail_domains", "channels", "phone", "recovery_codes", "verified_domain", "asked_at", "answered_at"}}
	for _, a := range r.Items {
		rows = append(rows, []string{a.Account, names[a.Account], strconv.FormatBool(a.Recoverable), strings.Join(a.Reasons, ";"), itoa(a.Sites), itoa(a.Confirmed), itoa(a.Approved),
			itoa(a.Domains), itoa(a.Channels), strconv.FormatBool(a.Phone), itoa(a.Codes), strconv.FormatBool(a.Domain), cellTime(a.AskedAt), cellTime(a.AnsweredAt)})
	}
	return rows
}

func cellTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// writeCells writes a row of a table. A cell that a spreadsheet would run as a formula begins with an apostrophe (OWASP, CSV injection).
func writeCells(w *csv.Writer, row []string) error {
	safe := make([]string, len(row))
	for i, cell := range row {
		safe[i] = contacts.Guarded(cell)
	}
	return w.Write(safe)
}

// wantsTable says whether a list is asked for as a table.
func (k *call) wantsTable() bool {
	return k.Query("format") == "csv" || k.Query("format") == "" && k.Accepts(fiber.MIMEApplicationJSON, "text/csv") == "text/csv"
}

// sendCSV answers with a table.
func (k *call) sendCSV(name string, rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, row := range rows {
		if err := writeCells(w, row); err != nil {
			return err
		}
	}
	if w.Flush(); w.Error() != nil {
		return w.Error()
	}
	k.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	k.Set(fiber.HeaderContentDisposition, `attachment; filename="`+name+`"`)
	return k.Send(b.Bytes())
}
