package comms

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"lifeline/store"
	"lifeline/templates"
)

// What a draft is compared with beside its own fields: what these readers were told before, what others were told, and what must not get out.

// past is what was said of an incident, as the findings about a draft need it.
type past struct {
	same   []Update // to the same readers and still standing, newest first, at most mostCompared
	others []Update // the newest that stands to each other group of readers
}

const mostCompared = 6

// pastOf reads what was said before a draft to an audience.
func pastOf(tx *store.Tx, incident, audience string) (p past, err error) {
	seen := map[string]bool{}
	for rec, err := range spoken(tx, incident) {
		if err != nil {
			return p, err
		}
		u := rec.Value
		to := u.Statement.Audience
		if wide(to) {
			to = AudiencePublic
		}
		switch same := to == audience || wide(to) && wide(audience); {
		case u.State != Published || u.Corrects > 0:
		case same && len(p.same) < mostCompared:
			p.same = append(p.same, u)
		case !same && !seen[to]:
			p.others = append(p.others, u)
			seen[to] = true
		}
	}
	return p, nil
}

// newest is the update that stands for the same readers; nil when nothing was said to them.
func (p past) newest() *Update {
	if len(p.same) == 0 {
		return nil
	}
	return &p.same[0]
}

// staleFrom is how many updates in a row may repeat an estimate before somebody should look at it again.
const staleFrom = 3

// staleFindings names each estimate that has not moved for long, though something else did.
func staleFindings(s templates.Statement, k situation) (all []Finding) {
	if s.NoChange || s.Phase == Resolved {
		return nil
	}
	for _, fact := range []struct {
		field, name string
		of          func(templates.Statement) any
	}{
		{"affected", "who is affected", func(s templates.Statement) any { return s.Affected }},
		{"timeline", "recovery", func(s templates.Statement) any { return s.Timeline }},
		{"data_loss", "data loss", func(s templates.Statement) any { return s.DataLoss }},
	} {
		now, since, times := asText(fact.of(s)), 0, 0
		for _, u := range k.Past.same {
			if asText(fact.of(u.Statement)) != now {
				break
			}
			since = u.Number
			times++
		}
		if times >= staleFrom && !(fact.field == "affected" && s.Affected.Status == "final") {
			all = append(all, Finding{Level: LevelWarning, Field: fact.field, Code: "stale_fact", Reason: fmt.Sprintf("says nothing new about %s since update %d", fact.name, since),
				Mend: "ask whoever knows, and give the estimate anew or say in doing what would make it better"})
		}
	}
	return all
}

// asText is a fact as one comparable text.
func asText(v any) string { return squeeze(mustText(v)) }

// echoFindings finds prose that was only turned over: the facts are the same and nearly all words were there before. Each language is compared with itself.
func echoFindings(s templates.Statement, k situation) (all []Finding) {
	before := k.Past.newest()
	if before == nil || s.NoChange {
		return nil
	}
	was := before.Statement
	moved := k.Figures != nil && (before.Figures == nil || !sameFigures(*k.Figures, *before.Figures))
	same := asText(s.Affected) == asText(was.Affected) && asText(s.Timeline) == asText(was.Timeline) && asText(s.DataLoss) == asText(was.DataLoss) && s.Phase == was.Phase
	if same && !moved && gist(s) != gist(was) && origin(s) == origin(was) && likeness(prosaic(s), prosaic(was)) >= 0.9 {
		all = append(all, Finding{Level: LevelWarning, Field: "what_happened", Code: "little_new", Reason: fmt.Sprintf("says in nearly the same words what update %d said", before.Number),
			Mend: `say what is new, or set "no_change": true with what is being worked on`})
	}
	for _, locale := range s.Locales {
		now, then := s.Translations[locale], was.Translations[locale]
		if now.WhatHappened != "" && squeeze(now.WhatHappened) == squeeze(then.WhatHappened) && squeeze(s.WhatHappened) != squeeze(was.WhatHappened) {
			all = append(all, Finding{Level: LevelWarning, Field: "translations." + locale, Code: "old_translation", Reason: fmt.Sprintf("is that of update %d, and the original is new", before.Number),
				Mend: "translate it anew"})
		}
	}
	return all
}

func origin(s templates.Statement) string {
	if len(s.Locales) == 0 {
		return ""
	}
	return s.Locales[0]
}

func prosaic(s templates.Statement) string {
	return strings.Join(append(append([]string{s.Headline, s.WhatHappened, s.Technical}, s.Known...), s.Unknown...), " ")
}

// likeness is the share of pairs that two texts have in common: of words, or of signs where a script sets no spaces.
func likeness(a, b string) float64 {
	x, y := pairs(a), pairs(b)
	both := 0
	for p := range x {
		if y[p] {
			both++
		}
	}
	if all := len(x) + len(y) - both; all > 0 {
		return float64(both) / float64(all)
	}
	return 0
}

func pairs(s string) map[string]bool {
	var parts []string
	for _, word := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.ContainsFunc(word, func(r rune) bool { return r >= 0x2e80 }) {
			for _, r := range word {
				parts = append(parts, string(r))
			}
			continue
		}
		parts = append(parts, word)
	}
	all := map[string]bool{}
	for i := 1; i < len(parts); i++ {
		all[parts[i-1]+" "+parts[i]] = true
	}
	return all
}

// rivalFindings compares with what other readers were told: they talk to each other.
func rivalFindings(s templates.Statement, k situation) (all []Finding) {
	whole := func(audience string) bool { return wide(audience) || listed(audience) }
	if !whole(s.Audience) {
		return nil
	}
	for _, u := range k.Past.others {
		o := u.Statement
		if !whole(o.Audience) {
			continue
		}
		if a, b := s.Affected.Sites, o.Affected.Sites; a.State == templates.CountKnown && b.State == templates.CountKnown && a != b {
			all = append(all, Finding{Level: LevelWarning, Field: "affected.sites", Code: "differs_from_others", Reason: fmt.Sprintf("is %d, and update %d told %s of %d", a.N, u.Number, o.Audience, b.N),
				Mend: "tell them too, or correct one of the two"})
		}
		if asText(s.DataLoss) != asText(o.DataLoss) && o.DataLoss.Kind != templates.NotKnown && s.DataLoss.Kind != templates.NotKnown {
			all = append(all, Finding{Level: LevelWarning, Field: "data_loss", Code: "differs_from_others", Reason: fmt.Sprintf("is another than update %d told %s", u.Number, o.Audience),
				Mend: "tell them too, or correct one of the two"})
		}
	}
	return all
}

// crowdFindings notices an audience that shrank or grew since the last update: a filter went wrong more often than the world changed so much.
func crowdFindings(k situation) []Finding {
	before := k.Past.newest()
	if before == nil || before.PageOnly || before.People == 0 {
		return nil
	}
	was, now := before.People, k.Crowd.People
	if by := max(was-now, now-was); by < 10 || by*5 <= was {
		return nil
	}
	return []Finding{{Level: LevelWarning, Field: "audience", Code: "crowd_moved", Reason: fmt.Sprintf("means %d people, and update %d went to %d", now, before.Number, was),
		Mend: "look at the sample and the affected set before you approve"}}
}

var countForm = regexp.MustCompile(`(?i)\b(\d[\d,.]*)\s*(sites|customers|users)\b|(\d[\d,.]*)\s*(个站点|家客户|名用户|サイト|社)`)

// bareFindings finds a count in prose that is none of the statement's own and has no time beside it.
func bareFindings(s templates.Statement) (all []Finding) {
	for _, p := range passages(s) {
		if p.field == "technical" || strings.HasPrefix(p.field, "changed.") {
			continue
		}
		for _, sentence := range sentences(p.text) {
			for _, m := range countForm.FindAllStringSubmatch(sentence, -1) {
				n, err := strconv.Atoi(strings.NewReplacer(",", "", ".", "").Replace(m[1] + m[3]))
				if err != nil || anyTime.MatchString(sentence) || n == s.Affected.Sites.N || n == s.Affected.Customers.N || n == s.Affected.Users.From || n == s.Affected.Users.To {
					continue
				}
				all = append(all, Finding{Level: LevelWarning, Field: p.field, Code: "count_without_time", Reason: fmt.Sprintf("says %q, which is none of the counts above, without the time that it was true at", m[0]),
					Mend: "leave it out: what is restored is counted from the ledger, or say as of when"})
			}
		}
	}
	return all
}

var (
	mailForm     = regexp.MustCompile(`[\pL\pN._%+-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+`)
	callForm     = regexp.MustCompile(`\+[1-9][0-9 ()-]{7,18}[0-9]`)
	insideForm   = regexp.MustCompile(`(?i)\b[a-z0-9][a-z0-9.-]*\.(?:internal|local|corp|lan|intranet)\b|\b(?:10|127)(?:\.\d{1,3}){3}\b|\b192\.168(?:\.\d{1,3}){2}\b|\b172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}\b|\b(?:acc|con|sit|inc|upd|stf|tok|tic|led|tsk)_[0-9a-z]{8,}\b`)
	internalCase = regexp.MustCompile(`\b[A-Z]{2,10}-\d{2,}\b`)
	knownCodes   = []string{"UTC", "GMT", "RFC", "ISO", "CVE", "TLS", "IEC", "NIST", "EU"}
)

// privateFindings finds what nobody outside should read: machines and cases of our own, and addresses and names of people.
func privateFindings(s templates.Statement, k situation) (all []Finding) {
	for _, p := range passages(s) {
		add := func(level, code, what, mend string) {
			all = append(all, Finding{Level: level, Field: p.field, Code: code, Reason: fmt.Sprintf("holds %.60q", what), Mend: mend})
		}
		for _, found := range mailForm.FindAllString(p.text, -1) {
			add(LevelError, "personal_data", found, "name the support form instead of a person's address")
		}
		for _, found := range callForm.FindAllString(p.text, -1) {
			if digits(found) != digits(k.Phone) {
				add(LevelError, "personal_data", found, "every message names the support number already")
			}
		}
		for _, found := range insideForm.FindAllString(p.text, -1) {
			add(LevelError, "internal_name", found, "say what it does for the reader")
		}
		for _, found := range internalCase.FindAllString(p.text, -1) {
			if prefix, _, _ := strings.Cut(found, "-"); !slices.Contains(knownCodes, prefix) {
				add(LevelWarning, "internal_name", found, "leave the case number out: readers cannot open it")
			}
		}
		if name := firstIn(p.text, k.Policy.secretNames()); name != "" {
			add(LevelError, "internal_name", name, "say what it does for the reader")
		}
		if name := firstIn(p.text, k.Policy.staffNames()); name != "" {
			add(LevelWarning, "personal_data", name, "say which team, not who")
		}
	}
	return all
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// staffNames are the people whom the policy names.
func (p Policy) staffNames() (all []string) {
	for _, d := range p.Internal {
		if strings.Contains(d.Name, " ") { // a single word is a duty or a common name
			all = append(all, squeeze(d.Name))
		}
	}
	for _, ladder := range p.Ladders {
		for _, rung := range ladder {
			for _, d := range rung.To {
				if strings.Contains(d.Name, " ") {
					all = append(all, squeeze(d.Name))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// secretNames are the names of machines, projects and tools as [firstIn] compares.
func (p Policy) secretNames() (all []string) {
	for _, name := range p.InternalNames {
		all = append(all, squeeze(name))
	}
	return all
}

// translationFindings says which languages get the original's words.
func translationFindings(s templates.Statement) (all []Finding) {
	if len(s.Translations) == 0 || len(s.Locales) < 2 {
		return nil // untranslated as a whole is labelled in every message, and said once beside the languages
	}
	for _, locale := range s.Locales[1:] {
		t, lacks := s.Translations[locale], []string{}
		for _, part := range []struct{ field, ours, theirs string }{
			{"headline", s.Headline, t.Headline}, {"what_happened", s.WhatHappened, t.WhatHappened}, {"your_action", s.YourAction, t.YourAction},
		} {
			if part.theirs == "" && part.ours != "" && !(part.field == "your_action" && squeeze(part.ours) == "nothing") {
				lacks = append(lacks, part.field)
			}
		}
		if len(lacks) > 0 {
			all = append(all, Finding{Level: LevelWarning, Field: "translations." + locale, Code: "not_translated", Reason: "lacks " + strings.Join(lacks, ", ") + "; readers get the original, labelled as such",
				Mend: "translate it, or send it as it is"})
		}
	}
	return all
}
