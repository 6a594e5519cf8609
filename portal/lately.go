package portal

import (
	"context"
	"time"

	"lifeline/comms"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/templates"
)

// lately are the figures of large incidents, as pages of the desk show them: every open page asks for them again and again, and each count walks all sites or all
// checks. The API, and the answer to whoever has just moved sites, count anew.
type lately struct {
	ledgers   store.Recent[templates.Figures]
	forecasts store.Recent[comms.Forecast]
	checks    store.Recent[desk.CheckFigures]
	coverages store.Recent[comms.CoverageReport]
	courses   store.Recent[[]comms.CoursePoint]
}

// latelyFrom is how many affected sites an incident must have so that its figures are kept, and latelyFor for how long.
const (
	latelyFrom = 2000
	latelyFor  = 3 * time.Second
)

func (p *Portal) ledgerLately(ctx context.Context, incident string) (templates.Figures, error) {
	return p.lately.ledgers.Of(ctx, incident, latelyFor, func(ctx context.Context) (templates.Figures, bool, error) {
		f, err := p.Comms.Ledger(ctx, incident)
		return f, f.Sites.Total >= latelyFrom, err
	})
}

func (p *Portal) forecastLately(ctx context.Context, incident string) (comms.Forecast, error) {
	return p.lately.forecasts.Of(ctx, incident, latelyFor, func(ctx context.Context) (comms.Forecast, bool, error) {
		f, err := p.Comms.Forecast(ctx, incident)
		return f, f.Total() >= latelyFrom, err
	})
}

func (p *Portal) checksLately(ctx context.Context, incident string) (desk.CheckFigures, error) {
	return p.lately.checks.Of(ctx, incident, latelyFor, func(ctx context.Context) (desk.CheckFigures, bool, error) {
		f, err := p.Desk.CheckFigures(ctx, incident)
		n := 0
		for _, some := range f.ByState {
			n += some
		}
		return f, n >= latelyFrom, err
	})
}

func (p *Portal) courseLately(ctx context.Context, incident string, sites int) ([]comms.CoursePoint, error) {
	return p.lately.courses.Of(ctx, incident, latelyFor, func(ctx context.Context) ([]comms.CoursePoint, bool, error) {
		c, err := p.Comms.Course(ctx, incident)
		return c, sites >= latelyFrom, err
	})
}

func (p *Portal) coverageLately(ctx context.Context, incident string) (comms.CoverageReport, error) {
	return p.lately.coverages.Of(ctx, incident, latelyFor, func(ctx context.Context) (comms.CoverageReport, bool, error) {
		c, err := p.Comms.Coverage(ctx, incident)
		return c, c.Sites >= latelyFrom, err
	})
}
