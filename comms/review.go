package comms

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Review is something that people do again and again though nothing is wrong: read the restore documents, switch over to the standby. When its time
// comes it is a task of the family "review", and whoever ends that says what she found.
type Review struct {
	Name  string        `yaml:"name" json:"name"`
	Title string        `yaml:"title" json:"title"`
	Every time.Duration `yaml:"every" json:"every"`
}

const (
	reviewDuty   = "reviews"
	reviewFamily = "review"
	reviewsEvery = time.Minute
)

func (v Review) what() string { return reviewFamily + "." + v.Name }

// defaultReviews are owed each quarter.
func defaultReviews() []Review {
	return []Review{
		{"restore_documents", "Read the restore documents and the printed kit as if the machine were gone, and note what is wrong or missing", 91 * day},
		{"restore_drill", "Hold a restore drill (lifeline backup drill), with a large batch of accounts in it, and write what it showed into the runbook", 91 * day},
		{"switch_over", "Switch over to the standby database and to the second mail relay as planned, and note how long each took", 91 * day},
	}
}

func (p Policy) badReviews(f []fault.Field) []fault.Field {
	seen := map[string]bool{}
	for i, v := range p.Reviews {
		field := fmt.Sprintf("comms.reviews[%d].", i)
		f = prose{most: 60, required: true}.bad(f, field+"name", v.Name)
		f = taskTitle.bad(f, field+"title", v.Title)
		if seen[v.Name] {
			f = append(f, wrong(field+"name", "is there twice"))
		}
		if seen[v.Name] = true; v.Every <= 0 {
			f = append(f, wrong(field+"every", "must be above 0"))
		}
	}
	return f
}

// reviewTurn owes the reviews whose time has come. The first of each is owed one whole period after this portal first heard of it.
func (r *Room) reviewTurn(ctx context.Context, mine hold) error {
	return r.DB.Update(ctx, store.Act{By: "system:reviews", Verb: "review.owe"}, func(tx *store.Tx) error {
		owed := map[string]time.Time{}
		if err := readRound(tx, reviewDuty, &owed); err != nil {
			return err
		}
		news := false
		for _, v := range r.Policy.Reviews {
			last, known := owed[v.Name]
			if known && tx.Now().Sub(last) < v.Every {
				continue
			}
			if known {
				if _, err := r.Owe(tx, Task{What: v.what(), Of: reviewFamily, Title: v.Title}); err != nil {
					return err
				}
			}
			owed[v.Name], news = tx.Now(), true
		}
		if !news {
			return store.ErrNothing
		}
		return keepRound(tx, reviewDuty, owed, mine)
	})
}

// reviewed refuses to end a review without a word of what was found.
func (t Task) reviewed(note string) error {
	if family, _, _ := strings.Cut(t.What, "."); family == reviewFamily && note == "" {
		return fault.BadField("reason", "is missing: say what you found; \"nothing\" is an answer")
	}
	return nil
}
