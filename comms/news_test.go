package comms

import (
	"context"
	"testing"
)

// With no date to give, what moved in the ledger since the last update is what the next one says.
func TestTheLedgersNewsSinceTheLastUpdate(t *testing.T) {
	h := anyHouse(t)
	ctx := context.Background()
	in := h.declare()
	h.affect(in.ID, "S-1", "S-2", "S-4")
	h.say(in.ID, h.said())
	finish := Mover{By: "stf_ann", Finish: true}
	for _, id := range []string{"S-1", "S-4"} {
		h.move(finish, in.ID, `{"site_id":"`+id+`","state":"rebuilt"}`, `{"site_id":"`+id+`","state":"verifying"}`, `{"site_id":"`+id+`","state":"passed","reason":"x"}`, `{"site_id":"`+id+`","state":"handed_back","reason":"x"}`)
	}
	h.affect(in.ID, "S-3")
	n, err := h.News(ctx, in.ID, AudiencePublic)
	if err != nil || n.Update != 1 || n.Added != 1 || n.Restored != 2 || n.Rebuilt != 2 || n.Whole != 1 || n.Now.Sites.Total != 4 {
		t.Errorf("%+v %v", n, err)
	}
	if n, err = h.News(ctx, in.ID, AudienceMedia); err != nil || n.Update != 0 || n.Restored != 0 {
		t.Errorf("the press was told nothing: %+v %v", n, err)
	}
}
