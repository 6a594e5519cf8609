package portal

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store/fault"
	"lifeline/templates"
)

// fieldFiles is the field of a form that brings files, fieldUploads the one that brings back what an earlier try of the same form brought.
const (
	fieldFiles   = "attachments"
	fieldUploads = "uploads"
)

// maxParts is how many parts a form may have (RFC 7578).
const maxParts = 100

// takeForm takes the files out of a form and writes them as they come, with little memory however large they are and nothing on the disk in plain. What is
// left is put in the place of the body, as a form without files, so that everything behind reads it as any other; k.files are the
// files. When the form breaks off, the fields in front are kept.
func (k *call) takeForm(max int) error {
	media, params, err := mime.ParseMediaType(k.Get(fiber.HeaderContentType))
	switch {
	case err == nil && media == fiber.MIMEApplicationForm:
		return k.bringBack(max)
	case err != nil || media != fiber.MIMEMultipartForm:
		return nil
	}
	k.receive()
	sum := sha256.New()
	body := io.TeeReader(stream(k.Ctx, max), sum)
	form, err := k.readForm(multipart.NewReader(body, params["boundary"]))
	if _, rest := io.Copy(io.Discard, body); err == nil && rest != nil {
		err = badForm(rest, "the form broke off")
	}
	if fault.Of(err) == fault.TooLarge {
		k.drain()
	}
	k.digest = sum.Sum(nil)
	return cmp.Or(err, k.leaveFields(form))
}

// receive readies the desk for the files of this request.
func (k *call) receive() {
	source := "" // staff
	if k.person.ID == "" {
		source = network(k.p.source(k.Ctx))
	}
	k.files = k.p.Desk.Receive(source)
}

// bringBack is takeForm for a form without files that may bring back those of an earlier try.
func (k *call) bringBack(max int) error {
	body, err := read(k.Ctx, min(max, maxJSON))
	if err != nil || !bytes.Contains(body, []byte(fieldUploads+"=")) {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil // said by who reads it
	}
	k.receive()
	sum := sha256.Sum256(body)
	k.digest = sum[:]
	return k.leaveFields(form)
}

// leaveFields puts the fields of a form in the body's place, but for the one that is about files, and brings back what that names.
func (k *call) leaveFields(form url.Values) (err error) {
	if token := form.Get(fieldUploads); token != "" {
		err = k.files.Resume(k.UserContext(), token)
	}
	form.Del(fieldUploads)
	body := []byte(form.Encode())
	k.Request().Header.SetContentType(fiber.MIMEApplicationForm)
	k.Request().Header.SetContentLength(len(body))
	k.Request().SetBodyRaw(body)
	return err
}

// maxDrainForm is how much more of a form that is too large is read and thrown away: a browser that is cut off while it sends shows its own error and
// not our answer, and what was typed would be gone.
const maxDrainForm = 40 << 20

// drain reads the rest of a body, or ends the connection behind it: the server would take what is left for the next request.
func (k *call) drain() {
	b, ok := k.Context().UserValue(bodyKey).(*bounded)
	if !ok {
		return
	}
	if _, err := io.CopyN(io.Discard, b.r, maxDrainForm); err != io.EOF {
		k.Context().SetConnectionClose()
	}
}

// readForm reads the fields of a form, at most maxJSON of them together, and gives its files to the desk.
func (k *call) readForm(parts *multipart.Reader) (form url.Values, err error) {
	form = url.Values{}
	left := maxJSON
	for range maxParts {
		part, err := parts.NextPart()
		if err == io.EOF {
			return form, nil
		}
		if err != nil {
			return form, badForm(err, "the form is malformed")
		}
		if part.FileName() != "" {
			if part.FormName() != fieldFiles {
				return form, fault.BadField(field(part.FormName()), "is a file, and files come in the field %s", fieldFiles)
			}
			if err := k.files.Add(k.UserContext(), part.FileName(), part); err != nil {
				return form, badForm(err, "the form broke off")
			}
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, int64(left)+1))
		if left -= len(value); left < 0 {
			return form, tooLarge(maxJSON)
		}
		if part.FormName() != fieldFiles { // a file field that was left empty
			form.Add(part.FormName(), string(value))
		}
		if err != nil {
			return form, badForm(err, "the form broke off")
		}
	}
	return form, fault.New(fault.Invalid, "the form has more than %d parts", maxParts)
}

// field is the name of a field as an error may carry it.
func field(name string) string {
	if name == "" || len(name) > 100 || !utf8.ValidString(name) {
		return fieldFiles
	}
	return name
}

func badForm(err error, says string) error {
	if kind := fault.Of(err); kind == fault.TooLarge || kind == fault.Unavailable || kind == fault.Unknown {
		return err
	}
	return fault.New(fault.Invalid, "%s", says)
}

// bodyDigest is what an Idempotency-Key is bound to beside caller and route: the body as it came.
func (k *call) bodyDigest() []byte {
	if k.digest != nil {
		return k.digest
	}
	return k.Request().Body()
}

// attachmentAnswer is a file of a message.
type attachmentAnswer struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Type  string `json:"type"`
	Kind  string `json:"kind"`
	Size  int64  `json:"size"`
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
	Odd   bool   `json:"misnamed"`
}

// unkeptAnswer is a file that came and was not kept.
type unkeptAnswer struct {
	Name string `json:"name"`
	Why  string `json:"reason"`
}

func attachmentsOf(all []desk.Attachment) (out []attachmentAnswer) {
	for _, a := range all {
		out = append(out, attachmentAnswer{a.ID, a.Name, a.Type, a.Kind, a.Size, a.State, a.Note, a.Odd})
	}
	return out
}

func unkeptOf(all []desk.Unkept) (out []unkeptAnswer) {
	for _, u := range all {
		out = append(out, unkeptAnswer{u.Name, u.Why})
	}
	return out
}

// fileRoutes hand files to staff. Customers get theirs by POST, from the page of their ticket.
func (p *Portal) fileRoutes() []route {
	whole := func(k *call) error { return k.staffFile(k.sendFile) }
	picture := func(k *call) error { return k.staffFile(k.sendPicture) }
	return []route{
		{method: "GET", path: "/api/v1/tickets/:number/files/:id", right: auth.TicketRead, tag: "tickets", summary: "a file of a ticket, as it came; one that is still being checked, or carries malware, is refused",
			gives: "application/octet-stream image/png image/jpeg image/gif image/webp application/pdf application/zip application/x-compressed text/plain", do: whole},
		{method: "GET", path: "/api/v1/tickets/:number/copy", right: auth.TicketRead, tag: "tickets", summary: "the whole ticket as a ZIP archive: what everybody wrote, notes for staff too, and its files", gives: "application/zip", do: (*call).staffCopy},
		{method: "GET", path: "/desk/tickets/:number/copy", page: true, right: auth.TicketRead, do: (*call).staffCopy},
		{method: "GET", path: "/desk/tickets/:number/files/:id", page: true, right: auth.TicketRead, do: whole},
		{method: "GET", path: "/desk/tickets/:number/files/:id/picture", page: true, right: auth.TicketRead, do: picture},
	}
}

// staffFile finds a file of a ticket for a member of staff, notes that she took it, and sends it.
func (k *call) staffFile(send func(desk.Attachment) error) error {
	v, err := k.p.Desk.Ticket(k.UserContext(), k.Params("number"))
	if err != nil {
		return err
	}
	a, err := v.Attachment(k.Params("id"))
	if err != nil {
		return err
	}
	if k.Method() == fiber.MethodGet && a.Open() {
		if err := k.p.Desk.Fetched(k.UserContext(), k.person.ID, v, a); err != nil {
			return err
		}
	}
	return send(a)
}

// sandboxed says that what follows came from strangers: no page of ours can run it, frame it or keep it, whatever it is.
func (k *call) sandboxed() {
	k.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'")
	k.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	k.Set(fiber.HeaderCacheControl, "no-store")
	k.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// sendFile gives a file as a download, whatever it is.
func (k *call) sendFile(a desk.Attachment) error {
	r, err := k.p.Desk.Bytes(k.UserContext(), a)
	if err != nil {
		return err
	}
	k.sandboxed()
	k.Set(fiber.HeaderContentType, a.Type)
	if a.Type == fiber.MIMETextPlain {
		k.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	}
	k.Set(fiber.HeaderContentDisposition, disposition(a.Name))
	return k.SendStream(r, int(a.Size))
}

// sendPicture shows a picture that was drawn anew.
func (k *call) sendPicture(a desk.Attachment) error {
	media, picture, err := k.p.Desk.Picture(k.UserContext(), a, desk.PictureSide)
	if err != nil {
		return err
	}
	k.sandboxed()
	k.Set(fiber.HeaderContentType, media)
	k.Set(fiber.HeaderContentDisposition, "inline")
	return k.Send(picture)
}

// disposition is a Content-Disposition that keeps a file a file, with its name in every writing (RFC 6266 section 4, RFC 8187).
func disposition(name string) string {
	var plain, coded strings.Builder
	for i := range len(name) {
		b := name[i]
		switch {
		case b < utf8.RuneSelf && b > ' ' && b != '"' && b != '\\' && b != '%':
			plain.WriteByte(b)
		case b == ' ':
			plain.WriteByte(b)
		case utf8.RuneStart(b):
			plain.WriteByte('_')
		}
		if b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || strings.IndexByte("!#$&+-.^_`|~", b) >= 0 {
			coded.WriteByte(b)
		} else {
			const hexits = "0123456789ABCDEF"
			coded.WriteString("%" + string(hexits[b>>4]) + string(hexits[b&15]))
		}
	}
	return `attachment; filename="` + plain.String() + `"; filename*=UTF-8''` + coded.String()
}

// bringsFiles says by a request's head whether it may take minutes to send: a form with files.
func bringsFiles(h *fasthttp.RequestHeader) bool {
	media := strings.ToLower(string(h.ContentType()))
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	return h.IsPost() && strings.HasPrefix(media, fiber.MIMEMultipartForm) && takesFiles(path)
}

// takesFiles says which addresses take forms with files.
func takesFiles(path string) bool {
	return path == "/support" || strings.HasPrefix(path, "/t/") || path == "/api/v1/tickets" || strings.HasPrefix(path, "/desk/tickets/") ||
		strings.HasPrefix(path, "/api/v1/tickets/") && strings.HasSuffix(path, "/messages")
}

// givesFile says whether the answer may take minutes to send.
func givesFile(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	return (strings.Contains(path, "/files/") || strings.HasSuffix(path, "/copy")) && (strings.HasPrefix(path, "/t/") || strings.HasPrefix(path, "/me/") || strings.HasPrefix(path, "/api/v1/tickets/") || strings.HasPrefix(path, "/desk/tickets/"))
}

// filesView is the part of a form that brings files.
type filesView struct {
	Words      templates.Catalog
	Label      string
	Most, Each int // files, MiB of one
	Here       string
	Carried    string // what brings back those that are here
	Unkept     []desk.Unkept
	Error      string
}

// filesView says of the files of this request what a page has to: which are here when the form has to be sent once more, because of err, and which were not
// taken.
func (k *call) filesView(locale string, err error) filesView {
	p := k.p.Desk.Policy.Files
	words := k.p.Words.Catalog(locale)
	v := filesView{Words: words, Label: words.T("support.files.label"), Most: p.Most, Each: p.Each, Unkept: k.files.Unkept()}
	if err != nil {
		v.Here = strings.Join(k.files.Names(), ", ")
		v.Carried = k.files.Carry()
	}
	if fault.Of(err) == fault.TooLarge {
		v.Error = v.Words.T("support.files.big", maxTicket>>20)
	}
	return v
}
