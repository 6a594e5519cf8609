package portal

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/desk"
	"lifeline/templates"
)

// copyView is the readable part of a copy.
type copyView struct {
	Words  templates.Catalog
	Vendor templates.Vendor
	Copy   desk.Copy
	Inside string // how a message is marked that customers do not see; their own copy has none
}

// takeCopy gives a ticket to its owner as one file to keep: readable in any browser, as JSON for programs, and with the files beside. It fetches nothing
// and names nothing outside itself.
func (k *call) takeCopy() error {
	v, _, err := k.visitor()
	if err != nil {
		return k.unopened(err)
	}
	return k.sendCopy(desk.CopyOf(v, k.p.DB.Now()), copyView{Words: k.p.Words.Catalog(k.speaks(v))})
}

// staffCopy gives a ticket to staff in the same form, with what they wrote for themselves: a record to keep with a report.
func (k *call) staffCopy() error {
	v, err := k.p.Desk.Ticket(k.UserContext(), k.Params("number"))
	if err != nil {
		return err
	}
	if err := k.p.Desk.Copied(k.UserContext(), k.person.ID, v); err != nil {
		return err
	}
	words := k.p.Words.Catalog(k.p.staffLocale(k.Ctx))
	return k.sendCopy(desk.WholeCopyOf(v, k.p.DB.Now()), copyView{Words: words, Inside: words.T("desk.internal")})
}

func (k *call) sendCopy(c desk.Copy, v copyView) error {
	v.Vendor, v.Copy = k.p.Comms.Vendor, c
	page, err := renderView("copy", v)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	k.Set(fiber.HeaderContentType, "application/zip")
	k.Set(fiber.HeaderContentDisposition, `attachment; filename="ticket-`+c.Number+`.zip"`)
	ctx := context.WithoutCancel(k.UserContext())
	broken := k.Context().Conn() // closed when the copy breaks off, so that nobody takes it for whole
	k.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		defer func() { // a panic here would end the process
			if r := recover(); r != nil {
				k.p.Log.Error("a copy panicked", "panic", fmt.Sprint(r))
				_ = broken.Close()
			}
		}()
		if err := k.p.writeCopy(ctx, w, c, page, data); err != nil {
			k.p.Log.Warn("a copy broke off", "ticket", c.Number, "err", err)
			_ = broken.Close()
		}
	})
	return nil
}

func (p *Portal) writeCopy(ctx context.Context, w io.Writer, c desk.Copy, page, data []byte) error {
	z := zip.NewWriter(w)
	put := func(name string, from func(io.Writer) error) error {
		to, err := z.CreateHeader(&zip.FileHeader{Name: "ticket-" + c.Number + "/" + name, Method: zip.Deflate, Modified: c.TakenAt})
		if err != nil {
			return err
		}
		return from(to)
	}
	whole := func(b []byte) func(io.Writer) error {
		return func(to io.Writer) error { _, err := to.Write(b); return err }
	}
	if err := put("ticket.html", whole(page)); err != nil {
		return err
	}
	if err := put("ticket.json", whole(data)); err != nil {
		return err
	}
	for _, m := range c.Messages {
		for _, f := range m.Files {
			if f.Path == "" {
				continue
			}
			r, err := p.Desk.Bytes(ctx, f.Attachment)
			if err != nil {
				return err
			}
			if err := put(f.Path, func(to io.Writer) error { _, err := io.Copy(to, r); return err }); err != nil {
				return err
			}
		}
	}
	return z.Close()
}
