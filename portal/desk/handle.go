package desk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/secret"
)

// Handling is what staff change about a ticket; nil leaves a part as it is.
type Handling struct {
	Priority *string
	Reason   string // why the priority is another; kept on the ticket
	Owner    *string
	Category *string
	Queue    *string   // the one in which it is: it begins the workflow that holds there now
	Step     *string   // of its workflow
	Labels   *[]string // all of them
	Label    []string  // these as well
	Unlabel  []string  // and these no more
	Version  int64     // of the ticket that was seen; 0: whatever stands
}

const (
	maxLabel   = 40 // characters
	mostLabels = 20
	mostReview = 50 // kept of the changes of a priority
)

// Handle changes a ticket.
func (d *Desk) Handle(ctx context.Context, by, number string, h Handling) (View, error) {
	if err := d.Policy.check(&h); err != nil {
		return View{}, err
	}
	return d.act(ctx, store.Act{By: by, Verb: "ticket.handle", Reason: h.Reason}, number, h.Version, func(tx *store.Tx, rec store.Rec[Ticket]) error {
		return d.handle(tx, by, rec, h)
	})
}

// act does something to a ticket in a transaction of its own, and shows it afterwards.
func (d *Desk) act(ctx context.Context, act store.Act, number string, version int64, do func(*store.Tx, store.Rec[Ticket]) error) (View, error) {
	number = secret.NormalNumber(number)
	err := d.DB.Update(ctx, act, func(tx *store.Tx) error {
		rec, err := byNumber(tx, number)
		if err == nil {
			err = unchanged(rec, version)
		}
		if err != nil {
			return err
		}
		tx.On(rec.ID)
		return do(tx, rec)
	})
	if err != nil {
		return View{}, err
	}
	return d.Ticket(ctx, number)
}

// check cleans what was asked for, and names all that cannot be.
func (p Policy) check(h *Handling) error {
	var f []fault.Field
	bad := func(field, format string, args ...any) {
		f = append(f, fault.Field{Field: field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
	}
	h.Reason = line(h.Reason)
	if len(h.Reason) > maxReason {
		bad("reason", "is longer than %d bytes", maxReason)
	}
	if h.Priority != nil {
		if !slices.Contains(priorities, *h.Priority) {
			bad("priority", "must be one of P0, P1, P2, P3")
		}
		if h.Reason == "" {
			bad("reason", "is missing: say why the priority is another")
		}
	}
	if h.Category != nil && *h.Category != "" && !slices.Contains(p.Categories, *h.Category) {
		bad("category", "must be one of %s", strings.Join(p.Categories, ", "))
	}
	if h.Owner != nil && len(*h.Owner) > 100 {
		bad("owner", "is no staff member's id")
	}
	for field, labels := range map[string]*[]string{"labels": h.Labels, "label": &h.Label, "unlabel": &h.Unlabel} {
		if labels == nil {
			continue
		}
		clean, why := cleanLabels(*labels)
		if why != "" {
			bad(field, "%s", why)
		}
		*labels = clean
	}
	if len(f) > 0 {
		return fault.BadFields(f...)
	}
	return nil
}

// cleanLabels makes a set of labels as they are kept: lower case, sorted, each once.
func cleanLabels(all []string) (clean []string, why string) {
	for _, l := range all {
		l = strings.ToLower(line(l))
		switch {
		case l == "":
			continue
		case utf8.RuneCountInString(l) > maxLabel:
			return nil, fmt.Sprintf("has a label of more than %d characters", maxLabel)
		case strings.ContainsAny(l, ","):
			return nil, "has a label with a comma"
		}
		clean = append(clean, l)
	}
	slices.Sort(clean)
	clean = slices.Compact(clean)
	if len(clean) > mostLabels {
		return nil, fmt.Sprintf("has more than %d labels", mostLabels)
	}
	return clean, ""
}

func (d *Desk) handle(tx *store.Tx, by string, rec store.Rec[Ticket], h Handling) error {
	t := d.Policy.handled(rec.Value, by, tx.Now(), h)
	if len(t.Labels) > mostLabels {
		return fault.BadField("label", "would be one of more than %d labels", mostLabels)
	}
	if h.Queue != nil {
		to, err := d.queueOf(tx, *h.Queue)
		if err != nil {
			return err
		}
		t = d.Policy.weighed(t, d.Policy.enters(t, to), tx.Now())
	}
	if h.Step != nil {
		moved, ok := d.Policy.stepped(t, *h.Step, tx.Now())
		switch {
		case len(d.Policy.Steps(t.Flow)) == 0:
			return fault.BadField("step", "is of a workflow, and none holds for this ticket")
		case !ok:
			return fault.BadField("step", "must be one of %s", strings.Join(d.Policy.Steps(t.Flow), ", "))
		}
		t = moved
	}
	if was := rec.Value; t.Owner != was.Owner || t.Incident != was.Incident {
		if err := d.Comms.MayHave(tx, t.Incident, "owner", t.Owner); err != nil {
			return err
		}
	}
	return d.put(tx, by, rec, t)
}

// queueOf is the incident of a queue in which a ticket can be put: none for General.
func (d *Desk) queueOf(tx *store.Tx, queue string) (open, error) {
	if queue == General || queue == "" {
		return open{}, nil
	}
	going, err := d.openIncidents(tx)
	if err != nil {
		return open{}, err
	}
	for _, o := range going {
		if o.ID == queue {
			return o, nil
		}
	}
	return open{}, fault.BadField("queue", "must be %s or the id of an open incident", General)
}

// handled is what a ticket becomes.
func (p Policy) handled(t Ticket, by string, now time.Time, h Handling) Ticket {
	if h.Owner != nil {
		t.Owner = *h.Owner
	}
	if h.Category != nil {
		t.Category = *h.Category
	}
	labels := slices.Clone(t.Labels)
	if h.Labels != nil {
		labels = slices.Clone(*h.Labels)
	}
	labels = slices.DeleteFunc(append(labels, h.Label...), func(l string) bool { return slices.Contains(h.Unlabel, l) })
	slices.Sort(labels)
	t.Labels = slices.Compact(labels)
	if h.Priority == nil {
		return t
	}
	was := t
	t.Reviewed = true
	t.Reviews = append(slices.Clone(t.Reviews), Review{At: now, By: by, From: t.Priority, To: *h.Priority, Reason: h.Reason})
	t.Reviews = t.Reviews[max(0, len(t.Reviews)-mostReview):]
	if t.Priority == *h.Priority { // somebody looked, and it is right
		return t
	}
	t.Priority = *h.Priority
	return p.weighed(was, t, now)
}
