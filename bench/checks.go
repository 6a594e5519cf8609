package main

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/fault"
)

// checkedSites is how many rebuilt sites wait to be checked.
const checkedSites = 6000

// checks claims sites and submits what was found, each claim and each submission a transaction of its own, while so many people do.
func (b bench) checks(ctx context.Context, engine string, e store.Engine) error {
	d, err := b.desk(ctx, e)
	if err != nil {
		return err
	}
	d.Comms.Follow, d.Chance = d.FollowMove, func() float64 { return 1 }
	var book, set, moves bytes.Buffer
	fmt.Fprintln(&book, "account,account_id,site,site_id,name,role,email")
	fmt.Fprintln(&set, "site_id")
	for i := range checkedSites {
		fmt.Fprintf(&book, "Customer %d,A-%d,Site %d,S-%d,Owner,owner,owner@c%d.example\n", i, i, i, i, i)
		fmt.Fprintf(&set, "S-%d\n", i)
		fmt.Fprintf(&moves, "{\"site_id\":\"S-%d\",\"state\":\"rebuilt\",\"batch\":\"%d\"}\n", i, i/60)
	}
	if _, err := d.Book.Import(ctx, "system:bench", &book, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		return err
	}
	in, err := d.Comms.Declare(ctx, "system:bench", comms.Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Customers cannot open their sites."})
	if err != nil {
		return err
	}
	if _, err := d.Comms.LoadAffected(ctx, "system:bench", in.ID, comms.CSV, &set, false); err != nil {
		return err
	}
	if _, err := d.Comms.MoveSites(ctx, comms.Mover{By: "system:bench"}, in.ID, &moves); err != nil {
		return err
	}
	whole := map[string]comms.Result{}
	for _, item := range d.Comms.Policy.Checklists[comms.SiteCheckList] {
		whole[item.Key] = comms.Result{State: comms.ItemDone, Value: "1"}
	}
	const people = 64
	var next atomic.Int64
	var held [people][]store.Rec[desk.Check]
	claimed, err := b.rate(people, func(worker, _ int) error {
		p := desk.Checker{ID: fmt.Sprintf("stf_%d_%d", worker, next.Add(1))} // one after the other comes on shift, and nobody has more than she may
		got, err := d.ClaimChecks(ctx, p, desk.Claim{})
		if err == nil && len(got) == 0 {
			return fault.New(fault.Unavailable, "nothing waits")
		}
		if err == nil && len(held[worker]) < 2000 {
			held[worker] = append(held[worker], got...)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "checks     %-9s %3d claim                      %s\n", engine, people, claimed)
	submitted, err := b.rate(people, func(worker, i int) error {
		if i >= len(held[worker]) {
			time.Sleep(10 * time.Millisecond) // she is done, and the figure is of those who are not
			return fault.New(fault.Unavailable, "nothing is held")
		}
		c := held[worker][i]
		_, err := d.Submit(ctx, desk.Checker{ID: c.Value.Holder}, c.ID, desk.Submission{Verdict: desk.VerdictPassed, Written: desk.Written{Epoch: c.Value.Epoch, Results: whole}})
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "checks     %-9s %3d submit                     %s\n", engine, people, submitted)
	return nil
}
