package portal

import (
	"context"
	"slices"

	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
	"lifeline/store/fault"
)

func (p *Portal) stalePages() []route {
	return []route{
		{method: "GET", path: "/desk/stale", page: true, right: auth.AccountRead, do: (*call).stalePage},
		{method: "GET", path: "/desk/stale/contacts", page: true, right: auth.ContactRead, do: (*call).stalePeople},
	}
}

// staleView is how many customers could be recovered, and the others in front.
type staleView struct {
	shell
	Report comms.Recoverability
	Names  map[string]string
	Behind bool // others stand on a page before
}

func (k *call) stalePage() (err error) {
	ctx := k.UserContext()
	v := staleView{shell: k.shell("desk.book.stale"), Behind: k.Query("after") != ""}
	if v.Report, err = k.p.Comms.Recoverability(ctx, k.Query("after"), shownAtOnce); err != nil {
		return err
	}
	if v.Names, err = k.p.namesOf(ctx, v.Report.Items); err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_stale", v)
}

// namesOf is what the accounts are called; one that was deleted this moment has no name.
func (p *Portal) namesOf(ctx context.Context, all []comms.Recoverable) (map[string]string, error) {
	names := map[string]string{}
	for some := range slices.Chunk(all, maxList) {
		err := p.DB.View(ctx, func(tx *store.Tx) error {
			for _, a := range some {
				rec, err := p.Book.Account(tx, a.Account)
				if err != nil && fault.Of(err) != fault.NotFound {
					return err
				}
				names[a.Account] = rec.Value.Name
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}
