package page

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lifeline/comms"
	"lifeline/templates"
)

// sampleRich says everything that an update can say: in eight languages, with figures that changed, parts that lose more, no date, a letter; beside it a
// correction, which says nothing, and an entry of which nobody has said anything.
func sampleRich() comms.Public {
	p := sampleRecovery()
	p.Incidents = slices.Clone(p.Incidents)
	in := &p.Incidents[0]
	rich := in.Updates[0]
	rich.ID, rich.Number, rich.Corrects = "upd_01h0000000000000000000004", 8, 0
	rich.Cohorts = []templates.CohortLoss{{Name: "sites with an older restore point", Sites: 57, AtMost: templates.Span(90 * time.Minute)}}
	rich.Before = &templates.Before{Number: 7, Affected: rich.Statement.Affected, Timeline: rich.Statement.Timeline, DataLoss: rich.Statement.DataLoss}
	whole := *rich.Restored
	whole.Stored = &templates.Stored{Sites: 200_000, UnaffectedSites: 199_117, SitesPercent: "99.6", Customers: 180_000, Unaffected: 179_225, CustomersPercent: "99.6"}
	rich.Restored = &whole
	s := &rich.Statement
	s.Timeline = templates.Timeline{Kind: "no_date_possible", Confidence: "low", FullScopeBy: templates.Moment{Word: "not_known"}}
	least, most := templates.Span(time.Minute), templates.Span(26*time.Hour)
	s.DataLoss = templates.DataLoss{Kind: "range", AtLeast: &least, AtMost: &most, Confidence: "medium"}
	s.Affected.Users, s.Affected.OwnSites = templates.Between(1000, 5000), "counted"
	s.Picture = templates.Picture{SiteList: templates.Established{State: "known", Confidence: "high"}, Contacts: templates.Established{State: "partly", Confidence: "medium"},
		RestoreScope: templates.Established{State: "not_known", Confidence: "low"}}
	s.LongBecause, s.SignedBy, s.Apology, s.WasNot, s.Unaffected, s.NoChange = []string{"Each site takes seventy steps."}, "Ann Lee, head of operations", "standard", templates.WasNots(), true, true
	s.Changed = map[string]string{}
	for _, figure := range templates.Changeable() {
		s.Changed[figure] = "The first count left small accounts out."
	}
	s.Locales, s.Translations = templates.Locales(), map[string]templates.Translation{}
	for _, locale := range templates.Locales()[1:] {
		words := []string{"in " + locale}
		s.Translations[locale] = templates.Translation{Headline: locale, WhatHappened: locale, YourAction: locale, Technical: locale, Scope: locale, Who: locale, Timeline: locale, DataLoss: locale,
			Known: words, Unknown: words, Doing: words, LongBecause: words}
	}
	s.Translations["ko"] = templates.Translation{}
	in.Updates = slices.Clone(in.Updates)
	in.Updates[0].Statement.Picture.Contacts = templates.Established{State: "known", Confidence: "high"}
	in.Updates[1].Statement.Picture.SiteList = templates.Established{State: "known", Confidence: "high"}
	nothing := templates.Update{ID: "upd_01h0000000000000000000005", Number: 9, Incident: rich.Incident, At: tenth, Corrects: 8, Restored: rich.Restored,
		Statement: templates.Statement{Phase: "identified", Audience: "affected", Channels: []string{"page"}, Locales: []string{"en"}}}
	in.Updates = append([]templates.Update{nothing, rich}, in.Updates...)
	in.FirstWord, in.Monitoring = &morning, &tenth
	entry := incidentOf("open", firstNotice())
	entry.ID, entry.Number, entry.Updates, entry.Products, entry.Phase = "0nlyanentry0", 42, nil, nil, "investigating"
	p.Incidents = append([]comms.PublicIncident{entry}, p.Incidents...)
	return p
}

// Every public answer of every world is what the schema says, with every object closed: a field that the schema forgets fails, and so does one that it names
// and that no answer ever has, or that it calls optional though it is always there.
func TestThePublicFactsAreWhatTheirSchemaSays(t *testing.T) {
	seen := map[string]map[string]int{} // how often each property of each object schema was there
	closed := factsRules(t, true)
	root := parsedSchema(t)
	worlds := map[string]func() comms.Public{"rich": sampleRich}
	for name, public := range moments {
		worlds[name] = public
	}
	for name, public := range worlds {
		press := samplePress(t, "")
		press.few = press.few[:1]
		e, err := press.Render(public())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		said := 0
		for path := range e.docs {
			rest, ours := strings.CutPrefix(path, "/api/v1/public/")
			if !ours || path == SchemaPath {
				continue
			}
			said++
			kind, one, _ := strings.Cut(strings.TrimSuffix(rest, ".json"), "/")
			if one != "" {
				kind = "incident"
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Body(path, "")))
			if err != nil {
				t.Fatal(err)
			}
			if err := closed[kind].Validate(value); err != nil {
				t.Errorf("%s: %s: %v", name, path, err)
			}
			tally(root, root["$defs"].(map[string]any)[kind], value, seen)
		}
		if said < 6 {
			t.Errorf("%s: %d answers", name, said)
		}
	}
	for at, counts := range seen {
		var missing []string
		for property, n := range counts {
			if n == 0 {
				missing = append(missing, property)
			}
		}
		if len(missing) > 0 {
			t.Errorf("the schema of %s names %q, which no answer has, or calls it optional though it is always there", at, missing)
		}
	}
	if err := factsRules(t, false)["incidents"].Validate(map[string]any{"items": []any{}, "next": "", "later": true}); err != nil { // what comes later must not break who reads today
		t.Errorf("a field more breaks a reader: %v", err)
	}
	if err := closed["incidents"].Validate(map[string]any{"items": []any{}, "next": "", "later": true}); err == nil {
		t.Error("a field that the schema does not name is let through")
	}
}

// The schema is served where it says that it is, in the static site too, and each answer says where to find it.
func TestTheSchemaIsWhereItSays(t *testing.T) {
	s, e := shownServer(t, sampleRecovery())
	get := serve(t, s)
	if got := get("GET", SchemaPath); got.status != 200 || !bytes.Contains(got.body, []byte(`"$id": "`+sampleVendor().URL+SchemaPath+`"`)) {
		t.Errorf("%d: %.200s", got.status, got.body)
	}
	for _, path := range []string{factsPath, factsPath + "/" + sampleID, plansPath + ".json", answersPath} {
		if got := get("GET", path).header.Get("Link"); got != "<"+SchemaPath+`>; rel="describedby"` {
			t.Errorf("%s: Link is %q", path, got)
		}
	}
	if !slices.ContainsFunc(e.files, func(f file) bool { return f.path == SchemaPath[1:] }) {
		t.Error("the static site has no schema")
	}
}

func parsedSchema(t *testing.T) map[string]any {
	t.Helper()
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema(sampleVendor())))
	if err != nil {
		t.Fatal(err)
	}
	return root.(map[string]any)
}

// factsRules compiles the definitions that answers follow; closed ones refuse what they do not name.
func factsRules(t *testing.T, closed bool) map[string]*jsonschema.Schema {
	t.Helper()
	root := parsedSchema(t)
	if closed {
		closeAll(root)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	address := sampleVendor().URL + SchemaPath
	if err := c.AddResource(address, root); err != nil {
		t.Fatal(err)
	}
	rules := map[string]*jsonschema.Schema{}
	for _, kind := range []string{"incidents", "incident", "maintenances", "questions"} {
		var err error
		if rules[kind], err = c.Compile(address + "#/$defs/" + kind); err != nil {
			t.Fatal(err)
		}
	}
	return rules
}

func closeAll(v any) {
	switch x := v.(type) {
	case map[string]any:
		if _, ok := x["properties"].(map[string]any); ok && x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, child := range x {
			closeAll(child)
		}
	case []any:
		for _, child := range x {
			closeAll(child)
		}
	}
}

// tally counts which properties of a schema a value has: of an optional one, that it is there and that it is not are counted under two names.
func tally(root map[string]any, rule, value any, seen map[string]map[string]int) {
	s, ok := rule.(map[string]any)
	if !ok || value == nil {
		return
	}
	if to, ok := s["$ref"].(string); ok {
		s = root["$defs"].(map[string]any)[strings.TrimPrefix(to, "#/$defs/")].(map[string]any)
	}
	for _, choice := range list(s["oneOf"]) {
		tally(root, choice, value, seen)
	}
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			tally(root, s["items"], item, seen)
		}
	case map[string]any:
		for _, item := range v {
			if s["properties"] == nil {
				tally(root, s["additionalProperties"], item, seen)
			}
		}
		properties, _ := s["properties"].(map[string]any)
		if properties == nil {
			return
		}
		at := strings.Join(slices.Sorted(maps.Keys(properties)), " ")
		if seen[at] == nil {
			seen[at] = map[string]int{}
		}
		for name, child := range properties {
			item, there := v[name]
			if !slices.Contains(list(s["required"]), any(name)) {
				seen[at]["no "+name] += map[bool]int{false: 1}[there]
			}
			seen[at][name] += map[bool]int{true: 1}[there]
			tally(root, child, item, seen)
		}
	}
}

func list(v any) []any {
	all, _ := v.([]any)
	return all
}
