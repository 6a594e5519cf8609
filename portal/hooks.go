package portal

import (
	"net/url"

	"github.com/gofiber/fiber/v2"

	"lifeline/store/fault"
)

const maxHook = 64 << 10

// hookRoutes are what providers call. Only what they signed is believed.
func (p *Portal) hookRoutes() []route {
	return []route{{method: "POST", path: "/webhooks/twilio/status", own: true, max: maxHook, do: func(k *call) error {
		form, err := p.signed(k)
		if err != nil {
			return err
		}
		ref, state, reason, ok := p.Callback.Status(form)
		if !ok {
			return k.SendStatus(fiber.StatusNoContent) // a state that says nothing new
		}
		if err := p.Comms.Callback(k.UserContext(), k.Query("delivery"), ref, state, reason); err != nil && fault.Of(err) != fault.NotFound {
			return err
		}
		return k.SendStatus(fiber.StatusNoContent)
	}}, {method: "POST", path: "/webhooks/twilio/inbound", own: true, max: maxHook, do: func(k *call) error {
		form, err := p.signed(k)
		if err != nil {
			return err
		}
		words := ""
		if in, ok := p.Callback.Inbound(form); ok {
			if words, err = p.Desk.TakeText(k.UserContext(), in); err != nil {
				return err // the provider's log shows it, and it can be sent again
			}
		}
		k.Set(fiber.HeaderContentType, "text/xml; charset=utf-8")
		return k.Send(p.Callback.Answer(words))
	}}}
}

// signed reads a form whose signature covers our public address and every field.
func (p *Portal) signed(k *call) (url.Values, error) {
	refused := fault.New(fault.Forbidden, "the signature does not hold")
	if p.Callback.Valid == nil {
		return nil, refused
	}
	form, err := url.ParseQuery(string(k.Request().Body()))
	if err != nil {
		return nil, refused
	}
	if !p.Callback.Valid(p.URL+k.OriginalURL(), form, k.Get("X-Twilio-Signature")) {
		return nil, refused
	}
	return form, nil
}
