package portal

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/portal/auth"
	"lifeline/portal/desk"
	"lifeline/store"
	"lifeline/store/blob"
)

// upload is a file of a form.
type upload struct {
	name    string
	content []byte
}

// multipartOf is a form with files behind its fields, as a browser sends it.
func multipartOf(t testing.TB, fields map[string]string, files ...upload) (media, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range fields {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		// Not CreateFormFile, which escapes what a stranger would not.
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="attachments"; filename="` + f.name + `"`}, "Content-Type": {"image/png"}})
		if err == nil {
			_, err = part.Write(f.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// files files a ticket with files by the API and gives it as staff see it.
func (h *house) filesTicket(files ...upload) (receiptAnswer, ticketAnswer) {
	h.Helper()
	media, body := multipartOf(h.TB, map[string]string{"message": "see the picture", "email": "ann@acme.example"}, files...)
	var r receiptAnswer
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: media, body: body}).want(201).into(&r)
	var ticket ticketAnswer
	h.get(auth.Support, "/api/v1/tickets/"+r.Number).want(200).into(&ticket)
	return r, ticket
}

func aPicture(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		img.Set(x, 0, color.RGBA{255, 0, 0, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What a browser could run is only ever a download: under its own name, as bytes, in a sandbox, and nothing keeps a copy.
func TestAFileIsOnlyEverADownload(t *testing.T) {
	h := open(t)
	html := []byte("<!DOCTYPE html><script>alert(document.cookie)</script>")
	svg := []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)
	pic := aPicture(t, 40, 20)
	_, ticket := h.filesTicket(upload{"shot.png", pic}, upload{"page.png", html}, upload{"../../etc/passwd", svg}, upload{"a\u202egnp.html", html}, upload{"日本語 レポート.txt", []byte("本文")},
		upload{"x.zip", []byte("PK\x03\x04 and more")})
	files := ticket.Messages[0].Files
	if len(files) != 6 {
		t.Fatalf("%d files: %+v", len(files), files)
	}
	for i, want := range []struct {
		name, media, kind string
		odd               bool
		content           []byte
	}{
		{"shot.png", "image/png", desk.KindPicture, false, pic}, {"page.png", "application/octet-stream", desk.KindActive, true, html},
		{"passwd", "application/octet-stream", desk.KindActive, false, svg}, {"agnp.html", "application/octet-stream", desk.KindActive, false, html},
		{"日本語 レポート.txt", "text/plain", desk.KindDocument, false, []byte("本文")}, {"x.zip", "application/zip", desk.KindArchive, false, []byte("PK\x03\x04 and more")},
	} {
		f := files[i]
		if f.Name != want.name || f.Type != want.media || f.Kind != want.kind || f.Odd != want.odd || f.Size != int64(len(want.content)) || f.State != desk.FileUnchecked {
			t.Errorf("%+v, want %+v", f, want)
		}
		a := h.get(auth.Support, "/api/v1/tickets/"+ticket.Number+"/files/"+f.ID).want(200)
		if !bytes.Equal(a.body, want.content) {
			t.Errorf("%s: %d bytes came back", f.Name, len(a.body))
		}
		media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
		how, params, err := mime.ParseMediaType(a.Header.Get("Content-Disposition"))
		if media != want.media || err != nil || how != "attachment" || params["filename"] != want.name {
			t.Errorf("%s is %q, %q: %v", f.Name, media, a.Header.Get("Content-Disposition"), err)
		}
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "sandbox") || strings.Contains(csp, "allow-") || strings.Contains(csp, "'self'") || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", f.Name, a.Header)
		}
	}
	if n := len(h.logged("ticket.file.fetch")); n != 6 {
		t.Errorf("%d fetches are in the audit log, want 6", n)
	}
	h.do(ask{as: auth.Support, method: "HEAD", path: "/api/v1/tickets/" + ticket.Number + "/files/" + files[0].ID}).want(200)
	if n := len(h.logged("ticket.file.fetch")); n != 6 {
		t.Errorf("a HEAD was noted as a fetch")
	}
}

// A file is its ticket's: by the number of another ticket, or to a stranger, there is none.
func TestAFileOpensInItsOwnTicketOnly(t *testing.T) {
	h := open(t)
	_, mine := h.filesTicket(upload{"a.txt", []byte("the passport of Ann")})
	_, other := h.filesTicket(upload{"b.txt", []byte("another")})
	id := mine.Messages[0].Files[0].ID
	h.get(auth.Support, "/api/v1/tickets/"+mine.Number+"/files/"+id).want(200).says("the passport")
	for _, path := range []string{"/api/v1/tickets/" + other.Number + "/files/" + id, "/api/v1/tickets/" + mine.Number + "/files/blb_0", "/api/v1/tickets/" + mine.Number + "/files/" + mine.ID,
		"/api/v1/tickets/" + mine.Number + "/files/..%2f" + id} {
		h.get(auth.Support, path).want(404).silent("passport")
	}
	h.get("", "/api/v1/tickets/"+mine.Number+"/files/"+id).want(401).silent("passport")
	// What an unfinished form brought is nobody's.
	l, err := blob.Put(t.Context(), h.DB, blob.Upload{Name: "c.txt", Type: "text/plain", From: strings.NewReader("the passport"), Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	h.get(auth.Support, "/api/v1/tickets/"+mine.Number+"/files/"+l.ID()).want(404).silent("passport")
}

// A picture is drawn anew: what it says of where it was taken is gone, and a file that only begins like one is not shown.
func TestPicturesAreDrawnAnew(t *testing.T) {
	h := open(t)
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewRGBA(image.Rect(0, 0, 3000, 1000)), nil); err != nil {
		t.Fatal(err)
	}
	exif := "Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00GPS 52.5163 N"
	shot := slices.Concat(photo.Bytes()[:2], []byte{0xFF, 0xE1, 0, byte(len(exif) + 2)}, []byte(exif), photo.Bytes()[2:])
	bomb := aPicture(t, 1, 1)
	copy(bomb[16:], []byte{0x00, 0x01, 0xFF, 0xFF, 0x00, 0x01, 0xFF, 0xFF}) // says that it is 131071 pixels wide and high
	_, ticket := h.filesTicket(upload{"photo.jpg", shot}, upload{"bomb.png", bomb}, upload{"cut.jpg", shot[:len(shot)/2]}, upload{"page.html", []byte("<html>")})
	in, _ := h.signIn(auth.Support)
	view := func(i int) answer {
		return h.do(ask{method: "GET", path: "/desk/tickets/" + ticket.Number + "/files/" + ticket.Messages[0].Files[i].ID + "/picture", header: map[string]string{"Cookie": in.String()}})
	}
	if !bytes.Contains(h.get(auth.Support, "/api/v1/tickets/"+ticket.Number+"/files/"+ticket.Messages[0].Files[0].ID).want(200).body, []byte("GPS 52")) {
		t.Error("the file itself is not as it came")
	}
	a := view(0).want(200).silent("GPS", "Exif")
	img, err := jpeg.Decode(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got != image.Pt(desk.PictureSide/3, desk.PictureSide) { // on its side, as the camera held it
		t.Errorf("drawn as %v", got)
	}
	if a.Header.Get("Content-Type") != "image/jpeg" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") || a.Header.Get("Content-Disposition") != "inline" {
		t.Errorf("%v", a.Header)
	}
	for i := range 3 {
		view(i + 1).want(409).silent("<html>")
	}
}

// A file that cannot be kept stops nothing: the ticket is filed with everything else, and says which file it was and why.
func TestABadFileStopsNoTicket(t *testing.T) {
	short := false
	h := open(t, func(p *Portal) {
		p.Desk.Policy.Files = desk.FilePolicy{Most: 3, Each: 1, Message: 2, Ticket: 3, Source: 100, Hourly: 1000, Kinds: []string{desk.KindPicture, desk.KindDocument}}
		p.Desk.Short = func() bool { return short }
	})
	big := bytes.Repeat([]byte("words "), 200_000)
	half := big[:600_000]
	r, ticket := h.filesTicket(upload{"big.txt", big}, upload{"empty.txt", nil}, upload{"tool.exe", []byte("MZ\x90")}, upload{"shot.png", []byte("MZ\x90")}, upload{"page.svg", []byte("<svg/>")},
		upload{"1.txt", []byte("1")}, upload{"2.txt", []byte("2")}, upload{"3.txt", []byte("3")}, upload{"4.txt", []byte("4")})
	same(t, "not kept", r.Unkept, []unkeptAnswer{{"big.txt", desk.UnkeptTooLarge}, {"empty.txt", desk.UnkeptEmpty}, {"tool.exe", desk.UnkeptKind}, {"shot.png", desk.UnkeptKind}, {"page.svg", desk.UnkeptKind}, {"4.txt", desk.UnkeptTooMany}})
	same(t, "told to staff", ticket.Messages[0].Unkept, r.Unkept)
	if ticket.Messages[0].Text != "see the picture" || len(ticket.Messages[0].Files) != 3 {
		t.Errorf("%+v", ticket.Messages[0])
	}
	_, ticket = h.filesTicket(upload{"1.txt", half}, upload{"2.txt", half}, upload{"3.txt", half}, upload{"4.txt", half})
	if got := ticket.Messages[0]; len(got.Files) != 3 || len(got.Unkept) != 1 || got.Unkept[0].Why != desk.UnkeptTooMany {
		t.Errorf("%+v", got.Unkept)
	}
	h.Desk.Policy.Files.Most = 10
	_, ticket = h.filesTicket(upload{"1.txt", half}, upload{"2.txt", half}, upload{"3.txt", half}, upload{"4.txt", half}, upload{"5.txt", []byte("small enough")})
	if got := ticket.Messages[0]; len(got.Files) != 4 || len(got.Unkept) != 1 || got.Unkept[0] != (unkeptAnswer{"4.txt", desk.UnkeptMessage}) {
		t.Errorf("%+v", got.Unkept)
	}
	// A reply fills the ticket up. Its words are kept with what has room.
	media, body := multipartOf(t, map[string]string{"text": "and more", "internal": "true"}, upload{"6.txt", half}, upload{"7.txt", half}, upload{"8.txt", half})
	h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/tickets/" + ticket.Number + "/messages", media: media, body: body}).want(201).into(&ticket)
	if got := ticket.Messages[1]; got.Text != "and more" || len(got.Files) != 2 || len(got.Unkept) != 1 || got.Unkept[0] != (unkeptAnswer{"8.txt", desk.UnkeptTicket}) {
		t.Errorf("%+v", got)
	}
	short = true
	if r, _ := h.filesTicket(upload{"1.txt", []byte("1")}); len(r.Unkept) != 1 || r.Unkept[0].Why != desk.UnkeptRoom {
		t.Errorf("with a full disk: %+v", r.Unkept)
	}
}

// One source can send so many bytes in an hour and no more, and keeps nobody else from sending.
func TestBytesOfASourceAreFew(t *testing.T) {
	h := open(t, func(p *Portal) { p.Desk.Policy.Files.Source, p.Desk.Policy.Files.Hourly = 3, 5 })
	send := func(source string) []unkeptAnswer {
		t.Helper()
		media, body := multipartOf(t, map[string]string{"message": "x", "email": "ann@acme.example"}, upload{"a.txt", []byte("small")})
		var r receiptAnswer
		h.do(ask{method: "POST", path: "/api/v1/tickets", media: media, body: body, header: map[string]string{"X-Forwarded-For": source}}).want(201).into(&r)
		return r.Unkept
	}
	for range 3 {
		same(t, "within the limit", send("203.0.113.1"), []unkeptAnswer{})
	}
	same(t, "over it", send("203.0.113.1"), []unkeptAnswer{{"a.txt", desk.UnkeptTooMuch}})
	for range 2 {
		same(t, "another source", send("203.0.113.2"), []unkeptAnswer{})
	}
	same(t, "all have sent so much", send("203.0.113.3"), []unkeptAnswer{{"a.txt", desk.UnkeptTooMuch}})
	h.clock.Turn(2 * time.Hour)
	same(t, "later", send("203.0.113.1"), []unkeptAnswer{})
	h.want(0, "loose")
}

// want counts the uploads that nobody kept, and the files that somebody did.
func (h *house) want(loose int, what string) {
	h.Helper()
	n := 0
	err := h.DB.View(h.Context(), func(tx *store.Tx) error {
		n = 0
		for raw, err := range tx.Stored("blob") {
			if err != nil {
				return err
			}
			var head blob.Head
			k := blob.Kinds()[0]
			plain, err := h.DB.Keys().Open(k, raw.ID, raw.Body)
			if err == nil {
				err = json.Unmarshal(plain, &head)
			}
			if err != nil {
				return err
			}
			if head.Of == "" {
				n++
			}
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	if n != loose {
		h.Errorf("%s: %d uploads that nobody keeps are left, want %d", what, n, loose)
	}
}

// A form that has to be sent once more brings its files back, though a browser cannot fill a field for files in again; what was typed stays too.
func TestFilesComeBackWithAFormThatIsMended(t *testing.T) {
	h := open(t)
	media, body := multipartOf(t, map[string]string{"message": "what I typed", "email": "no address"}, upload{"shot.png", aPicture(t, 4, 4)}, upload{"tool.exe", []byte("MZ")})
	page := h.do(ask{method: "POST", path: "/support", media: media, body: body}).want(422).says("what I typed", "shot.png", "tool.exe", "programs are not taken")
	token := regexp.MustCompile(`name="uploads" value="([^"]+)"`).FindSubmatch(page.body)
	if token == nil {
		t.Fatalf("nothing brings the file back: %s", page.body)
	}
	h.want(1, "between the two")
	again := map[string]string{"message": "what I typed", "email": "ann@acme.example", "uploads": string(token[1])}
	media, body = multipartOf(t, again, upload{"second.txt", []byte("2")})
	h.do(ask{method: "POST", path: "/support", media: media, body: body}).want(201)
	var ticket ticketAnswer
	h.get(auth.Support, "/api/v1/tickets/"+h.items("/api/v1/tickets")[0]["number"].(string)).want(200).into(&ticket)
	if got := ticket.Messages[0].Files; len(got) != 2 || got[0].Name != "shot.png" || got[1].Name != "second.txt" {
		t.Fatalf("%+v", got)
	}
	// The token is good once, and nobody else can make one.
	for _, forged := range []string{string(token[1]), "x", strings.TrimPrefix(ticket.Messages[0].Files[0].ID, "blb_") + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32))} {
		again["uploads"] = forged
		media, body = multipartOf(t, again)
		h.do(ask{method: "POST", path: "/support", media: media, body: body}).want(201)
	}
	with := 0
	for _, item := range h.items("/api/v1/tickets") {
		h.get(auth.Support, "/api/v1/tickets/"+item["number"].(string)).want(200).into(&ticket)
		if len(ticket.Messages[0].Files) > 0 {
			with++
		}
	}
	if with != 1 {
		t.Errorf("%d tickets have files, want the one", with)
	}
	h.want(0, "at the end")
}

// A form that is too large, or breaks off, is answered with what was typed, and nothing of its files is left.
func TestAFormThatIsTooLargeKeepsItsWords(t *testing.T) {
	t.Parallel()
	h := open(t)
	media, body := multipartOf(t, map[string]string{"message": "what I typed", "email": "ann@acme.example"}, upload{"a.txt", bytes.Repeat([]byte("a"), 9<<20)}, upload{"b.txt", bytes.Repeat([]byte("b"), 9<<20)}, upload{"c.txt", bytes.Repeat([]byte("c"), 9<<20)})
	h.do(ask{method: "POST", path: "/support", media: media, body: body}).want(413).says("what I typed", "20 MiB")
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: media, body: body}).want(413).says("20 MiB")
	h.do(ask{method: "POST", path: "/api/v1/tickets", media: media, body: body[:1<<20]}).want(422)
	if n := len(h.items("/api/v1/tickets")); n != 0 {
		t.Errorf("%d tickets were filed", n)
	}
	h.want(2, "those the page brings back") // a and b; the API's and what broke off are gone
}

// An Idempotency-Key is bound to the files too: the same form makes one ticket, another file is another body.
func TestAKeyIsBoundToTheFilesOfItsForm(t *testing.T) {
	h := open(t)
	send := func(content string) answer {
		body := "--one\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nsee the file\r\n--one\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nann@acme.example" +
			"\r\n--one\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"a.txt\"\r\n\r\n" + content + "\r\n--one--\r\n"
		return h.do(ask{method: "POST", path: "/api/v1/tickets", media: "multipart/form-data; boundary=one", body: body, header: map[string]string{"Idempotency-Key": "k1"}})
	}
	first := send("the first").want(201)
	if again := send("the first").want(201); !bytes.Equal(again.body, first.body) {
		t.Errorf("another answer: %s", again.body)
	}
	send("another").want(409)
	if n := len(h.items("/api/v1/tickets")); n != 1 {
		t.Errorf("%d tickets", n)
	}
	h.want(0, "the repeats")
}

// What comes behind a form on its connection is another request, whatever the form was.
func TestAFormIsReadToItsEnd(t *testing.T) {
	h := open(t)
	media, body := multipartOf(t, map[string]string{"message": "x", "email": "ann@acme.example"}, upload{"a.txt", []byte("1")})
	for _, c := range []struct {
		body   string
		status int
	}{{body, 201}, {body + strings.Repeat("epilogue ", 100), 201}, {strings.Replace(body, `name="attachments"`, `name="other"`, 1), 422}, {body[:len(body)-9], 422}} {
		w := h.dialIn().say("POST /api/v1/tickets HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", media, len(c.body), c.body)
		w.hear(c.status)
		w.say("GET /support HTTP/1.1\r\nHost: x\r\n\r\n").hear(200)
	}
}

func TestTheNameOfAFileInAHeader(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt":         `attachment; filename="a.txt"; filename*=UTF-8''a.txt`,
		`q"uo\te%.txt`:  `attachment; filename="q_uo_te_.txt"; filename*=UTF-8''q%22uo%5Cte%25.txt`,
		"\u00e9 \u65e5": `attachment; filename="_ _"; filename*=UTF-8''%C3%A9%20%E6%97%A5`,
		"a\r\nSet-x: y": `attachment; filename="a__Set-x: y"; filename*=UTF-8''a%0D%0ASet-x%3A%20y`,
	} {
		if got := disposition(name); got != want {
			t.Errorf("%q: %s\nwant %s", name, got, want)
		}
	}
}

// Staff attach what belongs to the record of an incident to its first ticket, on the page and by the API: the same limits and the same quarantine hold for them,
// the customer sees nothing of what is internal, and a copy of the whole ticket carries all of it.
func TestStaffAttachFilesToTheFirstTicket(t *testing.T) {
	h := open(t, func(p *Portal) {
		p.Desk.Policy.Files.Most, p.Desk.Policy.Files.Kinds = 2, []string{desk.KindPicture, desk.KindDocument}
	})
	h.declare()
	first, _ := h.filesTicket()
	h.clock.Turn(time.Minute)
	h.filesTicket()
	s := h.sits(auth.Support)
	var in struct {
		Items []struct{ ID string } `json:"items"`
	}
	h.get(auth.Support, "/api/v1/incidents").want(200).into(&in)
	var board desk.Dashboard
	if h.get(auth.Support, "/api/v1/incidents/"+in.Items[0].ID+"/tickets").want(200).into(&board); board.First != first.Number {
		t.Fatalf("the first ticket is %q, not %q", board.First, first.Number)
	}
	s.page("/desk/incidents/"+in.Items[0].ID+"/tickets").want(200).says("First ticket", "/desk/tickets/"+first.Number)
	page := "/desk/tickets/" + first.Number
	s.page(page).want(200).says(`enctype="multipart/form-data"`, `type="file"`)
	press := func(fields map[string]string, files ...upload) answer {
		fields["csrf"] = s.csrf
		media, body := multipartOf(t, fields, files...)
		return h.do(ask{method: "POST", path: page, media: media, body: body, header: map[string]string{"Cookie": s.cookie, "Origin": h.URL, "Accept": "text/html"}})
	}
	press(map[string]string{"text": "alert history", "internal": "yes"}, upload{"alerts.log", []byte("07:38 all green\n")}, upload{"shot.png", aPicture(t, 4, 4)}, upload{"chat.txt", []byte("who ran it?")}).want(303)
	press(map[string]string{"text": "what you asked for"}, upload{"run.exe", []byte("MZ\x90\x00 and more")}).want(303)
	media, body := multipartOf(t, map[string]string{"text": "work log", "internal": "true"}, upload{"work.log", []byte("08:02 script stopped\n")})
	h.do(ask{as: auth.Support, method: "POST", path: "/api/v1/tickets/" + first.Number + "/messages", media: media, body: body}).want(201)
	// A form that is too large keeps what was typed.
	press(map[string]string{"text": "and this <dump>"}, upload{"dump.log", bytes.Repeat([]byte("x\n"), maxTicket/2)}).want(413).says("and this &lt;dump&gt;", "20 MiB")

	s.page(page).want(200).says("alerts.log", "shot.png", "work.log", "chat.txt", "run.exe: ")
	h.do(ask{method: "POST", path: "/t/" + first.Number, media: form, body: url.Values{"secret": {first.Secret}, "here": {"1"}}.Encode()}).want(200).says("what you asked for").silent("alerts.log", "work.log", "alert history")

	a := h.get(auth.Support, "/api/v1/tickets/"+first.Number+"/copy").want(200)
	z, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		held[strings.TrimPrefix(f.Name, "ticket-"+first.Number+"/")] = string(b)
	}
	if held["files/01-alerts.log"] != "07:38 all green\n" || held["files/03-work.log"] != "08:02 script stopped\n" || len(held) != 5 {
		t.Errorf("the copy holds %q", slices.Sorted(maps.Keys(held)))
	}
	for _, says := range []string{"alert history", `"internal": true`, "alerts.log"} {
		if !strings.Contains(held["ticket.json"], says) {
			t.Errorf("the copy does not say %s", says)
		}
	}
	s.page(page + "/copy").want(200)
	if n := len(h.logged("ticket.copy")); n != 2 {
		t.Errorf("%d copies are in the audit log", n)
	}
}
