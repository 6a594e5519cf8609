package comms

import (
	"slices"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

func TestAPolicyThatCannotWorkIsRefusedByName(t *testing.T) {
	if err := DefaultPolicy().Check(); err != nil {
		t.Error(err)
	}
	mail := func(s string) []Direct { return []Direct{{Channel: ChannelEmail, Address: s}} }
	for want, mend := range map[string]func(*Policy){
		"comms.categories":                     func(p *Policy) { p.Categories = nil },
		"comms.next_update.P9":                 func(p *Policy) { p.NextUpdate["P9"] = time.Hour },
		"comms.second_reading":                 func(p *Policy) { p.SecondRead = 0 },
		"comms.cover_every":                    func(p *Policy) { p.CoverEvery = time.Millisecond },
		"comms.workers":                        func(p *Policy) { p.Workers = 0 },
		"comms.retry":                          func(p *Policy) { p.Retry.Waits = nil },
		"comms.internal[0].address":            func(p *Policy) { p.Internal = mail("duty") },
		"comms.internal[0].channel":            func(p *Policy) { p.Internal = []Direct{{Channel: "fax", Address: "1"}} },
		"comms.ladders.x[1]":                   func(p *Policy) { p.Ladders["x"] = Ladder{{After: time.Hour}, {After: time.Minute}} },
		"comms.ladders.x[0].to[0].name":        func(p *Policy) { p.Ladders["x"] = Ladder{{To: []Direct{{ChannelSMS, "+12025550101", "a\r\nb", "en"}}}} },
		"comms.components[0].kind":             func(p *Policy) { p.Components = []ComponentPolicy{{Name: "Wiki", Kind: "magic"}} },
		"comms.category_names.weather":         func(p *Policy) { p.CategoryNames = map[string]string{"weather": "Weather"} },
		"comms.automatic.rules.reports.people": func(p *Policy) { p.Automatic.Rules[RuleReports] = Rule{People: 1, After: time.Minute} },
		"comms.automatic.rules.reports.after":  func(p *Policy) { p.Automatic.Rules[RuleReports] = Rule{People: 5} },
		"comms.components[1].name":             func(p *Policy) { p.Components = []ComponentPolicy{{Name: "Wiki"}, {Name: "wiki"}} },
	} {
		p := DefaultPolicy()
		mend(&p)
		var e *fault.Error
		if err := p.Check(); err != nil {
			e = err.(*fault.Error)
		}
		if e == nil || !slices.ContainsFunc(e.Fields, func(f fault.Field) bool { return f.Field == want }) {
			t.Errorf("%s: %v", want, e)
		}
	}
}

// Each sort of component that a service is made of has a place, and a category has one name wherever it is read.
func TestCategoriesAndComponentsAreThePolicys(t *testing.T) {
	p := DefaultPolicy()
	kinds := []string{"website", "api", "third_party", "network", "supplier_software", "supplier_hardware"} // what an outage may lie in, ours and others'
	for _, kind := range kinds {
		p.Components = append(p.Components, ComponentPolicy{Name: "The " + kind, Kind: kind})
	}
	p.CategoryNames = map[string]string{"third_party": "Supplier"}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	if p.CategoryName("third_party") != "Supplier" || p.CategoryName("data") != "data" {
		t.Errorf("categories are called %q and %q", p.CategoryName("third_party"), p.CategoryName("data"))
	}
	hit := components(p.Components, []PublicIncident{{Incident: templates.Incident{Severity: "P1"}, State: Open, Products: []string{"the supplier_hardware"}}})
	for i, c := range hit {
		want := map[bool]string{true: "partial_outage", false: "operational"}[c.Kind == "supplier_hardware"]
		if c.Kind != kinds[i] || c.Status != want {
			t.Errorf("%s is a %s and %s, want %s", c.Name, c.Kind, c.Status, want)
		}
	}
}
