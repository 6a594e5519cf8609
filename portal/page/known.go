package page

import (
	"reflect"
	"slices"

	"lifeline/comms"
	"lifeline/templates"
)

// known is what an edition says word for word as the one before did. With hundreds of incidents behind it nearly everything is, and wording all of it again
// in every language would take seconds in which readers wait for the one word that is new.
type known struct {
	same    map[string]bool // incidents of which nothing changed, by public id
	over    map[string]bool // those of them that have ended, with the answers about them: their pages name no time of writing
	updates map[string]bool // by id
}

func knownOf(was, now comms.Public) known {
	k := known{same: map[string]bool{}, over: map[string]bool{}, updates: map[string]bool{}}
	before := map[string]comms.PublicIncident{}
	for _, in := range was.Incidents {
		before[in.ID] = in
	}
	for _, in := range now.Incidents {
		old, had := before[in.ID]
		if !had {
			continue
		}
		if reflect.DeepEqual(old, in) {
			k.same[in.ID] = true
			k.over[in.ID] = !isOpen(in) && slices.EqualFunc(about(was, in.ID), about(now, in.ID), sameAnswer)
			for _, u := range in.Updates {
				k.updates[u.ID] = true
			}
			continue
		}
		if old.Title != in.Title || old.Language() != in.Language() { // which stand beside each of its messages
			continue
		}
		said := map[string]templates.Update{}
		for _, u := range old.Updates {
			said[u.ID] = u
		}
		for _, u := range in.Updates {
			k.updates[u.ID] = reflect.DeepEqual(said[u.ID], u)
		}
	}
	return k
}

func sameAnswer(a, b comms.PublicAnswer) bool { return reflect.DeepEqual(a, b) }

// about are the official answers about an incident.
func about(public comms.Public, incident string) (out []comms.PublicAnswer) {
	for _, a := range public.Answers {
		if a.Incident == incident {
			out = append(out, a)
		}
	}
	return out
}
