package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/store"
	"lifeline/store/fault"
)

// The owner of an account is told of each change of how she signs in and by whom it is, in the change's own transaction and where she was reached before it; a
// refused change tells nobody, and what cannot be told is not done.
func TestTheOwnerHearsOfEachWayIn(t *testing.T) {
	h, ctx := open(t), context.Background()
	h.URL = passkeyHome
	p := withProvider(h, helpdesk...)
	var told []string
	h.Owner = func(_ *store.Tx, w WayIn) error {
		told = append(told, strings.TrimSuffix(fmt.Sprintf("%s %s %s %s %d", w.Email, w.Locale, w.What, w.By, w.Left), " 0"))
		return nil
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hears := func(want ...string) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		told = nil
	}
	ann := h.join("Ann", Profile{Roles: []Role{Support}, Languages: []string{"ja", "en"}})
	const hers = "ann@vendor.example ja "
	hears(hers + "set_up owner")
	who, _, err := h.Session(ctx, ann.cookie)
	must(err)

	ann.gets("Key")
	hears(hers + "passkey owner")
	if err := h.NewPassword(ctx, who, "not hers at all", "ganz andere Worte hier"); fault.Of(err) != fault.Invalid {
		t.Fatal(err)
	}
	hears()
	must(h.NewPassword(ctx, who, aPassword, "ganz andere Worte hier"))
	hears(hers + "password owner")
	_, ann.cookie, err = ann.signIn("ganz andere Worte hier", ann.codes[0], "192.0.2.1")
	must(err)
	hears(hers + "recovery owner 7")
	_, ann.cookie, err = h.Prove(ctx, ann.cookie, ann.codes[1])
	must(err)
	hears(hers + "recovery owner 6")

	who, _, err = h.Session(ctx, ann.cookie)
	must(err)
	l, err := h.SingleLeave(ctx, "192.0.2.1", who.Session)
	must(err)
	r := Returning{Cookie: l.Cookie, Session: ann.cookie}
	r.State, r.Code = p.allow(l)
	_, _, err = h.SingleReturn(ctx, r)
	must(err)
	must(h.Unlink(ctx, who))
	hears(hers+"single owner", hers+"single_removed owner")

	a, err := h.Account(ctx, ann.id)
	must(err)
	lost := errors.New("the store is full")
	h.Owner, told = func(*store.Tx, WayIn) error { return lost }, nil
	if _, err := h.TakePasskey(ctx, "stf_admin", ann.id, a.Passkeys[0].ID, "lost"); !errors.Is(err, lost) {
		t.Errorf("taken without a word: %v", err)
	}
	h.Owner = func(_ *store.Tx, w WayIn) error {
		told = append(told, w.Email+" "+w.What+" "+w.By)
		return nil
	}
	_, err = h.TakePasskey(ctx, "stf_admin", ann.id, a.Passkeys[0].ID, "lost")
	must(err)
	to := a.Profile
	to.Email, to.Regions = "anne@vendor.example", []string{"EMEA"}
	_, err = h.ChangeStaff(ctx, "stf_admin", ann.id, 0, to)
	must(err)
	hears("ann@vendor.example passkey_removed administrator", "ann@vendor.example email administrator")
	to.Regions = nil
	_, err = h.ChangeStaff(ctx, "stf_admin", ann.id, 0, to)
	must(err)
	_, err = h.Invite(ctx, OperatorID, ann.id, "", DropLogin)
	must(err)
	_, err = h.Invite(ctx, "stf_admin", ann.id, "", DropLogin) // there is nothing left to end
	must(err)
	hears("anne@vendor.example reset operator")
}
