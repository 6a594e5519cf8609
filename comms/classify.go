package comms

import (
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// How an incident was found.
const (
	FoundByMonitoring = "monitoring"
	FoundByCustomer   = "customer_ticket"
	FoundByStaff      = "staff"
	FoundByThirdParty = "third_party"
	FoundBySocial     = "social"
)

// Findings of an incident, in the order in which a form offers them.
var foundBy = []string{FoundByMonitoring, FoundByCustomer, FoundByStaff, FoundByThirdParty, FoundBySocial}

// FoundBys are the ways in which an incident is found.
func FoundBys() []string { return slices.Clone(foundBy) }

// foundAs reads how an incident was found from what was typed as its source, when that is one of the words; else nobody has said it.
func foundAs(detectedBy string) string {
	word := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(detectedBy)), " ", "_")
	if slices.Contains(foundBy, word) {
		return word
	}
	return ""
}

// Classify is the six facts without which nobody can say how bad an incident is, with the level that follows from them. Customer and System may be
// empty: often there is no one customer, and no one machine.
type Classify struct {
	FoundBy       string     `json:"found_by"`
	Customer      string     `json:"customer,omitempty"`
	System        string     `json:"system,omitempty"`
	DetectedAt    *time.Time `json:"detected_at"`
	ScopeEstimate string     `json:"scope_estimate"`
	Impact        string     `json:"impact"`
	Severity      string     `json:"severity"`
	Category      string     `json:"category,omitempty"`
	Reason        string     `json:"reason,omitempty"` // of a severity that differs from the one before
}

func (c Classify) bad(p Policy, in Incident, now time.Time) (f []fault.Field) {
	if c.FoundBy == "" {
		f = append(f, missing("found_by"))
	} else {
		f = oneOf(f, "found_by", c.FoundBy, foundBy...)
	}
	f = shortProse.bad(f, "customer", c.Customer)
	f = shortProse.bad(f, "system", c.System)
	switch {
	case c.DetectedAt == nil || c.DetectedAt.IsZero():
		f = append(f, missing("detected_at"))
	case c.DetectedAt.After(now.Add(time.Minute)):
		f = append(f, wrong("detected_at", "lies ahead"))
	}
	needed := impactProse
	needed.required = true
	f = needed.bad(f, "scope_estimate", c.ScopeEstimate)
	f = needed.bad(f, "impact", c.Impact)
	f = oneOf(f, "severity", c.Severity, severities...)
	f = p.badCategory(f, c.Severity, c.Category)
	if c.Severity != in.Severity {
		f = reasonProse.bad(f, "reason", c.Reason)
	}
	return f
}

// Classification is the sort of the deadline by which an incident that was declared in a hurry has its six facts.
const Classification = "classification"

// Classify says how bad an incident is, on six facts. Declaring one needs fewer, because it must not wait; whoever declares a P0 or P1 without them
// promises them within the policy's time. version is the one that the caller saw; 0 is any.
func (r *Room) Classify(ctx context.Context, by, incident string, version int64, c Classify) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.classify", Reason: c.Reason}, incident, version, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if err := in.commandedBy(by); err != nil {
			return in, err
		}
		if c.Category == "" {
			c.Category = in.Category
		}
		if f := c.bad(r.Policy, in, tx.Now()); len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		to := in
		to.FoundBy, to.Customer, to.System = c.FoundBy, strings.TrimSpace(c.Customer), strings.TrimSpace(c.System)
		to.ScopeEstimate, to.Impact, to.Severity, to.Category = strings.TrimSpace(c.ScopeEstimate), strings.TrimSpace(c.Impact), c.Severity, c.Category
		to.DetectedAt = c.DetectedAt.UTC()
		now := tx.Now()
		to.ClassifiedAt, to.ClassifiedBy = &now, by
		for _, what := range []string{Classification, SeverityDue} {
			if err := r.keep(tx, id, what, by); err != nil {
				return in, err
			}
		}
		if err := r.becomesGrave(tx, id, by, in, &to); err != nil {
			return in, err
		}
		if err := r.owesWord(tx, id, to); err != nil {
			return in, err
		}
		if err := r.noteChanges(tx, id, by, in, to, c.Reason); err != nil {
			return in, err
		}
		return to, r.note(tx, id, by, "classified", to.Severity+" "+to.Category)
	})
}

// unclassified says that a grave incident was declared without all facts, so that they are still to come.
func (i Incident) unclassified() bool {
	return i.Severity <= "P1" && (i.FoundBy == "" || i.ScopeEstimate == "" || i.Impact == "")
}

// Found is how incidents were found: for each way how many, and what part of those that say it was found by customers.
type Found struct {
	Incidents int            `json:"incidents"`
	ByWay     map[string]int `json:"found_by"`
	Unsaid    int            `json:"not_said"`
	Customers string         `json:"found_by_customers_percent"` // of those that say it, with one decimal
}

// FoundReport counts how the incidents that were declared in a span of time were found; drills do not count. Zero times are open ends.
func (r *Room) FoundReport(ctx context.Context, from, to time.Time, closed map[string]bool) (f Found, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		f = Found{ByWay: map[string]int{}}
		for rec, err := range incidents.Scan(tx, store.Query{Index: "number"}) {
			if err != nil {
				return err
			}
			in := rec.Value
			if closed[rec.ID] || in.Drill || in.Undeclared() || in.DeclaredAt.Before(from) || !to.IsZero() && !in.DeclaredAt.Before(to) {
				continue
			}
			f.Incidents++
			if in.FoundBy == "" {
				f.Unsaid++
				continue
			}
			f.ByWay[in.FoundBy]++
		}
		f.Customers = percent(f.ByWay[FoundByCustomer], f.Incidents-f.Unsaid)
		return nil
	})
	return f, err
}
