package portal

import (
	"net/url"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/portal/page"
	"lifeline/store/fault"
)

// pagePreview shows a public page as it would be if what waits were said now: the update, official answer or planned work that the address names, or nothing more
// than what is public.
func (k *call) pagePreview() error {
	if k.p.Press == nil {
		return fault.New(fault.NotFound, "there is no page here to look at")
	}
	w := comms.Waiting{Update: k.Query("update"), Answer: k.Query("answer"), Plan: k.Query("plan")}
	of := page.Preview{Page: k.Query("page"), Locale: k.Query("locale"), Query: url.Values{}}
	for name, id := range map[string]string{"update": w.Update, "answer": w.Answer, "plan": w.Plan} {
		if id != "" {
			of.Query.Set(name, id)
		}
	}
	public, err := k.p.Comms.PublicWith(k.UserContext(), w)
	if err != nil {
		return err
	}
	if w.Update != "" {
		u, _, err := k.p.Comms.Update(k.UserContext(), w.Update)
		if err != nil {
			return err
		}
		in, err := k.p.Comms.Incident(k.UserContext(), u.Value.Incident)
		if err != nil {
			return err
		}
		of.Incident = in.Value.Short
	}
	body, err := k.p.Press.Preview(public, of)
	if err != nil {
		return err
	}
	k.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	k.Set(fiber.HeaderCacheControl, "no-store")
	k.Set("X-Robots-Tag", "noindex")
	return k.Send(body)
}
