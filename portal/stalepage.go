package portal

import (
	"lifeline/comms"
	"lifeline/portal/auth"
	"lifeline/store"
)

func (p *Portal) stalePages() []route {
	return []route{
		{method: "GET", path: "/desk/stale", page: true, right: auth.AccountRead, do: (*call).stalePage},
	}
}

// staleView is how many customers could be recovered, and the others in front.
type staleView struct {
	shell
	Report comms.Recoverability
	Names  map[string]string
}

func (k *call) stalePage() (err error) {
	ctx := k.UserContext()
	v := staleView{shell: k.shell("desk.book.stale"), Names: map[string]string{}}
	if v.Report, err = k.p.Comms.Recoverability(ctx, k.Query("after"), shownAtOnce); err != nil {
		return err
	}
	err = k.p.DB.View(ctx, func(tx *store.Tx) error {
		for _, a := range v.Report.Items {
			if rec, err := k.p.Book.Account(tx, a.Account); err == nil { // one that was deleted this moment has its id for a name
				v.Names[a.Account] = rec.Value.Name
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.p.render(k.Ctx, 200, "desk_stale", v)
}
