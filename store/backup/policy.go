package backup

import (
	"time"

	"lifeline/store/fault"
)

// Policy is the section of the policy file for backups.
type Policy struct {
	Every    time.Duration `yaml:"every" json:"every"`         // how often one is taken, when anything changed: the recovery point
	Thin     time.Duration `yaml:"keep_all" json:"keep_all"`   // how long every one of them stays
	KeepDays int           `yaml:"keep_days" json:"keep_days"` // how long one of each day stays
	Journal  time.Duration `yaml:"journal" json:"journal"`     // how often what must hold after a restore is brought out
	Drill    time.Duration `yaml:"drill" json:"drill"`         // how old the last drill that passed may be
}

const day = 24 * time.Hour

// DefaultPolicy is what is in force when the policy file says nothing.
func DefaultPolicy() Policy {
	return Policy{Every: 15 * time.Minute, Thin: 2 * day, KeepDays: 30, Journal: 5 * time.Second, Drill: 92 * day}
}

// Keep is how long one of each day stays.
func (p Policy) Keep() time.Duration { return time.Duration(p.KeepDays) * day }

// Check says what is wrong with a policy.
func (p Policy) Check() error {
	switch {
	case p.Every < time.Second:
		return fault.BadField("backup.every", "must be at least a second")
	case p.KeepDays < 1 || p.KeepDays > 3650:
		return fault.BadField("backup.keep_days", "must be 1 to 3650")
	case p.Thin < 0 || p.Thin > p.Keep():
		return fault.BadField("backup.keep_all", "must be no longer than backup.keep_days")
	case p.Journal < time.Second:
		return fault.BadField("backup.journal", "must be at least a second")
	case p.Drill < time.Second:
		return fault.BadField("backup.drill", "must be at least a second")
	}
	return nil
}

// Tier is what a service of a class of importance may lose, and for how long it may be away.
type Tier struct {
	Number int           `json:"tier"`
	Of     string        `json:"of"`  // what of Lifeline is held to it
	RPO    time.Duration `json:"rpo"` // both exclusive: less than this
	RTO    time.Duration `json:"rto"`
}

// tiers are those that Lifeline holds itself to: without its contacts and its page nobody is told anything.
var tiers = [...]Tier{
	{0, "contact store and status page", time.Hour, 4 * time.Hour},
	{1, "Lifeline as a whole", time.Hour, 6 * time.Hour},
}

// Meanings of the two figures, for whoever sees them.
const (
	MeansRPO = "RPO, the recovery point: how much of the newest work a loss at this moment would take, as time; the age of the newest backup"
	MeansRTO = "RTO, the recovery time: how long until everything is there again, once a machine and its people are"
)
