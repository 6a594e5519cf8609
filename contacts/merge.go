package contacts

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// statement is what one row of one source claims, apart from the values: who says it and how fresh it is.
type statement struct {
	source    string
	how       How
	rank      func(source string) int
	mayState  bool      // it is believed when it says who may speak for a customer
	confirmed time.Time // zero: undated
	seen      time.Time // when the import began; the same for all its rows
}

func (s statement) origin() Origin {
	return Origin{Source: s.source, ConfirmedAt: s.confirmed, Seen: s.seen, How: s.how}
}

const (
	maxConflicts = 20   // that a record lists; more are only counted
	maxBeyond    = 1000 // that it counts beside
	maxDecided   = 100  // offers turned down that it remembers
)

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
	raised    []string // ids for the list of all conflicts
	settled   []string
}

// value merges a single value.
func (p *Provenance) value(t *tally, field string, have *string, offered string, s statement) {
	if offered == "" {
		return
	}
	old := p.Origins[field]
	switch {
	case *have == "":
	case *have == offered:
		// Said again: by a stronger source or with a fresher date it stands the firmer.
		if v := weigh(old, s); v != take || s.source == old.Source && !s.confirmed.After(old.ConfirmedAt) {
			return
		}
	case p.turnedDown(field, offered, s):
		return
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
		case v == conflict, corrects && len(p.Beyond) >= maxBeyond:
			p.dispute(t, Conflict{Field: field, Have: *have, Offered: offered, Source: s.source, At: s.seen, ConfirmedAt: s.confirmed})
			return
		}
	}
	*have = offered
	p.adopt(t, field, offered, s.origin())
}

// adopt notes where the value of a field is from now, and that nobody has to decide about it any more.
func (p *Provenance) adopt(t *tally, field, value string, origin Origin) {
	if p.Origins == nil {
		p.Origins = map[string]Origin{}
	}
	p.Origins[field] = origin
	p.Conflicts = slices.DeleteFunc(p.Conflicts, func(c Conflict) bool {
		over := c.Field == field && c.Offered == value
		if over && c.ID != "" {
			t.settled = append(t.settled, c.ID)
		}
		return over
	})
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
	return slices.Contains(p.Beyond, digestOf(field, offered, source)) || slices.ContainsFunc(p.Conflicts, func(c Conflict) bool {
		return c.Field == field && c.Offered == offered && c.Source == source
	})
}

// turnedDown says whether a person decided against this very word. One that was confirmed since is another.
func (p *Provenance) turnedDown(field, offered string, s statement) bool {
	return slices.ContainsFunc(p.Decided, func(d Decided) bool {
		return d.Field == field && d.Offered == offered && d.Source == s.source && !s.confirmed.After(d.At)
	})
}

func digestOf(parts ...string) uint64 {
	sum := sha256.Sum256([]byte(joined(parts...)))
	return binary.BigEndian.Uint64(sum[:])
}

// dispute keeps an offer for a person to decide. When there is room in the list again, one that was only counted moves up.
func (p *Provenance) dispute(t *tally, c Conflict) {
	t.conflicts++
	for _, w := range p.Conflicts {
		if w.Field == c.Field && w.Offered == c.Offered && w.Source == c.Source {
			return
		}
	}
	digest := digestOf(c.Field, c.Offered, c.Source)
	at := slices.Index(p.Beyond, digest)
	if len(p.Conflicts) < maxConflicts {
		if at >= 0 {
			p.Beyond = slices.Delete(p.Beyond, at, at+1)
		}
		c.ID = openConflicts.NewID()
		p.Conflicts, t.raised, t.changed = append(p.Conflicts, c), append(t.raised, c.ID), true
		return
	}
	if at < 0 && len(p.Beyond) < maxBeyond {
		p.Beyond, t.changed = append(p.Beyond, digest), true
	}
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
	if i >= 0 && !p.Sources[i].Missing.IsZero() {
		p.Sources[i].Missing, p.Sources[i].LastSeen = time.Time{}, s.seen
		t.changed = true
	}
}

// Most values that a list on a record holds, and most addresses that a contact has in a channel; a row that would go beyond is refused.
const (
	maxKept      = 1000
	maxAddresses = 10
)

// unite adds what is new to a list. Values that differ only in letter case are one.
func (p *Provenance) unite(t *tally, field string, have []string, offered []string, s statement) []string {
	for _, v := range offered {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, v) }) {
			have = append(have, v)
			p.brought(t, field, v, s)
		}
	}
	return have
}

// add adds an id to a list unless it is there.
func (p *Provenance) add(t *tally, field string, have []string, id string, s statement) []string {
	if slices.Contains(have, id) {
		return have
	}
	p.brought(t, field, id, s)
	return append(have, id)
}

// brought notes who put a value into a list. What came with the record needs no note: see OriginOf.
func (p *Provenance) brought(t *tally, field, value string, s statement) {
	t.changed = true
	first := len(p.Sources) == 0 || p.Sources[0].Source == s.source && p.Sources[0].FirstSeen.Equal(s.seen)
	if first && s.how == ByImport {
		return
	}
	if p.Lists == nil {
		p.Lists = map[string]Origin{}
	}
	p.Lists[listKey(field, value)] = s.origin()
}

// reach adds addresses to those of a channel, and notes a fresher confirmation of the ones that are there.
func (t *tally) reach(channel string, have []Address, offered []string, s statement) []Address {
	for _, v := range offered {
		i := slices.IndexFunc(have, func(a Address) bool { return addressKey(channel, a.Value) == addressKey(channel, v) })
		switch {
		case i < 0:
			have = append(have, Address{Value: v, Source: s.source, How: s.how, FirstSeen: s.seen, ChangedAt: s.seen, ConfirmedAt: s.confirmed})
			t.changed = true
		case s.confirmed.After(have[i].ConfirmedAt):
			have[i].ConfirmedAt, have[i].ChangedAt = s.confirmed, s.seen
			t.changed = true
		}
	}
	return have
}
