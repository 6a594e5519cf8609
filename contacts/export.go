package contacts

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Exported is how much an export wrote.
type Exported struct {
	Accounts int `json:"accounts"`
	Sites    int `json:"sites"`
	Contacts int `json:"contacts"`
	Rows     int `json:"rows"`
}

// exportAccounts is how many accounts are read in one snapshot.
const exportAccounts = 100

// Export writes the whole book in the columns that an import takes, addresses in full: an import of it into an empty store gives the same
// export again. What no column holds is not in it: sources, conflicts, bounces, opt-outs and what was deleted; a backup has all that. Every
// hundred accounts are of one snapshot. In CSV no cell can be taken for a formula by a spreadsheet; a value that holds the separator of lists
// can be written as JSON lines only, and ends a CSV with fault.Invalid.
func (b *Book) Export(ctx context.Context, w io.Writer, format string, progress func(Exported)) (done Exported, err error) {
	out, err := newRowWriter(w, format)
	if err != nil {
		return done, err
	}
	for after := ""; ; {
		var rows []exportRow
		part := done
		err := b.DB.View(ctx, func(tx *store.Tx) error {
			page, next, err := accounts.List(tx, store.Query{After: after, Limit: exportAccounts})
			if err != nil {
				return err
			}
			rows, part, after = nil, done, next
			for _, a := range page {
				if rows, err = b.exportAccount(tx, rows, &part, a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return done, err
		}
		for _, r := range rows {
			if err := out.write(r); err != nil {
				return done, err
			}
		}
		done = part
		done.Rows += len(rows)
		if progress != nil {
			progress(done)
		}
		if after == "" {
			return done, out.flush()
		}
	}
}

// exportRow is one row of an export, by column.
type exportRow [columnCount][]string

func (r *exportRow) set(c column, values ...string) {
	for _, v := range values {
		if v != "" {
			r[c] = append(r[c], v)
		}
	}
}

func newest(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func older(ids []string) []string { return ids[:max(0, len(ids)-1)] }

func (b *Book) exportAccount(tx *store.Tx, rows []exportRow, done *Exported, rec store.Rec[Account]) ([]exportRow, error) {
	a := rec.Value
	var of exportRow // what names the account in each of its rows
	of.set(colAccount, a.Name)
	of.set(colAccountID, newest(a.ProductIDs))
	row := of
	row.set(colFormerAccountIDs, older(a.ProductIDs)...)
	row.set(colDomain, a.Domains...)
	row.set(colProducts, a.Products...)
	row.set(colRegion, a.Region)
	row.set(colTier, b.Policy.tierName(a.Tier))
	row.set(colLocale, a.Locale)
	row.set(colTimeZone, a.TimeZone)
	row.set(colInvoices, a.Invoices...)
	row.set(colOldTickets, a.OldTickets...)
	row.set(colFormerNames, a.FormerNames...)
	rows = append(rows, row)
	done.Accounts++
	known := map[string]Site{}
	for site, err := range b.SitesOf(tx, rec.ID) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, b.exportSite(of, site.Value))
		known[site.ID] = site.Value
		done.Sites++
	}
	for c, err := range b.ContactsOf(tx, rec.ID) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, exportContact(of, c.Value, known)...)
		done.Contacts++
	}
	return rows, nil
}

func (b *Book) exportSite(row exportRow, s Site) exportRow {
	row.set(colSite, s.Name)
	row.set(colSiteURL, s.URL)
	row.set(colSiteID, newest(s.ProductIDs))
	row.set(colFormerSiteIDs, older(s.ProductIDs)...)
	row.set(colProducts, s.Products...)
	row.set(colRegion, s.Region)
	row.set(colTier, b.Policy.tierName(s.Tier))
	return row
}

// exportContact is a row for the account if she is of all of it, and one for each of her sites.
func exportContact(of exportRow, c Contact, known map[string]Site) (rows []exportRow) {
	row := of
	row.set(colName, c.Name)
	row.set(colEmail, values(c.Emails)...)
	row.set(colPhone, values(c.Phones)...)
	row.set(colLocale, c.Locale)
	row.set(colTimeZone, c.TimeZone)
	row.set(colChannels, c.Channels...)
	if !c.ConfirmedAt.IsZero() {
		row.set(colConfirmedAt, c.ConfirmedAt.Format(time.RFC3339Nano))
	}
	for _, id := range c.Sites {
		s, ok := known[id]
		if !ok {
			continue // deleted
		}
		at := row
		at.set(colRole, c.rolesAt(id)...)
		at.set(colSiteID, newest(s.ProductIDs))
		if len(s.ProductIDs) == 0 {
			at.set(colSite, s.Name)
			at.set(colSiteURL, s.URL)
		}
		rows = append(rows, at)
	}
	everywhere := c.rolesAt("")
	if c.AccountWide || len(rows) == 0 || len(everywhere) > 0 {
		row.set(colRole, everywhere...)
		rows = append([]exportRow{row}, rows...)
	}
	return rows
}

// rolesAt are the roles that count for a site, or for the account as a whole. One that is only proposed is not written out: an import would
// believe it.
func (c Contact) rolesAt(site string) (names []string) {
	for _, g := range c.AllGrants() {
		if g.State.counts() && (site == "" && len(g.Sites) == 0 || slices.Contains(g.Sites, site)) {
			names = append(names, g.Role)
		}
	}
	return names
}

func values(all []Address) (out []string) {
	for _, a := range all {
		out = append(out, a.Value)
	}
	return out
}

// tierName writes a tier as the policy reads it.
func (p Policy) tierName(tier *int) string {
	if tier == nil {
		return ""
	}
	digit := strconv.Itoa(*tier)
	if n, err := p.tier(digit); err == nil && n == *tier {
		return digit
	}
	var names []string
	for name, n := range p.Tiers {
		if n == *tier {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

type rowWriter struct {
	write func(exportRow) error
	flush func() error
}

func newRowWriter(w io.Writer, format string) (rowWriter, error) {
	switch format {
	case FormatCSV:
		out := csv.NewWriter(w)
		if err := out.Write(columnNames[:]); err != nil {
			return rowWriter{}, err
		}
		return rowWriter{
			write: func(r exportRow) error { return writeCSV(out, r) },
			flush: func() error { out.Flush(); return out.Error() },
		}, nil
	case FormatJSONLines:
		out := bufio.NewWriter(w)
		return rowWriter{write: func(r exportRow) error { return writeJSON(out, r) }, flush: out.Flush}, nil
	}
	return rowWriter{}, fault.BadField("format", "%.40q is not known; it may be csv or jsonl", format)
}

func writeCSV(out *csv.Writer, r exportRow) error {
	cells := make([]string, columnCount)
	for c, list := range r {
		for _, v := range list {
			if column(c).many() && strings.Contains(v, ";") {
				return fault.BadField("format", "csv cannot hold the value of %s in a row of account %q, which has a semicolon in it: export as jsonl",
					column(c), strings.Join(r[colAccountID], ""))
			}
		}
		cells[c] = Guarded(strings.Join(list, ";"))
	}
	return out.Write(cells)
}

func writeJSON(out *bufio.Writer, r exportRow) error {
	open := byte('{')
	for c, list := range r {
		if len(list) == 0 {
			continue
		}
		var value any = list[0]
		if column(c).many() {
			value = list
		}
		b, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%c%q:%s", open, column(c), b); err != nil {
			return err
		}
		open = ','
	}
	_, err := out.WriteString("}\n")
	return err
}

// formula is what a cell must not begin with, for a spreadsheet would reckon with it (OWASP, "CSV Injection"); the full-width forms count as
// their plain ones in some of them.
const formula = "=+-@\t\r\n＝＋－＠"

// Guarded puts an apostrophe in front of a cell of a CSV that a spreadsheet could take for a formula, and of one that looks guarded already.
func Guarded(cell string) string {
	if cell != "" && strings.ContainsRune(formula+"'", []rune(cell)[0]) {
		return "'" + cell
	}
	return cell
}

// unguarded takes the apostrophe off again. One in front of anything else belongs to the value.
func unguarded(cell string) string {
	if rest, ok := strings.CutPrefix(cell, "'"); ok && rest != "" && strings.ContainsRune(formula+"'", []rune(rest)[0]) {
		return rest
	}
	return cell
}

// ExportGood is how long an approved export can be fetched.
const ExportGood = time.Hour

// exportVerb asks for an export. Carrying it out changes nothing: it lets its author fetch the file for a while.
func (b *Book) exportVerb() Verb {
	return Verb{Name: "contact.export", Right: rightExport, Says: "export all contacts with their addresses in full",
		Plan: func(tx *store.Tx, input json.RawMessage) (Plan, error) {
			var in struct{}
			if len(input) > 0 {
				if err := ReadInput(input, &in); err != nil {
					return Plan{}, err
				}
			}
			n, err := b.counts(tx)
			if err != nil {
				return Plan{}, err
			}
			plan := Plan{Counts: map[string]int{accounts.Name: n.Accounts, sites.Name: n.Sites, people.Name: n.Contacts}}
			for rec, err := range people.Scan(tx, store.Query{Limit: MaxSample}) {
				if err != nil {
					return Plan{}, err
				}
				plan.Sample = append(plan.Sample, Sample{people.Name, rec.ID, rec.Value.says()})
			}
			plan.Steps = []Step{{Of: "contacts", On: "contacts"}}
			return plan, nil
		},
		Run: func(*store.Tx, store.Rec[Change], Step) (json.RawMessage, error) { return nil, nil },
	}
}

// MayExport notes in the audit log that by takes an export out, and refuses it unless a change carries it: hers, approved, run within the
// hour, and the book not grown by more than 2 % since. The operator of this machine needs none: she could copy the store.
func (b *Book) MayExport(ctx context.Context, by, change string, operator bool) error {
	return b.DB.Update(ctx, store.Act{By: by, Verb: "contact.export.fetch"}, func(tx *store.Tx) error {
		if operator && change == "" {
			return nil
		}
		if change == "" {
			return fault.BadField("change", "is missing: an export takes two people; propose a change contact.export, and name it here once it was approved and run")
		}
		rec, err := read(tx, change)
		if err != nil {
			return err
		}
		tx.On(rec.ID)
		tx.On(rec.Value.Approved...)
		n, err := b.counts(tx)
		if err != nil {
			return err
		}
		c, asked := rec.Value, rec.Value.Counts[people.Name]
		switch {
		case c.Verb != "contact.export" || c.Author != by:
			return fault.New(fault.Forbidden, "this change is no export of yours")
		case c.State != ChangeDone || tx.Now().After(c.DoneAt.Add(ExportGood)):
			return fault.New(fault.Conflict, "this export is not open: it is %s, and can be fetched for %s once it was run", c.State, ExportGood)
		case store.Judge([]store.Approval{{People: asked}}, n.Contacts, 1) != store.Approved:
			return fault.New(fault.Conflict, "there are over 2 %% more contacts than were approved: propose it again")
		}
		return nil
	})
}

// formerIDs says whose former product ids a row brings, and which is in use.
type formerIDs struct {
	scope   string
	col     column
	current string
	of      string
}

// formerly puts product ids that a record had before in front of the one in use.
func (p *plan) formerly(t *tally, by *Provenance, have *[]string, f formerIDs, ids []string) error {
	for _, id := range ids {
		if slices.Contains(*have, id) || id == f.of {
			continue
		}
		others, err := p.named(f.scope, id)
		if err != nil {
			return err
		}
		if len(others) > 0 && others[0] != f.of {
			return refuse(f.col, "names an id of another "+f.scope)
		}
		at := slices.Index(*have, f.current)
		if at < 0 {
			at = len(*have)
		}
		*have = slices.Insert(*have, at, id)
		by.brought(t, ListProductIDs, id, p.s)
		p.link(f.scope, id, f.of)
	}
	return nil
}
