package portal

import (
	"slices"

	"lifeline/portal/auth"
	"lifeline/store"
)

// auditRoutes show who did what to which records, the newest first, to those who look behind others: it holds ids and reasons, and no name of a customer.
func (p *Portal) auditRoutes() []route {
	return []route{
		{method: "GET", path: "/api/v1/audit", right: auth.AuditRead, tag: "audit", summary: "the audit log, the newest row first; of what one person did or what was done to one record, with the id in of. A page may hold fewer rows than asked for",
			query: []string{"of", "after", "limit"}, answer: list[auditAnswer]{}, do: func(k *call) error {
				limit, err := limitParam(k.Ctx)
				if err != nil {
					return err
				}
				rows, next, _, err := k.auditLog(limit)
				if err != nil {
					return err
				}
				return sendList(k, rows, next, auditOf)
			}},
		{method: "GET", path: "/desk/audit", page: true, right: auth.AuditRead, do: (*call).auditPage},
	}
}

type auditAnswer struct {
	object
	store.Row
}

func auditOf(rec store.Rec[store.Row]) auditAnswer {
	return auditAnswer{objectOf(rec.Meta), rec.Value}
}

// auditShown is how many rows stand on one page: a bulk act names up to fifty records in its row.
const auditShown = 50

// auditPages bounds how many pages of the log are looked through for one answer.
const auditPages = 20

// auditLog reads on behind the cursor of the query, until there is a row that is asked for; head is how far the log is sealed.
func (k *call) auditLog(limit int) (rows []store.Rec[store.Row], next string, head store.Head, err error) {
	of := k.Query("of")
	err = k.p.DB.View(k.UserContext(), func(tx *store.Tx) (err error) {
		rows, next = nil, k.Query("after")
		for range auditPages {
			page, more, err := store.AuditRows(tx, store.Query{Reverse: true, After: next, Limit: limit})
			if err != nil {
				return err
			}
			for _, rec := range page {
				if of == "" || rec.Value.By == of || slices.Contains(rec.Value.On, of) {
					rows = append(rows, rec)
				}
			}
			if next = more; next == "" || len(rows) > 0 {
				break
			}
		}
		head, err = store.AuditHead(tx)
		return err
	})
	return rows, next, head, err
}

type auditView struct {
	shell
	Rows []store.Rec[store.Row]
	Head store.Head
	Of   string
	Next string
}

func (k *call) auditPage() (err error) {
	v := auditView{shell: k.shell("desk.audit"), Of: k.Query("of")}
	if v.Rows, v.Next, v.Head, err = k.auditLog(auditShown); err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_audit", v)
}
