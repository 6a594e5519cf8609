package desk

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Copy is a ticket as one takes it along: what was told, what was said, and the files. Nothing in it opens the ticket. Its owner's holds nothing of what staff wrote for
// themselves and no name of theirs; that of staff does.
type Copy struct {
	Number    string       `json:"number"`
	Phrase    string       `json:"phrase"`
	State     string       `json:"state"`
	FiledAt   time.Time    `json:"filed_at"`
	TakenAt   time.Time    `json:"taken_at"`
	Locale    string       `json:"locale"`
	Name      string       `json:"name,omitempty"`
	Email     string       `json:"email,omitempty"`
	Phone     string       `json:"phone,omitempty"`
	Company   string       `json:"company,omitempty"`
	SiteURL   string       `json:"site_url,omitempty"`
	SiteName  string       `json:"site_name,omitempty"`
	Domain    string       `json:"domain,omitempty"`
	Invoice   string       `json:"invoice,omitempty"`
	OldTicket string       `json:"old_ticket,omitempty"`
	Messages  []CopiedNote `json:"messages"`
}

// CopiedNote is one entry of a copied conversation.
type CopiedNote struct {
	From     string       `json:"from"`
	By       string       `json:"by,omitempty"` // id of the member of staff
	At       time.Time    `json:"at"`
	Via      string       `json:"via,omitempty"`
	Internal bool         `json:"internal,omitempty"` // only staff see it
	Held     string       `json:"held,omitempty"`     // and so they do this; why
	Text     string       `json:"text"`
	Files    []CopiedFile `json:"files,omitempty"`
}

// CopiedFile is a file of a copy. Without a Path it is not in the copy, and State says why.
type CopiedFile struct {
	Name  string `json:"name"`
	Path  string `json:"path,omitempty"` // within the copy
	Type  string `json:"type"`
	Size  int64  `json:"size"`
	State string `json:"state"`

	Attachment Attachment `json:"-"`
}

// CopyOf makes the copy of a ticket for its owner, who has it open.
func CopyOf(v View, now time.Time) Copy { return copied(v, forCustomer(v.Messages), now) }

// WholeCopyOf makes the copy of a ticket for staff.
func WholeCopyOf(v View, now time.Time) Copy { return copied(v, v.Messages, now) }

// copied puts messages and their files into a copy. No path in it leaves the copy, whatever a file is called, and no two are the same.
func copied(v View, messages []Message, now time.Time) Copy {
	t := v.Ticket
	c := Copy{Number: t.Number, Phrase: t.Phrase, State: t.State, FiledAt: t.FiledAt, TakenAt: now, Locale: t.Locale, Name: t.Name, Email: t.Email, Phone: t.Phone, Company: t.Company,
		SiteURL: t.SiteURL, SiteName: t.SiteName, Domain: t.Domain, Invoice: t.Invoice, OldTicket: t.OldTicket}
	n := 0
	for _, m := range messages {
		note := CopiedNote{From: m.From, By: m.By, At: m.At, Via: m.Via, Internal: m.Internal, Held: m.Held, Text: m.Text}
		for _, a := range v.FilesOf(m) {
			f := CopiedFile{Name: a.Name, Type: a.Type, Size: a.Size, State: a.State, Attachment: a}
			if a.Open() {
				n++
				f.Path = fmt.Sprintf("files/%02d-%s", n, plainName(a.Name))
			}
			note.Files = append(note.Files, f)
		}
		c.Messages = append(c.Messages, note)
	}
	return c
}

// plainName is a file name that is one on every system: the end of the name, without what some system takes for something else.
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, path.Base(strings.ReplaceAll(name, `\`, "/")))
	return strings.TrimRight(strings.Trim(name, " "), ".")
}
