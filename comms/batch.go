package comms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Batch is some sites of an incident that are rebuilt and handed back together: a wave, with a lead. It exists as soon as a site is put in it.
type Batch struct {
	Incident string               `json:"incident"`
	Name     string               `json:"name"`
	Wave     int                  `json:"wave"` // batches are checked in this order, from 1
	Lead     string               `json:"lead"` // may release and except its sites
	StandIn  string               `json:"stand_in"`
	Sites    int                  `json:"sites"`
	Excepted map[string]Exception `json:"excepted,omitempty"` // by our id of the site
	ClosedAt *time.Time           `json:"closed_at"`
	ClosedBy string               `json:"closed_by,omitempty"`
}

// Exception is a site that a batch does not wait for, because two leads said so.
type Exception struct {
	Reason string    `json:"reason"`
	By     []string  `json:"by"`
	At     time.Time `json:"at"`
}

var batches = store.Table[Batch]{
	Kind: store.Kind{Name: "batch", Prefix: "bat", Schema: 1, Indexes: []store.Index{
		{Name: "incident", Fields: []store.Field{{Name: "incident", Type: store.Text}, {Name: "name", Type: store.Text}}, Unique: true},
	}},
	Tuples: func(b Batch) store.Tuples { return store.Tuples{"incident": {b.Incident, b.Name}} },
}

// batchProse bounds a batch's name: an index holds it.
var batchProse = prose{most: 60}

func findBatch(tx *store.Tx, incident, name string) (store.Rec[Batch], error) {
	rec, err := batches.First(tx, store.Query{Index: "incident", Equal: []any{incident, name}})
	if fault.Of(err) == fault.NotFound {
		err = fault.New(fault.NotFound, "there is no batch %.60q in this incident", name)
	}
	return rec, err
}

// BatchIn reads a batch by its name.
func (r *Room) BatchIn(tx *store.Tx, incident, name string) (store.Rec[Batch], error) {
	return findBatch(tx, incident, name)
}

// Batches lists the batches of an incident in the order in which they are checked.
func (r *Room) Batches(ctx context.Context, incident string) (all []store.Rec[Batch], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		all, err = batchesOf(tx, in.ID)
		return err
	})
	return all, err
}

// BatchStand is a batch with where its sites stand.
type BatchStand struct {
	store.Rec[Batch]
	ByState map[string]int
	Methods []string
	Noted   int // sites of which something was noted
}

// Rebuilt, Passed and Back are how many sites have come so far or further.
func (b BatchStand) Rebuilt() int { return b.ByState[Rebuilt] + b.ByState[Verifying] + b.Passed() }
func (b BatchStand) Passed() int  { return b.ByState[Passed] + b.Back() }
func (b BatchStand) Back() int    { return b.ByState[HandedBack] }

// BatchStands are the batches of an incident in the order in which they are checked, with where their sites stand now.
func (r *Room) BatchStands(ctx context.Context, incident string) (all []BatchStand, err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		some, err := batchesOf(tx, in.ID)
		if err != nil {
			return err
		}
		at := map[string]int{}
		for i, b := range some {
			at[b.Value.Name] = i
			all = append(all, BatchStand{Rec: b, ByState: map[string]int{}})
		}
		for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(in.ID)}) {
			if err != nil {
				return err
			}
			w := rec.Value.is()
			i, known := at[w.Batch]
			if !known {
				continue
			}
			b := &all[i]
			state, _ := rec.Value.standing(tx.Now(), r.Policy.NoAnswer)
			b.ByState[state]++
			if w.Method != "" && !slices.Contains(b.Methods, w.Method) {
				b.Methods = append(b.Methods, w.Method)
				slices.Sort(b.Methods)
			}
			if w.Noted {
				b.Noted++
			}
		}
		return nil
	})
	return all, err
}

func batchesOf(tx *store.Tx, incident string) (all []store.Rec[Batch], err error) {
	for rec, err := range batches.Scan(tx, store.Query{Index: "incident", Equal: []any{incident}}) {
		if err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	slices.SortStableFunc(all, func(a, b store.Rec[Batch]) int {
		return cmp.Or(cmp.Compare(a.Value.Wave, b.Value.Wave), cmp.Compare(a.Value.Name, b.Value.Name))
	})
	return all, nil
}

// intoBatch moves one site from a batch to another in the counts of both, and says false when the other is full. Names that are "" are no batch.
func (r *Room) intoBatch(tx *store.Tx, incident, from, to string) (bool, error) {
	if from == to {
		return true, nil
	}
	if to != "" {
		rec, err := findBatch(tx, incident, to)
		switch {
		case fault.Of(err) == fault.NotFound:
			all, err := batchesOf(tx, incident)
			if err != nil {
				return false, err
			}
			b := Batch{Incident: incident, Name: to, Wave: 1, Sites: 1}
			if n := len(all); n > 0 {
				b.Wave = all[n-1].Value.Wave + 1
			}
			if err := batches.Put(tx, batches.NewID(), b, 0); err != nil {
				return false, err
			}
		case err != nil:
			return false, err
		case rec.Value.Sites >= r.Policy.BatchMost:
			return false, nil
		default:
			rec.Value.Sites++
			rec.Value.ClosedAt, rec.Value.ClosedBy = nil, ""
			if err := batches.Put(tx, rec.ID, rec.Value, rec.Version); err != nil {
				return false, err
			}
		}
	}
	if from == "" {
		return true, nil
	}
	rec, err := findBatch(tx, incident, from)
	if fault.Of(err) == fault.NotFound { // named before batches were counted
		return true, nil
	}
	if err != nil {
		return false, err
	}
	rec.Value.Sites = max(0, rec.Value.Sites-1)
	return true, batches.Put(tx, rec.ID, rec.Value, rec.Version)
}

// BatchForm is what is said of a batch; what is nil stays.
type BatchForm struct {
	Wave    *int    `json:"wave"`
	Lead    *string `json:"lead"`
	StandIn *string `json:"stand_in"`
}

// NameBatch says who leads a batch and when its turn is.
func (r *Room) NameBatch(ctx context.Context, by, incident, name string, version int64, form BatchForm) (store.Rec[Batch], error) {
	return r.withBatch(ctx, store.Act{By: by, Verb: "batch.name"}, incident, name, version, func(tx *store.Tx, b Batch) (Batch, error) {
		var f []fault.Field
		if form.Wave != nil {
			if b.Wave = *form.Wave; b.Wave < 1 || b.Wave > 10_000 {
				f = append(f, wrong("wave", "must be 1 to 10000"))
			}
		}
		for _, s := range []struct {
			field string
			from  *string
			to    *string
		}{{"lead", form.Lead, &b.Lead}, {"stand_in", form.StandIn, &b.StandIn}} {
			if s.from != nil {
				*s.to = strings.TrimSpace(*s.from)
				f = prose{most: 100}.bad(f, s.field, *s.to)
				if err := r.MayHave(tx, b.Incident, s.field, *s.to); err != nil {
					return b, err
				}
			}
		}
		if b.Lead != "" && b.Lead == b.StandIn {
			f = append(f, wrong("stand_in", "is the lead herself"))
		}
		if len(f) > 0 {
			return b, fault.BadFields(f...)
		}
		return b, nil
	})
}

func (r *Room) withBatch(ctx context.Context, act store.Act, incident, name string, version int64, change func(*store.Tx, Batch) (Batch, error)) (rec store.Rec[Batch], err error) {
	err = r.DB.Update(ctx, act, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if rec, err = findBatch(tx, in.ID, name); err != nil {
			return err
		}
		if version != 0 && version != rec.Version {
			return fault.New(fault.Stale, "batch %s was changed meanwhile: version %d, not %d", name, rec.Version, version)
		}
		tx.On(rec.ID)
		b, err := change(tx, rec.Value)
		if err != nil {
			return err
		}
		rec, err = put(tx, batches, rec.ID, b, rec.Version)
		return err
	})
	return rec, err
}

// Leads says whether somebody may release and except the sites of a batch.
func (b Batch) Leads(person string) bool {
	return person != "" && (person == b.Lead || person == b.StandIn)
}

// Except lets a batch close without one of its sites, once its lead and its stand-in have both said so with the same reason. It gives the
// exception as it stands, with one name in it or two.
func (r *Room) Except(ctx context.Context, by, incident, name, site, reason string) (x Exception, err error) {
	if f := reasonProse.bad(nil, "reason", reason); len(f) > 0 {
		return x, fault.BadFields(f...)
	}
	reason = strings.TrimSpace(reason)
	_, err = r.withBatch(ctx, store.Act{By: by, Verb: "batch.except", Reason: reason}, incident, name, 0, func(tx *store.Tx, b Batch) (Batch, error) {
		if !b.Leads(by) {
			return b, fault.New(fault.Forbidden, "only the lead and the stand-in of batch %s may except a site", name)
		}
		id, _, err := r.site(tx, site)
		if err != nil {
			return b, err
		}
		row, _, err := rows.Get(tx, rowID(b.Incident, id))
		if err != nil {
			return b, err
		}
		if row.Batch != b.Name {
			return b, fault.BadField("site_id", "is not in this batch")
		}
		of := rowID(b.Incident, id)
		sum := sha256.Sum256([]byte("except from a batch\x00" + b.Name + "\x00" + reason))
		digest := hex.EncodeToString(sum[:])
		if err := store.Approve(tx, store.Approval{Of: of, Digest: digest, By: by}); err != nil {
			return b, err
		}
		given, err := store.Approvals(tx, of, digest)
		if err != nil {
			return b, err
		}
		x = Exception{Reason: reason, At: tx.Now()}
		for _, a := range given {
			x.By = append(x.By, a.By)
		}
		if len(given) < 2 {
			return b, nil
		}
		if b.Excepted == nil {
			b.Excepted = map[string]Exception{}
		}
		b.Excepted[id] = x
		return b, nil
	})
	return x, err
}

// CloseBatch closes a batch whose sites have all passed, but for those that two leads excepted. It names the first that has not.
func (r *Room) CloseBatch(ctx context.Context, by, incident, name string) (store.Rec[Batch], error) {
	return r.withBatch(ctx, store.Act{By: by, Verb: "batch.close"}, incident, name, 0, func(tx *store.Tx, b Batch) (Batch, error) {
		first, open := "", 0
		for rec, err := range r.placesOf(tx, store.Query{Prefix: rowPrefix(b.Incident)}) {
			if err != nil {
				return b, err
			}
			w, site := rec.Value.is(), rec.Value.Site()
			if _, excepted := b.Excepted[site]; w.Batch != b.Name || excepted || w.State == Passed || w.State == HandedBack {
				continue
			}
			if open++; first == "" {
				first = fmt.Sprintf("%s (%s, %s)", site, r.siteName(tx, site), w.State)
			}
		}
		if open > 0 {
			return b, fault.New(fault.Conflict, "the batch stays open until every site has passed or two leads except it: %d have not, the first is %s", open, first)
		}
		if b.ClosedAt == nil {
			now := tx.Now()
			b.ClosedAt, b.ClosedBy = &now, by
		}
		return b, nil
	})
}
