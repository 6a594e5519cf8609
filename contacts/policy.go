package contacts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline/store/fault"
)

// Policy is what an operator may set about contacts.
type Policy struct {
	PhoneCountry string              `yaml:"phone_country"`    // ISO 3166 country of phone numbers written without +; "": they are refused
	Tiers        map[string]int      `yaml:"tiers"`            // what the tier column may say, in any letter case, to 0 (most urgent) to 3
	DefaultTier  int                 `yaml:"default_tier"`     // of accounts and sites for which nobody named one
	Sources      map[string][]string `yaml:"sources"`          // the sources of each class, see Classes; a source not listed is "other"
	MaxImport    int64               `yaml:"max_import_bytes"` // of one import
	MaxDryRun    int64               `yaml:"max_dry_run_bytes"`
	StaleAfter   Stale               `yaml:"stale_after"`
	Guard        Guard               `yaml:"guard"`
	Pulls        []Pull              `yaml:"pulls"`       // files that are fetched
	StateRoles   []string            `yaml:"state_roles"` // the classes of sources whose word makes somebody owner, site admin or executive; others propose it
}

// Stale is how long a confirmation holds, by how much hangs on the contact.
type Stale struct {
	Approved time.Duration `yaml:"approved"`
	Others   time.Duration `yaml:"others"`
}

// Classes ranks the classes of sources, strongest first.
var classes = []string{"customer", "outreach", "billing", "product"}

// DefaultPolicy is what holds without a policy file.
func DefaultPolicy() Policy {
	return Policy{
		Tiers: map[string]int{
			"0": 0, "1": 1, "2": 2, "3": 3,
			"tier 0": 0, "tier 1": 1, "tier 2": 2, "tier 3": 3,
			"t0": 0, "t1": 1, "t2": 2, "t3": 3,
			"critical": 0, "enterprise": 1, "premium": 1, "business": 2, "standard": 2, "free": 3,
		},
		DefaultTier: 2,
		Sources: map[string][]string{
			"customer": {"customer"},
			"outreach": {"outreach"},
			"billing":  {"billing", "crm"},
			"product":  {"product", "sync"},
		},
		MaxImport:  512 << 20,
		MaxDryRun:  128 << 20,
		Guard:      defaultGuard(),
		StateRoles: slices.Clone(classes),
		StaleAfter: Stale{Approved: 180 * 24 * time.Hour, Others: 365 * 24 * time.Hour},
	}
}

// Check names the first value that cannot be used.
func (p Policy) Check() error {
	if p.PhoneCountry != "" && !Country(p.PhoneCountry) {
		return fault.BadField("contacts.phone_country", "%q is not an ISO 3166 country code such as DE", p.PhoneCountry)
	}
	for text, tier := range p.Tiers {
		if tier < 0 || tier > 3 {
			return fault.BadField("contacts.tiers", "%q is mapped to %d; tiers are 0 to 3", text, tier)
		}
	}
	if p.DefaultTier < 0 || p.DefaultTier > 3 {
		return fault.BadField("contacts.default_tier", "is %d; tiers are 0 to 3", p.DefaultTier)
	}
	for class, names := range p.Sources {
		if !slices.Contains(classes, class) {
			return fault.BadField("contacts.sources", "%q is not a class of sources; they are %s", class, strings.Join(classes, ", "))
		}
		for _, name := range names {
			if _, err := parseSource(name); err != nil {
				return fault.BadField("contacts.sources", "%q cannot be the name of a source", name)
			}
		}
	}
	for _, class := range p.StateRoles {
		if !slices.Contains(classes, class) {
			return fault.BadField("contacts.state_roles", "%q is not a class of sources; they are %s", class, strings.Join(classes, ", "))
		}
	}
	if p.MaxImport <= 0 || p.MaxDryRun <= 0 {
		return fault.BadField("contacts.max_import_bytes", "and max_dry_run_bytes must be above 0")
	}
	if p.StaleAfter.Approved <= 0 || p.StaleAfter.Others <= 0 {
		return fault.BadField("contacts.stale_after", "must be above 0")
	}
	if err := checkPulls(p.Pulls); err != nil {
		return err
	}
	return p.Guard.check()
}

// staffWord is the source of what staff decided. No file may call itself so.
const staffWord = string(ByStaff)

// rank is the strength of a source, 0 the strongest. "billing-2024" counts as "billing" unless the policy lists it itself. Staff are as
// strong as outreach, which they do.
func (p Policy) rank(source string) int {
	if source == staffWord {
		source = "outreach"
	}
	for _, name := range []string{source, source[:indexOrLen(source, "-_.:")]} {
		for i, class := range classes {
			if slices.Contains(p.Sources[class], name) {
				return i
			}
		}
	}
	return len(classes)
}

// Class is the class of a source; "": none that the policy lists.
func (p Policy) Class(source string) string {
	if rank := p.rank(source); rank < len(classes) {
		return classes[rank]
	}
	return ""
}

// mayState says whether the policy believes a source that names somebody who may speak for a customer.
func (p Policy) mayState(source string) bool {
	return slices.Contains(p.StateRoles, p.Class(source))
}

func indexOrLen(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

// tier reads the tier column.
func (p Policy) tier(text string) (int, error) {
	text = strings.ToLower(text)
	for name, tier := range p.Tiers {
		if strings.ToLower(name) == text {
			return tier, nil
		}
	}
	return 0, fmt.Errorf("%.80q is not a tier that the policy knows; it may be %s", text, strings.Join(p.tierNames(), ", "))
}

func (p Policy) tierNames() []string {
	names := make([]string, 0, len(p.Tiers))
	for name := range p.Tiers {
		names = append(names, strconv.Quote(name))
	}
	slices.Sort(names)
	return names[:min(len(names), 20)]
}
