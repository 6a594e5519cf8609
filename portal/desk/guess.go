package desk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline/comms"
	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/store/limit"
)

// A code is guarded by what may be tried of it, and a secret by its length. Neither shows that somebody tries thousands, each from another network and for another
// ticket. So wrong ones are counted in all: so many in an hour are no slips of the finger, and staff are alarmed, once until somebody has looked. Nothing else follows
// from that count, which any stranger can fill: what holds a guesser back is counted by what he tries and from where, and then hinders nobody else.

// TaskGuessing is the alarm that many wrong codes and secrets come in.
const TaskGuessing = "identity.guessing"

const wrongCodes = "wrong codes"

// guessed counts a wrong code or secret, whoever gave it. What goes wrong here changes nothing for her.
func (d *Desk) guessed(ctx context.Context) {
	err := limit.Take(ctx, d.DB, wrongCodes, d.Policy.Identity.Wrong, time.Hour)
	if fault.Of(err) == fault.TooMany {
		err = d.alarmGuessing(ctx)
	}
	if err != nil && ctx.Err() == nil {
		d.Log.Warn("a wrong code was not counted", "err", err)
	}
}

func (d *Desk) alarmGuessing(ctx context.Context) error {
	told := false
	err := d.DB.View(ctx, func(tx *store.Tx) (err error) {
		told, err = d.Comms.Owed(tx, TaskGuessing, wrongCodes)
		return err
	})
	if err != nil || told {
		return err
	}
	err = d.DB.Update(ctx, store.Act{By: bySystem, Verb: "identity.alarm"}, func(tx *store.Tx) error {
		if told, err := d.Comms.Owed(tx, TaskGuessing, wrongCodes); err != nil || told {
			return orNothing(err)
		}
		_, err := d.Comms.Alarm(tx, comms.Task{What: TaskGuessing, Of: wrongCodes, Title: fmt.Sprintf("%d wrong codes and secrets came in within an hour: does somebody guess?", d.Policy.Identity.Wrong)})
		return err
	})
	if kind := fault.Of(err); kind == fault.Exists || kind == fault.Stale { // another was faster
		return nil
	}
	return err
}

func orNothing(err error) error {
	if err != nil {
		return err
	}
	return store.ErrNothing
}

// tries are the limits on giving back what was asked in a question: of the question itself, and of all that were asked in its case of its address, so that asking anew brings
// no more tries. The address is part of the key since anybody can name a ticket: who knows no more than its number keeps nobody out of it.
func (d *Desk) tries(tx *store.Tx, id string) (map[string]limit.Rule, error) {
	p := d.Policy.Identity
	rules := map[string]limit.Rule{clip("code try " + id): {N: p.Tries, Per: p.Code}}
	q, _, err := questions.Get(tx, id)
	switch kind := fault.Of(err); kind {
	case fault.NotFound, fault.Invalid: // nothing opens by it
	case "":
		rules["code tries of "+q.Case+" "+q.Channel+" "+strings.ToLower(q.Address)] = limit.Rule{N: p.DailyTries, Per: day}
	default:
		return nil, err
	}
	return rules, nil
}
