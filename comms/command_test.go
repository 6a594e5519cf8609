package comms

import (
	"context"
	"slices"
	"testing"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// A grave incident calls whoever is on duty at once, by every way on which she is told; until somebody takes command the ladder is climbed; and command goes
// from one to another with a reason in the log.
func TestWhoIsOnDutyIsCalledAtDeclaring(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	h.Staffed = func(_ *store.Tx, p Post, _ time.Time) ([]Direct, error) {
		return map[string][]Direct{"commander": {{Channel: ChannelEmail, Address: "kim@vendor.example"}, {Channel: ChannelSMS, Address: "+12025550111"}},
			"comms": {{Channel: ChannelEmail, Address: "com@vendor.example"}}}[p.Role], nil
	}
	called := func() (all []string) {
		for _, n := range h.notices(templates.MsgDeclared) {
			for _, d := range n.To {
				all = append(all, d.Address)
			}
		}
		slices.Sort(all)
		return all
	}
	if _, err := h.Declare(ctx, "stf_sue", Declare{Title: "A page is slow", Severity: "P2"}); err != nil {
		t.Fatal(err)
	}
	if got := called(); slices.Contains(got, "kim@vendor.example") {
		t.Errorf("somebody is called for a small matter: %v", got)
	}
	small := len(called())
	in, err := h.Declare(ctx, "stf_sue", Declare{Title: "Sites deleted", Severity: "P0", Category: "data", Impact: "Sites cannot be opened.", Summary: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := called(); len(got) != 2*small+3 || !slices.Contains(got, "kim@vendor.example") || !slices.Contains(got, "+12025550111") || !slices.Contains(got, "com@vendor.example") {
		t.Errorf("%v", got)
	}
	h.clock.Turn(6 * time.Minute)
	if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil || len(h.notices("deadline")) != 2 { // command, and the confirmation of the role for comms
		t.Errorf("nobody took command: %+v %v", h.notices("deadline"), err)
	}
	if _, err := h.TakeCommand(ctx, "stf_kim", in.ID, " "); fault.Of(err) != fault.Invalid {
		t.Errorf("taken without a reason: %v", err)
	}
	got, err := h.TakeCommand(ctx, "stf_kim", in.ID, "on duty")
	if err != nil || got.Value.Commander != "stf_kim" || len(h.due(Command)) != 0 {
		t.Errorf("%+v %v", got.Value, err)
	}
	if _, err := h.TakeCommand(ctx, "stf_kim", in.ID, ""); err != nil {
		t.Errorf("confirmed: %v", err)
	}
	if n := len(slices.DeleteFunc(h.logged(in.ID), func(what string) bool { return what != "commander" })); n != 2 {
		t.Errorf("the log has %d lines of command", n)
	}
	if _, err := h.TakeRole(ctx, "stf_com", in.ID, RoleComms, ""); err != nil {
		t.Error(err)
	}
	if _, err := h.ConfirmSeverity(ctx, "stf_kim", in.ID, "P0", ""); err != nil {
		t.Error(err)
	}
	h.clock.Turn(40 * time.Minute)
	if _, err := h.FireDeadlines(ctx, h.clock.Now()); err != nil || len(h.notices("deadline")) != 2 {
		t.Errorf("the ladder goes on: %+v %v", h.notices("deadline"), err)
	}
}
