package comms

import (
	"context"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// Preview is exactly what an update would say on a channel and in a language if it were published now, with the ledger's figures of now, and
// how many people it would reach. A published update is shown as it was said.
func (r *Room) Preview(ctx context.Context, id, channel, locale string) (out templates.Rendered, people int, err error) {
	var says templates.Update
	var public Public
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		if says, err = r.facts(tx, id); err != nil {
			return err
		}
		u, _, err := updates.Get(tx, id)
		if err != nil {
			return err
		}
		if says.At.IsZero() { // it would be said now
			says.At = tx.Now()
		}
		if channel == ChannelWebhook {
			if public, err = r.publicWith(tx, Waiting{Update: id}); fault.Of(err) == fault.Conflict { // it goes to no page
				public, err = r.public(tx, laid{})
			}
			if err != nil {
				return err
			}
		}
		crowd, err := r.about(tx, u.Incident, u.Statement.Audience, u.Statement.Channels)
		people = crowd.People
		return err
	})
	if err != nil {
		return out, 0, err
	}
	out, err = r.shown(channel, locale, says, public)
	return out, people, err
}

// PreviewFor is Preview of a statement that is not kept yet.
func (r *Room) PreviewFor(ctx context.Context, incident string, s templates.Statement, channel, locale string) (out templates.Rendered, people int, err error) {
	var says templates.Update
	var public Public
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if channel == ChannelWebhook {
			if public, err = r.public(tx, laid{}); err != nil {
				return err
			}
		}
		figures, err := r.figuresFor(tx, in, s)
		if err != nil {
			return err
		}
		u := Update{Incident: in.ID, Number: in.Value.LastUpdate + 1, Statement: s}
		if u.Before, err = since(tx, u); err != nil {
			return err
		}
		says = r.saying("", u, in.Value, figures)
		says.At = tx.Now()
		if bad, err := r.badReaders(tx, in.Value, s.Audience); err != nil || len(bad) > 0 {
			return err
		}
		crowd, err := r.about(tx, in.ID, s.Audience, s.Channels)
		people = crowd.People
		return err
	})
	if err != nil {
		return out, 0, err
	}
	out, err = r.shown(channel, locale, says, public)
	return out, people, err
}

// shown puts a statement into the form of any channel. What a program reads is made of the public page besides, which stands in public.
func (r *Room) shown(channel, locale string, says templates.Update, public Public) (out templates.Rendered, err error) {
	if channel != ChannelWebhook {
		return r.render(channel, locale, says)
	}
	if f := oneOf(nil, "locale", locale, templates.Locales()...); len(f) > 0 {
		return out, fault.BadFields(f...)
	}
	out.Text, err = r.payload(public, says, locale)
	return out, err
}

func (r *Room) render(channel, locale string, says templates.Update) (templates.Rendered, error) {
	f := oneOf(nil, "channel", channel, ChannelEmail, ChannelSMS, ChannelPage, ChannelTicket, hookSlack, hookTeams, templates.Social, templates.Media)
	if f = oneOf(f, "locale", locale, templates.Locales()...); len(f) > 0 {
		return templates.Rendered{}, fault.BadFields(f...)
	}
	out, err := r.Words.Update(channel, locale, says, r.Vendor)
	if err != nil {
		return out, fault.Wrap(fault.Invalid, err, "there are no words for this statement yet")
	}
	return out, nil
}
