package portal

import (
	"testing"

	"lifeline/portal/auth"
)

// Sites are loaded and moved together by hand: what is ticked and what is named, by the rules of the API, and what could not be moved stays in the form with why.
func TestSitesAreLoadedAndMovedOnThePage(t *testing.T) {
	h := open(t)
	h.loadContacts()
	incident := h.declare()
	page := "/desk/incidents/" + incident + "/sites"
	engineer, support := h.sits(auth.Engineer), h.sits(auth.Support)
	engineer.page("/desk/incidents/" + incident).want(200).says("Load affected sites")
	support.page(page).want(200).silent("Load affected sites", "Move sites")
	load := "/desk/incidents/" + incident + "/affected"
	engineer.press(load).want(422).says("names no site")
	engineer.press(load, "site_ids", "S-1\nno-such-site").want(422).says("no-such-site", ">S-1\nno-such-site</textarea>")
	engineer.press(load, "site_ids", "S-1, S-2\nS-3").want(200).says("3 sites added, 0 were there already, 3 in all.")

	ledger := "/api/v1/incidents/" + incident + "/ledger"
	h.get(auth.Engineer, ledger).want(200).says(`"lost":3`)
	engineer.press(page, "state", "restoring", "site_ids", "S-1 S-2 S-9", "batch", "b1", "method", "from backup", "restore_point", "2022-04-05T07:00").
		want(200).says("2 moved, 0 were so already, 1 refused.", "<strong>S-9</strong>", ">S-9</textarea>", `value="from backup"`)
	engineer.press(page, "state", "passed", "site_ids", "S-1", "reason", "it looks well").want(200).says("1 refused")
	engineer.press(page, "state", "rebuilt", "site_ids", "S-1", "restore_point", "yesterday").want(422).says("is no time such as")
	engineer.press(page, "state", "rebuilt", "site_ids", "S-1").want(200).says("1 moved, 0 were so already, 0 refused.").silent(">S-1</textarea>")
	h.sits(auth.Commander).press(page, "state", "passed", "site_ids", "S-1", "reason", "seen by the commander").want(200).says("1 moved, 0 were so already, 0 refused.")
	h.get(auth.Engineer, ledger).want(200).says(`"lost":1`, `"passed":1`, `"restoring":1`)
}
