package comms

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lifeline/store/fault"
	"lifeline/templates"
)

// Finding is something about a statement that its author should see beside the field. An error stands in the way of publishing, a warning does not.
type Finding struct {
	Level  string `json:"level"` // error, warning
	Field  string `json:"field"` // JSON path
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Mend   string `json:"mend,omitempty"` // what would settle it

	DismissedBy string `json:"dismissed_by,omitempty"` // who saw a warning and lets it stand
}

// key is a warning as it can be dismissed: where it stands and what it says.
func (f Finding) key() string { return f.Field + " " + f.Code + " " + f.Reason }

// The levels of a finding.
const (
	LevelError   = "error"
	LevelWarning = "warning"
)

// situation is what a statement is read against, besides the rules of its form.
type situation struct {
	Rules    rules
	Policy   Policy
	Severity string
	Hosts    []string // that links may lead to
	Phone    string   // of support: the one number that a statement may name
	Past     past
	Figures  *templates.Figures // the ledger now; nil: no affected set is loaded
	Crowd    Crowd
	Expected Forecast               // from the ledger; its BackBy is nil when it is not known, or the statement says no time
	Cohorts  []templates.CohortLoss // of wide readers: those who may lose more
	Left     map[string][]string    // kinds of fact that an SMS has no room for, by language
	Behind   []int                  // numbers of updates that are still being sent and would go on: see overtaken
}

// findings reads a statement as a careful colleague would: what is missing, what says nothing new, what disagrees with the ledger, what promises
// without a time. The order is that of the checks; nil when there is nothing to say.
func findings(s templates.Statement, k situation) (all []Finding) {
	for _, f := range validate(s, k.Rules) {
		all = append(all, Finding{Level: LevelError, Field: f.Field, Code: f.Code, Reason: f.Reason})
	}
	all = append(all, linkFindings(s, k.Hosts)...)
	all = append(all, lossFindings(s, k)...)
	all = append(all, newsFindings(s, k)...)
	all = append(all, changeFindings(s, k.Past.newest())...)
	all = append(all, countFindings(s, k.Figures)...)
	all = append(all, unitFindings(s)...)
	all = append(all, timeFindings(s, k)...)
	all = append(all, reachFindings(s, k)...)
	all = append(all, wordFindings(s)...)
	all = append(all, shareFindings(s)...)
	all = append(all, roomFindings(s, k.Left)...)
	all = append(all, staleFindings(s, k)...)
	all = append(all, echoFindings(s, k)...)
	all = append(all, rivalFindings(s, k)...)
	all = append(all, crowdFindings(k)...)
	all = append(all, bareFindings(s)...)
	all = append(all, privateFindings(s, k)...)
	all = append(all, translationFindings(s)...)
	return all
}

// errorsOf are the findings that stand in the way, as fields.
func errorsOf(all []Finding) (f []fault.Field) {
	for _, x := range all {
		if x.Level == LevelError {
			f = append(f, fault.Field{Field: x.Field, Code: x.Code, Reason: x.Reason})
		}
	}
	return f
}

// passage is one text of a statement with its path.
type passage struct{ field, text string }

// passages are all texts of a statement that readers will see.
func passages(s templates.Statement) []passage {
	all := []passage{
		{"headline", s.Headline}, {"what_happened", s.WhatHappened}, {"your_action", s.YourAction}, {"technical", s.Technical},
		{"scope.text", s.Scope.Text}, {"affected.who", s.Affected.Who}, {"timeline.text", s.Timeline.Text}, {"data_loss.text", s.DataLoss.Text},
		{"apology", s.Apology}, {"signed_by", s.SignedBy},
	}
	for _, locale := range s.Locales {
		t, at := s.Translations[locale], "translations."+locale+"."
		all = append(all, passage{at + "headline", t.Headline}, passage{at + "what_happened", t.WhatHappened}, passage{at + "your_action", t.YourAction}, passage{at + "technical", t.Technical},
			passage{at + "known", strings.Join(t.Known, "\n")}, passage{at + "unknown", strings.Join(t.Unknown, "\n")}, passage{at + "doing", strings.Join(t.Doing, "\n")},
			passage{at + "long_because", strings.Join(t.LongBecause, "\n")}, passage{at + "scope", t.Scope}, passage{at + "who", t.Who}, passage{at + "timeline", t.Timeline}, passage{at + "data_loss", t.DataLoss})
	}
	for _, figure := range templates.Changeable() {
		all = append(all, passage{"changed." + figure, s.Changed[figure]})
	}
	for _, l := range []struct {
		field string
		texts []string
	}{{"known", s.Known}, {"unknown", s.Unknown}, {"doing", s.Doing}, {"long_because", s.LongBecause}, {"scope.products", s.Scope.Products}, {"scope.regions", s.Scope.Regions}} {
		for i, text := range l.texts {
			all = append(all, passage{l.field + "[" + strconv.Itoa(i) + "]", text})
		}
	}
	return slices.DeleteFunc(all, func(p passage) bool { return p.text == "" })
}

func linkFindings(s templates.Statement, hosts []string) (all []Finding) {
	for _, p := range passages(s) {
		for _, link := range strangeLinks(p.text, hosts) {
			all = append(all, Finding{Level: LevelError, Field: p.field, Code: "foreign_link", Reason: fmt.Sprintf("links to %.80q, which is not ours", link), Mend: "name our own page, or let the operator add the host to the policy's links"})
		}
		for _, host := range bareHosts(p.text, hosts) {
			all = append(all, Finding{Level: LevelWarning, Field: p.field, Code: "reads_as_link", Reason: fmt.Sprintf("holds %.80q, which phones and mail programs make a link, and it is not ours", host), Mend: "say it without the name, or put the missing space behind the full stop"})
		}
	}
	return all
}

// denials are ways to say that nothing is lost. It may be said only by data_loss.kind none_verified, once the check is recorded.
var denials = []string{
	"no data loss", "zero data loss", "without data loss", "no data was lost", "no data has been lost", "no data is lost", "no loss of data",
	"没有数据丢失", "数据没有丢失", "无数据丢失", "数据未丢失", "未丢失任何数据", "不会丢失数据",
	"データ損失はありません", "データの損失はありません", "データは失われていません", "データ消失はありません",
	"kein datenverlust", "ohne datenverlust", "keine daten verloren", "aucune perte de données", "sans perte de données", "aucune donnée n'est perdue", "aucune donnée n'a été perdue",
	"sin pérdida de datos", "ninguna pérdida de datos", "no se ha perdido ningún dato", "no se perdieron datos", "sem perda de dados", "nenhuma perda de dados", "nenhum dado foi perdido",
	"데이터 손실은 없", "데이터 손실이 없", "데이터 유실은 없", "데이터는 손실되지 않",
}

func lossFindings(s templates.Statement, k situation) (all []Finding) {
	for _, c := range k.Cohorts {
		if most := s.DataLoss.AtMost; s.DataLoss.Kind == "none_verified" || most != nil && *most < c.AtMost {
			all = append(all, Finding{Level: LevelWarning, Field: "data_loss", Code: "cohort_loses_more", Reason: fmt.Sprintf("is less than the bound of the cohort %q, which is %s", c.Name, c.AtMost), Mend: "the cohort's own bound is said beside it; say in data_loss.text that it is for the others"})
		}
	}
	if k.Rules.Checked && s.DataLoss.Kind == "none_verified" {
		return all
	}
	for _, p := range passages(s) {
		if phrase := firstIn(p.text, denials); phrase != "" {
			all = append(all, Finding{Level: LevelError, Field: p.field, Code: "loss_denied", Reason: fmt.Sprintf("says %q, and no integrity check is recorded", phrase), Mend: "give an upper bound in data_loss, or say that it is not known yet"})
		}
	}
	return all
}

// newsFindings asks that an update says something new, or says that it does not.
func newsFindings(s templates.Statement, k situation) []Finding {
	before := k.Past.newest()
	if before == nil {
		return nil
	}
	moved := k.Figures != nil && (before.Figures == nil || !sameFigures(*k.Figures, *before.Figures))
	same := gist(s) == gist(before.Statement)
	switch {
	case same && !moved && !s.NoChange:
		return []Finding{{Level: LevelError, Field: "what_happened", Code: "nothing_new", Reason: fmt.Sprintf("says nothing that update %d did not say", before.Number), Mend: `say what is new, or set "no_change": true with what is being worked on`}}
	case !same && s.NoChange && s.Phase != before.Statement.Phase:
		return []Finding{{Level: LevelWarning, Field: "no_change", Code: "changed", Reason: "is set although the phase is another than before", Mend: "take no_change away"}}
	}
	return nil
}

// figureFields are where the figures that may change stand.
var figureFields = map[string]string{
	templates.FigureSites: "affected.sites", templates.FigureCustomers: "affected.customers", templates.FigureUsers: "affected.users",
	templates.FigureTimeline: "timeline", templates.FigureLoss: "data_loss",
}

// changeFindings asks why a figure is another than before: readers compare, and a silent change costs more trust than the error did.
func changeFindings(s templates.Statement, before *Update) (all []Finding) {
	if before == nil {
		return nil
	}
	differs := figuresOf(*before).Differs(s)
	for _, figure := range templates.Changeable() {
		switch given := strings.TrimSpace(s.Changed[figure]) != ""; {
		case slices.Contains(differs, figure) && !given:
			all = append(all, Finding{Level: LevelError, Field: figureFields[figure], Code: "change_without_reason", Reason: fmt.Sprintf("is another than in update %d", before.Number), Mend: fmt.Sprintf(`say why in "changed": {"%s": "..."}; every reader is told the old figure, the new one and the reason`, figure)})
		case given && !slices.Contains(differs, figure):
			all = append(all, Finding{Level: LevelWarning, Field: "changed." + figure, Code: "not_changed", Reason: fmt.Sprintf("gives a reason, and the figure is that of update %d", before.Number), Mend: "take the reason out; nobody will see it"})
		}
	}
	return all
}

// figuresOf are the figures of a published update.
func figuresOf(u Update) templates.Before {
	return templates.Before{Number: u.Number, Affected: u.Statement.Affected, Timeline: u.Statement.Timeline, DataLoss: u.Statement.DataLoss}
}

// gist is everything that a statement says about the incident, in one comparable text: not when the next word comes, nor to whom and how it goes.
func gist(s templates.Statement) string {
	s.NextUpdateBy, s.NoChange, s.Doing = templates.Moment{}, false, nil
	s.Audience, s.Channels, s.Locales = "", nil, nil
	s.Changed, s.Apology, s.Unaffected, s.Translations, s.SignedBy = nil, "", false, nil, ""
	for _, text := range []*string{&s.Headline, &s.WhatHappened, &s.YourAction, &s.Technical, &s.Scope.Text, &s.Affected.Who, &s.Timeline.Text, &s.DataLoss.Text} {
		*text = squeeze(*text)
	}
	for _, texts := range []*[]string{&s.Known, &s.Unknown, &s.Scope.Products, &s.Scope.Regions} {
		*texts = slices.Clone(*texts)
		for i, text := range *texts {
			(*texts)[i] = squeeze(text)
		}
		if len(*texts) == 0 {
			*texts = nil
		}
	}
	return mustText(s)
}

// mustText is plain data as one comparable text.
func mustText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // never so for plain data; an empty text equals no other
	}
	return string(b)
}

// squeeze makes texts equal that differ only in spaces and letter case: nobody learns anything from those.
func squeeze(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// sameFigures says whether the counts are the same, whatever the time.
func sameFigures(a, b templates.Figures) bool {
	a.AsOf, b.AsOf = time.Time{}, time.Time{}
	a.Stored, b.Stored = nil, nil
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// countFindings compares typed counts with the affected set.
func countFindings(s templates.Statement, f *templates.Figures) (all []Finding) {
	if f == nil || f.Sites.Total == 0 {
		return nil
	}
	for _, c := range []struct {
		field, unit string
		typed       templates.Count
		ledger      int
	}{{"affected.sites", "sites", s.Affected.Sites, f.Sites.Total}, {"affected.customers", "customers", s.Affected.Customers, f.Customers.Total}} {
		switch {
		case c.typed.State == templates.CountUnknown:
			all = append(all, Finding{Level: LevelWarning, Field: c.field, Code: "differs_from_ledger", Reason: fmt.Sprintf("is not known, and the affected set has %d %s", c.ledger, c.unit), Mend: fmt.Sprintf("write %d if the set is whole", c.ledger)})
		case c.typed.State == templates.CountKnown && c.typed.N != c.ledger:
			all = append(all, Finding{Level: LevelWarning, Field: c.field, Code: "differs_from_ledger", Reason: fmt.Sprintf("is %d, and the affected set has %d %s", c.typed.N, c.ledger, c.unit), Mend: "load the missing sites, or correct the number"})
		}
	}
	return all
}

// unitFindings asks whose the counted sites are: 400 with and without one's own mean different things.
func unitFindings(s templates.Statement) []Finding {
	if s.Affected.Sites.State == templates.CountKnown && s.Affected.OwnSites == "" {
		return []Finding{{Level: LevelWarning, Field: "affected.own_sites", Code: codeMissing, Reason: "is missing: readers cannot tell whether our own sites are in the count", Mend: "say whether they are counted, not counted, or none of them is affected"}}
	}
	return nil
}

// timeFindings looks at the promise of the next word, and at estimates that have passed.
func timeFindings(s templates.Statement, k situation) (all []Finding) {
	next, most := s.NextUpdateBy, k.Policy.NextUpdate[k.Severity]
	if next.Word == "" && !next.At.IsZero() && most > 0 && next.At.After(k.Rules.Now.Add(most)) {
		all = append(all, Finding{Level: LevelWarning, Field: "next_update_by", Code: "late_promise", Reason: fmt.Sprintf("is more than %s ahead, the policy's most for %s", most, k.Severity), Mend: "promise " + k.Rules.Now.Add(most).UTC().Format(time.RFC3339) + " or earlier"})
	}
	if f := k.Figures; f != nil && s.Phase == Resolved && f.Sites.Restored < f.Sites.Total {
		all = append(all, Finding{Level: LevelWarning, Field: "phase", Code: "sites_open", Reason: fmt.Sprintf("is resolved, and %d of %d sites are not handed back", f.Sites.Total-f.Sites.Restored, f.Sites.Total), Mend: "use monitoring until they are"})
	}
	end := s.Timeline.Latest
	if end == nil {
		end = s.Timeline.Earliest
	}
	switch f := k.Expected; {
	case end == nil || s.Phase == Resolved:
	case !end.After(k.Rules.Now):
		all = append(all, Finding{Level: LevelWarning, Field: "timeline", Code: "estimate_passed", Reason: "says a time that has passed", Mend: "give a new estimate, or set the phase to resolved"})
	case f.BackBy != nil && end.Before(*f.BackBy) && (Estimated{At: f.AsOf, By: end}).moved(f.BackBy, k.Policy.Estimate):
		left := "in which customers try their sites"
		if end.Before(*f.CheckedBy) {
			left = "that the checks take"
		}
		all = append(all, Finding{Level: LevelWarning, Field: "timeline", Code: "check_left_out", Reason: "leaves no room for the time " + left + ": by the ledger the last site is rebuilt by " + minute(*f.RebuiltBy) + ", checked by " + minute(*f.CheckedBy) + " and back by " + minute(*f.BackBy),
			Mend: "say " + minute(*f.BackBy) + " or later, or say in timeline.text what is not in it"})
	}
	return all
}

// minute is a time as findings say it.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02T15:04Z") }

// reachFindings says who will not hear of it.
func reachFindings(s templates.Statement, k situation) (all []Finding) {
	direct := slices.Contains(s.Channels, ChannelEmail) || slices.Contains(s.Channels, ChannelSMS)
	if direct && k.Crowd.People == 0 && len(badAudience(s.Audience)) == 0 {
		all = append(all, Finding{Level: LevelWarning, Field: "audience", Code: "nobody", Reason: "reaches nobody by e-mail or SMS", Mend: "load the affected set and the contacts; the page is all that will say it"})
	}
	if k.Crowd.Unreachable > 0 {
		all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "unreachable", Reason: fmt.Sprintf("leave out %d people who have no working address on them", k.Crowd.Unreachable), Mend: "see the coverage of the incident"})
	}
	if wide(s.Audience) && len(s.Channels) > 0 && !slices.Contains(s.Channels, ChannelPage) {
		all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "not_on_page", Reason: "leave out the page, which everybody else reads", Mend: `add "page"`})
	}
	if i := slices.Index(s.Channels, ChannelWebhook); i >= 0 && s.Audience != "" && s.Audience != AudiencePublic {
		all = append(all, Finding{Level: LevelWarning, Field: fmt.Sprintf("channels[%d]", i), Code: "nobody", Reason: "names webhook, by which only subscribers are told, and only what is public", Mend: "take it out, or say it to everybody"})
	}
	for _, number := range k.Behind {
		reason := "and the readers are not all those to whom update %d is still being sent: whoever gets this one is not sent that older word any more, the others get neither, and a task says how many they are"
		if s.NoChange {
			reason = "and the readers let update %d go on being sent, so some may get that older word behind this one"
		}
		all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "overtakes", Reason: fmt.Sprintf(reason, number), Mend: "name its channels and its readers too"})
	}
	for i, product := range s.Scope.Products {
		if len(k.Policy.Components) > 0 && !slices.ContainsFunc(k.Policy.Components, func(c ComponentPolicy) bool { return strings.EqualFold(c.Name, strings.TrimSpace(product)) }) {
			all = append(all, Finding{Level: LevelWarning, Field: fmt.Sprintf("scope.products[%d]", i), Code: "unknown_component", Reason: fmt.Sprintf("is %.60q, which the status page does not list; no component will change its state", product), Mend: "use a name of the policy's components"})
		}
	}
	return all
}

var (
	share   = regexp.MustCompile(`(?i)[0-9]+(?:[.,][0-9]+)?\s*(?:[%％]|per\s?cent\b|prozent\b|pour\s?cent\b|por\s?ciento\b|por\s?cento\b|パーセント|个百分点|퍼센트)|百分之[0-9零一二三四五六七八九十百]+`)
	anyTime = regexp.MustCompile(`[0-9]{1,2}[:：][0-9]{2}`)
)

// shareFindings finds a percentage that somebody typed: without the time that it was true at it cannot be told from one of yesterday. The ledger's own
// shares come with unit, count and time in every channel.
func shareFindings(s templates.Statement) (all []Finding) {
	for _, p := range passages(s) {
		level := LevelError
		if p.field == "technical" {
			level = LevelWarning // of a machine, as a rule
		}
		for _, sentence := range sentences(p.text) {
			if found := share.FindString(sentence); found != "" && !anyTime.MatchString(sentence) {
				all = append(all, Finding{Level: level, Field: p.field, Code: "bare_share", Reason: fmt.Sprintf("says %q without the time that it was true at", found), Mend: "leave it out: what is restored is counted from the ledger, or say of how many of what, and as of when"})
			}
		}
	}
	return all
}

// roomFindings says where a pinned fact, or what a figure was before, does not fit.
// smsNeeds are the kinds of fact that somebody who has the SMS alone looks for, as templates calls them.
var smsNeeds = []struct{ key, name string }{{"affected", "who is affected"}, {"recovery", "when it will be over"}, {"data_loss", "how much data is lost"}, {"restored", "what is restored"}, {"security", "the security cause"}}

func roomFindings(s templates.Statement, left map[string][]string) (all []Finding) {
	for _, locale := range s.Locales {
		if slices.Contains(left[locale], templates.FactChanged) {
			all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "change_left_out", Reason: fmt.Sprintf("leave what was said before out of the SMS in %s, for want of room", locale), Mend: "shorten the headline, what to do or the pinned facts"})
		}
		for _, fact := range smsNeeds {
			if slices.Contains(left[locale], fact.key) {
				all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "fact_left_out", Reason: fmt.Sprintf("leave %s out of the SMS in %s, for want of room", fact.name, locale), Mend: "shorten the headline, what to do or the pinned facts; the page that it names has it all"})
			}
		}
		if slices.Contains(left[locale], templates.FactPinned) {
			all = append(all, Finding{Level: LevelWarning, Field: "channels", Code: "pinned_left_out", Reason: fmt.Sprintf("leave a pinned fact out of the SMS in %s, for want of room", locale), Mend: "shorten the pinned facts, what happened or what to do"})
		}
	}
	return all
}

// vague are words that stand where a time should. They are few on purpose: a list that cries wolf is not read.
var vague = []string{
	"shortly", "soon", "asap", "as soon as possible", "in due course", "momentarily", "later today", "in the near future", "before long", "any moment",
	"尽快", "稍后", "很快", "近期", "不久", "马上",
	"まもなく", "近日中", "のちほど", "後ほど", "早急に", "追って", "できるだけ早く", "間もなく",
	"bald", "demnächst", "in kürze", "baldmöglichst", "schnellstmöglich", "so schnell wie möglich", "bientôt", "sous peu", "prochainement", "dès que possible", "au plus vite",
	"en breve", "próximamente", "cuanto antes", "lo antes posible", "em breve", "o quanto antes", "assim que possível", "o mais rápido possível",
	"조만간", "곧 ", "잠시 후", "빠른 시일", "최대한 빨리", "가능한 한 빨리",
}

// promises are beginnings of sentences that promise something.
var promises = []string{
	"we will", "we'll", "we shall", "more details", "more information", "further updates", "will be restored", "will be back", "to follow",
	"我们将", "我们会", "将会", "将于",
	"いたします", "する予定", "お知らせします", "復旧する見込み",
	"wir werden", "weitere informationen folgen", "nous allons", "nous vous tiendrons", "vamos a", "informaremos", "vamos restaurar", "vamos informar", "하겠습니다", "드리겠습니다", "예정입니다",
}

func wordFindings(s templates.Statement) (all []Finding) {
	for _, p := range passages(s) {
		for _, sentence := range sentences(p.text) {
			switch {
			case strings.ContainsFunc(sentence, unicode.IsDigit): // it gives a time or a number
			case firstIn(sentence, vague) != "":
				all = append(all, Finding{Level: LevelWarning, Field: p.field, Code: "vague", Reason: fmt.Sprintf("says %q, which is no time", firstIn(sentence, vague)), Mend: "give a time"})
			case p.field != "timeline.text" && firstIn(sentence, promises) != "":
				all = append(all, Finding{Level: LevelWarning, Field: p.field, Code: "promise_without_time", Reason: fmt.Sprintf("promises (%q) without saying when", firstIn(sentence, promises)), Mend: "say until when, or leave the promise out"})
			}
		}
	}
	return all
}

var sentenceEnd = regexp.MustCompile(`[.!?]\s+|[。！？\n]`)

func sentences(text string) []string { return sentenceEnd.Split(text, -1) }

// firstIn is the first of the phrases that stands in a text, whatever its letter case. A Latin phrase must stand as whole words, since
// "soon" is no part of "sooner".
func firstIn(text string, phrases []string) string {
	text = squeeze(text)
	for _, phrase := range phrases {
		for from := 0; ; {
			at := strings.Index(text[from:], phrase)
			if at < 0 {
				break
			}
			at += from
			end := at + len(phrase)
			if phrase[0] >= 0x80 || !letterBefore(text, at) && !letterAt(text, end) {
				return phrase
			}
			from = end
		}
	}
	return ""
}

func letterBefore(s string, at int) bool {
	return at > 0 && isLatin(s[at-1])
}

func letterAt(s string, at int) bool {
	return at < len(s) && isLatin(s[at])
}

func isLatin(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }
