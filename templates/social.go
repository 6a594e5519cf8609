package templates

// A post holds so much; a sign of a wide script counts twice, as the narrowest of the large networks counts.
const maxPost = 280

// social is the update as a post that a person puts on a social network: the same facts as an SMS, in the same order of need, with the link to the
// incident's page where all the others are.
func (w writer) social() (text string, left []string, err error) {
	w.brief, w.most = true, 60
	facts := w.smsFacts()
	lead := w.smsLead()
	if w.err != nil {
		return "", nil, w.err
	}
	room := maxPost
	for i, f := range facts {
		switch f.key {
		case "page", "restored":
			facts[i].rank = 0
		case "security", FactPinned: // what rumours are about comes before counts that the page has too
			facts[i].rank = 1
		default:
			facts[i].rank++
		}
		if f.key == "page" || f.key == "restored" {
			room -= postWeight(f.text) + 1
		}
	}
	within := func(most int) func(string) bool { return func(s string) bool { return postWeight(s) <= most } }
	lead.domain, lead.foreign, lead.below = "", false, true
	lead.headline = shorten(lead.headline, "…", within(60))
	room -= postWeight(lead.from+glue(lead.headline, lead.next)) + 1
	ways := partly(lead.action, "…")
	lead.action = "" // the page, which a post always names, has it
	for _, way := range ways {
		if postWeight(lead.label+way) <= room {
			lead.action = way
			break
		}
	}
	text, left = assemble(lead.String(), facts, within(maxPost))
	return text, left, nil
}

func postWeight(s string) (n int) {
	for _, r := range s {
		if n++; r >= 0x1100 { // Hangul, Han, kana, emoji: what stands behind the alphabets
			n++
		}
	}
	return n
}
