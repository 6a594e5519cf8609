package contacts

import (
	"slices"
	"strings"
	"time"
)

// statement is what one row of one source claims, apart from the values: who says it and how fresh it is.
type statement struct {
	source    string
	rank      func(source string) int
	confirmed time.Time // zero: undated
	seen      time.Time // when the import began; the same for all its rows
}

// Most conflicts that a record lists; more are only counted.
const maxConflicts = 20

// verdict is what becomes of a single value that a row offers.
type verdict string

const (
	keep     verdict = "keep"
	take     verdict = "take"
	conflict verdict = "conflict"
)

// weigh decides between a value that stands and a different one that is offered. The rules are the package's.
func weigh(have Origin, offered statement) verdict {
	mine, theirs := offered.rank(offered.source), offered.rank(have.Source)
	fresher := offered.confirmed.Compare(have.ConfirmedAt)
	switch {
	case mine > theirs: // weaker
		return keep
	case mine < theirs && fresher >= 0:
		return take
	case mine < theirs: // stronger but staler
		return conflict
	case fresher > 0:
		return take
	case fresher < 0:
		return keep
	case offered.source == have.Source && offered.seen.After(have.Seen): // it corrects itself
		return take
	}
	return conflict
}

// tally is what a row did to the records that it touched.
type tally struct {
	changed   bool
	conflicts int
}

// value merges a single value.
func (p *Provenance) value(t *tally, field string, have *string, offered string, s statement) {
	if offered == "" {
		return
	}
	origin := Origin{Source: s.source, ConfirmedAt: s.confirmed, Seen: s.seen}
	old := p.Origins[field]
	switch {
	case *have == "":
	case *have == offered:
		// Said again: by a stronger source or with a fresher date it stands the firmer.
		if v := weigh(old, s); v != take || s.source == old.Source && !s.confirmed.After(old.ConfirmedAt) {
			return
		}
	case p.waiting(field, offered, s.source) && !s.confirmed.After(old.ConfirmedAt):
		t.conflicts++
		return
	default:
		// An undated word of the same source in a later import.
		corrects := s.source == old.Source && !s.confirmed.After(old.ConfirmedAt)
		v := weigh(old, s)
		switch {
		case v == keep, alike(field, *have, offered) && (v == conflict || corrects):
			return
		case v == conflict, corrects && p.ConflictsMore:
			t.conflicts++
			p.dispute(t, Conflict{Field: field, Have: *have, Offered: offered, Source: s.source, At: s.seen})
			return
		}
	}
	*have = offered
	if p.Origins == nil {
		p.Origins = map[string]Origin{}
	}
	p.Origins[field] = origin
	p.Conflicts = slices.DeleteFunc(p.Conflicts, func(c Conflict) bool { return c.Field == field && c.Offered == offered })
	t.changed = true
}

// alike says whether two values differ only in how they are written, which is no matter for a person to decide.
func alike(field, a, b string) bool {
	if field == colSiteURL.String() {
		return URLKey(a) == URLKey(b)
	}
	return fold(a) == fold(b)
}

// waiting says whether this source's offer lies with a person already.
func (p *Provenance) waiting(field, offered, source string) bool {
	return slices.ContainsFunc(p.Conflicts, func(c Conflict) bool {
		return c.Field == field && c.Offered == offered && c.Source == source
	})
}

// dispute keeps an offer for a person to decide.
func (p *Provenance) dispute(t *tally, c Conflict) {
	if p.waiting(c.Field, c.Offered, c.Source) {
		return
	}
	if len(p.Conflicts) >= maxConflicts {
		if !p.ConflictsMore {
			p.ConflictsMore, t.changed = true, true
		}
		return
	}
	p.Conflicts, t.changed = append(p.Conflicts, c), true
}

// said notes that the source speaks of this record. A source that says nothing new leaves no trace, so a second import of
// the same file writes nothing.
func (p *Provenance) said(t *tally, s statement) {
	i := slices.IndexFunc(p.Sources, func(x Source) bool { return x.Source == s.source })
	switch {
	case i < 0:
		p.Sources = append(p.Sources, Source{Source: s.source, FirstSeen: s.seen, LastSeen: s.seen, ConfirmedAt: s.confirmed})
		t.changed = true
	case s.confirmed.After(p.Sources[i].ConfirmedAt):
		p.Sources[i].ConfirmedAt, p.Sources[i].LastSeen = s.confirmed, s.seen
		t.changed = true
	case t.changed:
		p.Sources[i].LastSeen = s.seen
	}
}

// Most values that a list on a record holds, and most addresses that a contact has in a channel; a row that would go beyond is refused.
const (
	maxKept      = 1000
	maxAddresses = 10
)

// unite adds what is new to a list. Values that differ only in letter case are one.
func (t *tally) unite(have []string, offered []string) []string {
	for _, v := range offered {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, v) }) {
			have = append(have, v)
			t.changed = true
		}
	}
	return have
}

// add adds an id to a list unless it is there.
func (t *tally) add(have []string, id string) []string {
	if slices.Contains(have, id) {
		return have
	}
	t.changed = true
	return append(have, id)
}

// reach adds addresses to those of a channel, and notes a fresher confirmation of the ones that are there.
func (t *tally) reach(channel string, have []Address, offered []string, s statement) []Address {
	for _, v := range offered {
		i := slices.IndexFunc(have, func(a Address) bool { return addressKey(channel, a.Value) == addressKey(channel, v) })
		switch {
		case i < 0:
			have = append(have, Address{Value: v, Source: s.source, FirstSeen: s.seen, ChangedAt: s.seen, ConfirmedAt: s.confirmed})
			t.changed = true
		case s.confirmed.After(have[i].ConfirmedAt):
			have[i].ConfirmedAt, have[i].ChangedAt = s.confirmed, s.seen
			t.changed = true
		}
	}
	return have
}
