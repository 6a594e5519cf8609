package portal

import (
	"errors"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/store/fault"
)

// LinkSubscription is the purpose of the links by which people confirm, change and end a subscription.
const LinkSubscription = "subscription"

// subscribeView is the form by which strangers subscribe, and the page of a subscription.
type subscribeView struct {
	base
	Channels []string
	Parts    []comms.Component
	Incident string // public id; "": all
	About    []aboutIncident
	In       comms.Subscribe
	Errors   map[string]string
	Sent     bool

	Token   string
	Address string // masked
	On      bool
	Saved   bool
	Ended   bool
	Old     bool // the link opens nothing any more

	Hook   *comms.Hook // of a webhook
	Secret string      // shown this once; "": it is not
	Tested bool
	Owner  string
}

// aboutIncident is an incident that a subscription may be about alone.
type aboutIncident struct {
	ID, Title string
	Over      bool
}

// Outlives is how long after its incident's close a subscription to it ends.
func (subscribeView) Outlives() time.Duration { return comms.OutlivesIncident }

// Signed says whether what is posted to the webhook is for a program, which checks the signature.
func (v subscribeView) Signed() bool { return v.Hook != nil && v.In.Channel == comms.ChannelWebhook }

// Hooks says whether webhooks are offered.
func (v subscribeView) Hooks() bool { return slices.Contains(v.Channels, comms.ChannelWebhook) }

// Chosen says whether a component is ticked.
func (v subscribeView) Chosen(id string) bool { return slices.Contains(v.In.Components, id) }

type askedAnswer struct {
	State string `json:"state"` // asked: the address was sent a link, and nothing else goes there until it is followed
}

func (p *Portal) subscriptionRoutes() []route {
	return []route{
		{method: "POST", path: "/api/v1/subscriptions", tag: "public", summary: "subscribe an address to what the status page says; it is sent a link first, and the answer is the same for every address",
			needs: []string{"channel", "address"}, body: comms.Subscribe{}, status: 202, answer: askedAnswer{}, do: func(k *call) error {
				var in comms.Subscribe
				if err := decode(k.Ctx, &in); err != nil {
					return err
				}
				if err := p.Comms.AskSubscription(k.UserContext(), in); err != nil {
					return err
				}
				return send(k.Ctx, fiber.StatusAccepted, askedAnswer{State: "asked"})
			}},
		{method: "GET", path: "/subscribe", do: func(k *call) error {
			return k.subscribePage(200, subscribeView{Incident: k.Query("incident")})
		}},
		{method: "POST", path: "/subscribe", form: true, do: (*call).subscribe},
		{method: "GET", path: "/s/:token", do: func(k *call) error {
			return k.subscriptionPage(200, subscribeView{Saved: k.Query("did") == "saved", Tested: k.Query("did") == "tested"})
		}},
		{method: "POST", path: "/s/:token", form: true, do: (*call).keepSubscription},
		{method: "GET", path: "/s/:token/stop", do: func(k *call) error { return k.Redirect("/s/"+k.Params("token"), fiber.StatusSeeOther) }},
		// Mail programs post here for their users (RFC 8058), many from one address, so no source is slowed: the token is the limit.
		{method: "POST", path: "/s/:token/stop", own: true, do: (*call).stopSubscription},
	}
}

// subscribePage shows the form.
func (k *call) subscribePage(status int, v subscribeView) error {
	path := "/subscribe"
	v.base = k.p.base(k.p.locale(k.Ctx), path, "subscribe.title")
	v.Channels, v.Parts = k.p.Comms.SubscriptionChannels(), k.p.Comms.Policy.PublicComponents()
	if err := k.offerIncidents(&v); err != nil {
		return err
	}
	return k.p.render(k.Ctx, status, "subscribe", v)
}

// offerIncidents lets somebody choose among the incident that she has or came from, and those that are open. One that pages do not show is forgotten.
func (k *call) offerIncidents(v *subscribeView) error {
	public, err := k.p.publicly(k.UserContext())
	if err != nil {
		return err
	}
	known := false
	for _, in := range public.Incidents {
		if in.ID == v.Incident || in.State == comms.Open {
			v.About = append(v.About, aboutIncident{in.ID, in.Title, in.State != comms.Open})
			known = known || in.ID == v.Incident
		}
	}
	if !known {
		v.Incident = ""
	}
	return nil
}

func (k *call) subscribe() error {
	in := comms.Subscribe{Channel: k.FormValue("channel"), Address: k.FormValue("address"), Locale: k.FormValue("locale"), Components: k.ticked("components"), Incident: k.FormValue("incident")}
	if in.Channel == "" {
		in.Channel = comms.ChannelEmail
	}
	err := k.p.Comms.AskSubscription(k.UserContext(), in)
	v := subscribeView{In: in, Incident: in.Incident}
	var e *fault.Error
	switch {
	case errors.As(err, &e) && e.Kind == fault.Invalid:
		v.Errors = map[string]string{}
		for _, f := range e.Fields {
			wrong := "subscribe.error_hook"
			if in.Channel == comms.ChannelEmail || in.Channel == comms.ChannelSMS {
				wrong = "subscribe.error_" + in.Channel
			}
			v.Errors[f.Field] = k.p.Words.Catalog(k.p.locale(k.Ctx)).T(wrong)
		}
		return k.subscribePage(fiber.StatusUnprocessableEntity, v)
	case err != nil:
		return err
	}
	v.Sent = true
	return k.subscribePage(200, v)
}

// ticked are the values of a form's boxes.
func (k *call) ticked(name string) (all []string) {
	for _, v := range k.Request().PostArgs().PeekMulti(name) {
		all = append(all, string(v))
	}
	return all
}

// subscriptionPage shows a subscription to whoever has its link. It changes nothing: programs that follow every link of a mail confirm nothing.
func (k *call) subscriptionPage(status int, v subscribeView) error {
	v.Token = k.Params("token")
	locale := k.p.locale(k.Ctx)
	subject, ok := k.p.Gate.Key.OpenLink(LinkSubscription, v.Token)
	rec, err := k.p.Comms.Subscription(k.UserContext(), subject)
	switch {
	case v.Ended:
	case !ok || fault.Of(err) == fault.NotFound:
		v.Old, status = true, fiber.StatusNotFound
	case err != nil:
		return err
	default:
		s := rec.Value
		v.Address, v.On = contacts.Mask(s.Channel, s.Address), !s.ConfirmedAt.IsZero()
		v.In = comms.Subscribe{Channel: s.Channel, Locale: s.Locale, Components: s.Components}
		if v.Hook = s.Hook; s.Hook != nil && v.Errors == nil {
			v.Owner = s.Hook.Owner
		}
		if k.Query("lang") == "" {
			locale = s.Locale
		}
		if s.Incident != "" {
			in, err := k.p.Comms.Incident(k.UserContext(), s.Incident)
			if err != nil {
				return err
			}
			v.Incident = in.Value.Short
		}
		if err := k.offerIncidents(&v); err != nil {
			return err
		}
	}
	v.base = k.p.base(locale, "/s/"+v.Token, "subscribe.title")
	v.Parts = k.p.Comms.Policy.PublicComponents()
	return k.p.render(k.Ctx, status, "subscription", v)
}

func (k *call) keepSubscription() error {
	token := k.Params("token")
	subject, ok := k.p.Gate.Key.OpenLink(LinkSubscription, token)
	if !ok {
		return k.subscriptionPage(200, subscribeView{})
	}
	ctx := k.UserContext()
	var err error
	v := subscribeView{}
	switch k.FormValue("act") {
	case "end":
		if err := k.p.Comms.EndSubscription(ctx, subject); err != nil {
			return err
		}
		return k.subscriptionPage(200, subscribeView{Ended: true})
	case "secret":
		v.Secret, err = k.p.Comms.NewSecret(ctx, subject)
	case "test":
		if err = k.p.Comms.TestSubscription(ctx, subject); err == nil {
			return k.Redirect("/s/"+token+"?did=tested", fiber.StatusSeeOther)
		}
	default:
		v.Owner = k.FormValue("owner")
		err = k.p.Comms.KeepSubscription(ctx, subject, comms.Wanted{Locale: k.FormValue("locale"), Components: k.ticked("components"), Incident: k.FormValue("incident"), Owner: v.Owner})
		if err == nil {
			return k.Redirect("/s/"+token+"?did=saved", fiber.StatusSeeOther)
		}
	}
	var e *fault.Error
	switch {
	case err == nil: // a secret is shown by the answer to the press, which nobody sees a second time
		return k.subscriptionPage(200, v)
	case fault.Of(err) == fault.NotFound:
		return k.subscriptionPage(200, subscribeView{})
	case errors.As(err, &e) && len(e.Fields) == 1 && e.Fields[0].Field == "owner":
		v.Errors = map[string]string{"owner": k.p.Words.Catalog(k.p.locale(k.Ctx)).T("confirm.error.address")}
		return k.subscriptionPage(fiber.StatusUnprocessableEntity, v)
	}
	return err
}

// stopSubscription ends a subscription by the one click that RFC 8058 describes. What has ended stays ended, and a wrong token ends nothing.
func (k *call) stopSubscription() error {
	subject, ok := k.p.Gate.Key.OpenLink(LinkSubscription, k.Params("token"))
	if !ok {
		return k.subscriptionPage(200, subscribeView{})
	}
	if err := k.p.Comms.EndSubscription(k.UserContext(), subject); err != nil {
		return err
	}
	return k.subscriptionPage(200, subscribeView{Ended: true})
}
