package comms

import (
	"context"
	"sync"

	"lifeline/store"
	"lifeline/templates"
)

// wording is one notice in one language for one channel: it is the same for everybody, so it is rendered once.
type wording struct {
	subject, text, html string
	yours               string // what leads a contact to her own sites
	incident            string // whose thread it belongs to; "" for none
	first               bool   // it begins the thread
	drill               bool
}

// wordCache keeps what was rendered last. Published updates never change, so nothing in it goes stale.
type wordCache struct {
	mu   sync.Mutex
	made map[wordingOf]wording
}

// wordingOf is what a wording follows from.
type wordingOf struct{ notice, channel, locale string }

// mostWords bounds the cache: a few broadcasts in every language and channel.
const mostWords = 64

func (c *wordCache) get(key wordingOf, make func() (wording, error)) (wording, error) {
	c.mu.Lock()
	defer c.mu.Unlock() // others wait for the same words instead of rendering them too
	if w, ok := c.made[key]; ok {
		return w, nil
	}
	w, err := make()
	if err != nil {
		return w, err
	}
	if c.made == nil || len(c.made) >= mostWords {
		c.made = map[wordingOf]wording{}
	}
	c.made[key] = w
	return w, nil
}

func (o *Outbox) wordsFor(ctx context.Context, id string, n Notice, channel, locale string) (wording, error) {
	if n.Update == "" || n.Name != nameUpdate {
		if channel == hookProgram {
			return o.Room.hookMessage(n, locale)
		}
		return o.Room.message(n, channel, locale)
	}
	return o.words.get(wordingOf{id, channel, locale}, func() (wording, error) {
		if channel == hookProgram {
			return o.Room.hookUpdate(ctx, n, locale)
		}
		return o.Room.updateWords(ctx, n, channel, locale)
	})
}

// nameUpdate is the notice's Name that stands for the words of its update.
const nameUpdate = "update"

func (r *Room) updateWords(ctx context.Context, n Notice, channel, locale string) (wording, error) {
	var facts templates.Update
	var w wording
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		u, _, err := updates.Get(tx, n.Update)
		if err != nil {
			return err
		}
		w.incident = u.Incident
		w.first = u.Number == 1 && n.Only == ""
		facts, err = r.facts(tx, n.Update)
		return err
	})
	if err != nil {
		return w, err
	}
	out, err := r.Words.Update(channel, locale, facts, r.Vendor)
	if err != nil {
		return w, err
	}
	w.subject, w.text, w.html, w.drill = out.Subject, out.Text, out.HTML, facts.Drill
	w.yours = r.Words.Catalog(locale).T("yours.mail")
	return w, nil
}

func (r *Room) message(n Notice, channel, locale string) (w wording, err error) {
	out, err := r.Words.Message(channel, n.Name, locale, n.Data, r.Vendor)
	if err != nil {
		return w, err
	}
	w.subject, w.text, w.html = out.Subject, out.Text, out.HTML
	return w, nil
}
