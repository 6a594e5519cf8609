package contacts

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// column is one of the columns of an import file.
type column int

const (
	colAccount column = iota
	colAccountID
	colDomain
	colSite
	colSiteID
	colSiteURL
	colProducts
	colRegion
	colTier
	colName
	colRole
	colEmail
	colPhone
	colLocale
	colTimeZone
	colChannels
	colConfirmedAt
	colInvoices
	colOldTickets
	colFormerNames
	colFormerAccountIDs
	colFormerSiteIDs
	columnCount
)

var columnNames = [columnCount]string{"account", "account_id", "domain", "site", "site_id", "site_url", "products", "region", "tier", "name",
	"role", "email", "phone", "locale", "time_zone", "channels", "confirmed_at", "invoices", "old_tickets", "former_names",
	"former_account_ids", "former_site_ids"}

func (c column) String() string { return columnNames[c] }

// many says whether a column takes several values.
func (c column) many() bool {
	switch c {
	case colDomain, colProducts, colRole, colEmail, colPhone, colChannels, colInvoices, colOldTickets, colFormerNames,
		colFormerAccountIDs, colFormerSiteIDs:
		return true
	}
	return false
}

func columnNamed(name string) (column, bool) {
	i := slices.Index(columnNames[:], name)
	return column(i), i >= 0
}

// Columns are the names of the columns that an import file may have.
func Columns() []string { return slices.Clone(columnNames[:]) }

// row is a row that was checked: every value in the form in which it is kept.
type row struct {
	line      int
	confirmed time.Time

	account, accountID                         string
	domains, invoices, oldTickets, formerNames []string
	site, siteID, siteURL                      string
	products                                   []string
	region                                     string
	tier                                       *int
	name                                       string
	roles, emails, phones, channels            []string
	locale, zone                               string
	formerAccounts, formerSites                []string // product ids that it had before, oldest first
}

func (r row) hasSite() bool { return r.site != "" || r.siteID != "" || r.siteURL != "" }

func (r row) hasContact() bool { return r.name != "" || len(r.emails) > 0 || len(r.phones) > 0 }

// check turns what was written into a row, or says everything that is wrong with it.
func check(raw rawRow, p Policy, now time.Time) (row, []Rejected) {
	if len(raw.bad) > 0 {
		return row{}, raw.bad
	}
	c := checker{raw: &raw}
	r := row{line: raw.line}
	r.account = c.one(colAccount, named)
	r.accountID = c.one(colAccountID, productID)
	r.domains = c.all(colDomain, parseDomain)
	r.site = c.one(colSite, named)
	r.siteID = c.one(colSiteID, productID)
	r.siteURL = c.one(colSiteURL, parseURL)
	r.products = c.all(colProducts, named)
	r.region = c.one(colRegion, func(s string) (string, error) { return text(s, maxRegion) })
	c.one(colTier, func(s string) (string, error) {
		s, err := text(s, maxRegion)
		if err != nil {
			return "", err
		}
		tier, err := p.tier(s)
		r.tier = &tier
		return s, err
	})
	r.name = c.one(colName, named)
	r.roles = c.all(colRole, func(s string) (string, error) { return oneOf(strings.TrimSpace(s), roles) })
	r.emails = c.all(colEmail, ParseEmail)
	country := p.PhoneCountry
	if isCountry(r.region) {
		country = strings.ToUpper(r.region)
	}
	r.phones = c.all(colPhone, func(s string) (string, error) { return ParsePhone(s, country) })
	r.locale = c.one(colLocale, func(s string) (string, error) { return parseLocale(strings.TrimSpace(s)) })
	r.zone = c.one(colTimeZone, func(s string) (string, error) { return parseZone(strings.TrimSpace(s)) })
	r.channels = c.all(colChannels, func(s string) (string, error) { return oneOf(strings.TrimSpace(s), []string{Email, SMS}) })
	slices.Sort(r.channels)
	c.one(colConfirmedAt, func(s string) (string, error) {
		var err error
		r.confirmed, err = parseConfirmed(strings.TrimSpace(s), now)
		return s, err
	})
	r.invoices = c.all(colInvoices, named)
	r.oldTickets = c.all(colOldTickets, named)
	r.formerNames = c.all(colFormerNames, named)
	r.formerAccounts = c.all(colFormerAccountIDs, productID)
	r.formerSites = c.all(colFormerSiteIDs, productID)
	c.whole(r)
	return r, raw.bad
}

type checker struct{ raw *rawRow }

func (c checker) one(col column, parse func(string) (string, error)) string {
	if len(c.raw.cells[col]) == 0 {
		return ""
	}
	s, err := parse(c.raw.cells[col][0])
	if err != nil {
		c.raw.reject(col.String(), err.Error())
		return ""
	}
	return s
}

func (c checker) all(col column, parse func(string) (string, error)) []string {
	values := c.raw.cells[col]
	if len(values) > maxList {
		c.raw.reject(col.String(), "has more than 100 values")
		return nil
	}
	var out []string
	for _, v := range values {
		s, err := parse(v)
		if err != nil {
			c.raw.reject(col.String(), err.Error())
			return nil
		}
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// whole checks what no single value shows.
func (c checker) whole(r row) {
	if len(c.raw.bad) > 0 {
		return
	}
	if r.account == "" && r.accountID == "" && r.siteID == "" {
		c.raw.reject(colAccount.String(), "is missing: name the account by account or account_id, or by a known site_id")
	}
	if !r.hasContact() && (len(r.roles) > 0 || len(r.channels) > 0) {
		c.raw.reject(colEmail.String(), "is missing: role and channels belong to a contact, who needs an e-mail address, a phone or a name")
	}
}

func named(s string) (string, error) { return text(s, maxName) }

func productID(s string) (string, error) {
	s, err := text(s, maxID)
	if err == nil && len(s) > maxID {
		return "", fmt.Errorf("is longer than %d bytes", maxID)
	}
	return s, err
}
