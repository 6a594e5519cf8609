package portal

import (
	"net/url"
	"testing"

	"lifeline/portal/auth"
)

// A cohort is made on the desk without any script, is counted and written to apart, and is closed only once it was told; what is typed wrong comes back with its reason.
func TestACohortIsFollowedOnTheDesk(t *testing.T) {
	h := open(t)
	incident := h.world()
	page := "/desk/incidents/" + incident + "/cohorts"
	h.staffPage(auth.Auditor, page).want(200).says("no cohorts").silent("<textarea")
	typed := url.Values{"cohort": {"Older Backup"}, "name": {"Sites restored from the backup of <b>Sunday</b>"}, "at_most": {"soon"}, "site_ids": {"S-1"}}
	h.form(auth.Engineer, page, typed).want(422).says("whole number of hours", "Older Backup")
	typed.Set("at_most", "24")
	h.form(auth.Engineer, page, typed).want(422).says("lower-case letters, digits and hyphens", "backup of &lt;b&gt;Sunday")
	typed.Set("cohort", "older-backup")
	typed.Set("site_ids", "S-1 nonsense")
	h.form(auth.Engineer, page, typed).want(422).says("nonsense")
	typed.Set("site_ids", "S-1")
	h.form(auth.Engineer, page, typed).want(303)
	h.form(auth.Support, page, typed).want(403)
	h.staffPage(auth.Commander, page).want(200).says("0/1", "At most 1 day of data may be lost", "Not told yet", "/editor?audience=cohort:older-backup", page+"/older-backup/close")
	h.staffPage(auth.Comms, "/desk/incidents/"+incident+"/editor?audience=cohort:older-backup").want(200).says(`value="cohort:" selected`, `name="audience" value="older-backup"`)
	h.form(auth.Commander, page+"/older-backup/close", url.Values{"reason": {"done"}}).want(409).says(`value="done"`)
	h.staffPage(auth.Commander, "/desk/incidents/"+incident).want(200).says(page)
}
