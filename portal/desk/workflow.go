package desk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// Workflow is how the tickets of a sort of incident are worked on. It is prepared in the policy and holds for a ticket from the moment in which that comes into
// the queue of such an incident, with a site or without, so that declaring one is all that brings it to life. What it leaves out is as for every ticket.
//
// Its steps stand beside the states that every ticket has: the states say whose turn it is, and the clocks hang on them; a step says how far the work has come.
// Its escalation is the ladder "first_answer.NAME" and so on of the policy, where there is one, in place of "first_answer".
type Workflow struct {
	Incidents []string   `yaml:"incidents" json:"incidents"` // the categories of incidents for which it holds
	Steps     []WorkStep `yaml:"steps" json:"steps"`         // in their order; a ticket begins with the first
	Times     `yaml:",inline"`
}

// WorkStep is one of a workflow's own states.
type WorkStep struct {
	Name   string            `yaml:"name" json:"name"`
	Text   map[string]string `yaml:"text" json:"text"`                       // by language
	Within time.Duration     `yaml:"within" json:"within_seconds,omitempty"` // from when somebody took the ticket there; 0: it may stay
}

// StepClock is the promise that a ticket leaves its step in time.
const StepClock = "step"

func defaultWorkflows() map[string]Workflow {
	step := func(name string, within time.Duration, en, zh, ja string) WorkStep {
		return WorkStep{name, map[string]string{"en": en, "zh-CN": zh, "ja": ja}, within}
	}
	return map[string]Workflow{"loss": {Incidents: []string{"data", "access"}, Steps: []WorkStep{
		step("look", time.Hour, "Being looked at", "正在查看", "確認中"),
		step("match", 4*time.Hour, "Finding whose site it is", "正在确认属于哪个站点", "どのサイトかを確認中"),
		step("restore", 0, "Waits for its restore", "等待恢复", "復元待ち"),
		step("check", 24*time.Hour, "Restored, being checked", "已恢复，正在检查", "復元済み・検査中"),
		step("customer", 0, "With the customer to look at", "等待客户确认", "お客様の確認待ち"),
	}}}
}

func badWorkflows(all map[string]Workflow) (f []fault.Field) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w, under := all[name], "desk.workflows."+name
		bad := func(field, format string, args ...any) {
			f = append(f, fault.Field{Field: under + field, Code: "invalid", Reason: fmt.Sprintf(format, args...)})
		}
		if name == "" || line(name) != name || len(name) > maxLabel {
			bad("", "must have a name of one line")
		}
		if len(w.Incidents) == 0 {
			bad(".incidents", "is missing: name the categories of incidents for which it holds")
		}
		for _, category := range w.Incidents {
			if other := taken[category]; other != "" {
				bad(".incidents", "names %q, for which %s holds", category, other)
			}
			taken[category] = name
		}
		var seen []string
		for i, s := range w.Steps {
			at := fmt.Sprintf(".steps[%d]", i)
			if s.Name == "" || line(s.Name) != s.Name || slices.Contains(seen, s.Name) || len(s.Name) > maxLabel {
				bad(at+".name", "must be one short line, and no other step's name")
			}
			seen = append(seen, s.Name)
			if strings.TrimSpace(s.Text["en"]) == "" {
				bad(at+".text.en", "is missing: it stands in for languages that have none")
			}
			for locale := range s.Text {
				if !slices.Contains(templates.Locales(), locale) {
					bad(at+".text", "names %q, which is none of %s", locale, strings.Join(templates.Locales(), ", "))
				}
			}
			if s.Within < 0 {
				bad(at+".within", "must not be negative")
			}
		}
		f = append(f, w.bad(under)...)
	}
	return f
}

// WorkflowOf is the name of the workflow for incidents of a category, and "" where there is none.
func (p Policy) WorkflowOf(category string) string {
	for _, name := range slices.Sorted(maps.Keys(p.Workflows)) {
		if slices.Contains(p.Workflows[name].Incidents, category) {
			return name
		}
	}
	return ""
}

// StepSays is a step of a workflow in a language; one that the policy no longer has is its name.
func (p Policy) StepSays(flow, name, locale string) string {
	for _, s := range p.Workflows[flow].Steps {
		if s.Name == name {
			if says := s.Text[locale]; says != "" {
				return says
			}
			return s.Text["en"]
		}
	}
	return name
}

// enters is what a ticket becomes in the queue of an incident, or of none: it begins the workflow that holds there, unless it is in it already. Its clocks are as
// they were; see weighed.
func (p Policy) enters(t Ticket, o open) Ticket {
	t.Incident = o.ID
	flow := p.WorkflowOf(o.Category)
	if flow == t.Flow {
		return t
	}
	t.Flow, t.Step, t.StepBy = flow, "", time.Time{}
	if steps := p.Workflows[flow].Steps; len(steps) > 0 {
		t.Step = steps[0].Name
	}
	return t
}

// stepped is a ticket that somebody took to a step of its workflow; false: that has no such step.
func (p Policy) stepped(t Ticket, name string, now time.Time) (Ticket, bool) {
	for _, s := range p.Workflows[t.Flow].Steps {
		if s.Name != name {
			continue
		}
		t.Step, t.StepBy = name, time.Time{}
		if s.Within > 0 {
			t.StepBy = p.after(t.Priority, now, s.Within)
		}
		return t, true
	}
	return t, false
}

// Steps are the names of a workflow's steps.
func (p Policy) Steps(flow string) (names []string) {
	for _, s := range p.Workflows[flow].Steps {
		names = append(names, s.Name)
	}
	return names
}

// Within is how soon a ticket of an incident of a category has its first answer, by priority.
func (p Policy) Within(category string) map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, priority := range priorities {
		all[priority] = p.may(FirstAnswer, Ticket{Priority: priority, Flow: p.WorkflowOf(category)})
	}
	return all
}
