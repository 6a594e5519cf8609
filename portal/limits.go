package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"reflect"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"lifeline/store/fault"
)

// Limits on what anybody can send. A larger body is answered 413 and the connection closed.
const (
	maxHeaders = 16 << 10
	maxJSON    = 1 << 20
	maxTicket  = 20 << 20
	maxImport  = 512 << 20
	maxList    = 200
	maxDepth   = 32
)

// guard refuses what no route should ever see: a compressed body (a few hundred bytes can become gigabytes), and two ways of saying
// how long the body is (request smuggling, RFC 9112 section 6.3). Behind the routes it sees to the rest of a body.
func (p *Portal) guard(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		defer settle(c)
		switch enc := c.Request.Header.ContentEncoding(); {
		case len(enc) > 0 && !bytes.EqualFold(enc, []byte("identity")):
			c.SetConnectionClose()
			p.writeProblem(c, fault.New(fault.Unsupported, "compressed request bodies are not taken; send it plain"))
		case twoLengths(c.Request.Header.RawHeaders()):
			c.SetConnectionClose()
			p.writeProblem(c, fiber.NewError(fiber.StatusBadRequest, "Content-Length and Transfer-Encoding exclude each other"))
		default:
			next(c)
		}
	}
}

// twoLengths says whether header lines, as they came, give the body a length and a transfer encoding. The parsed header cannot tell: it
// keeps only one of them.
func twoLengths(raw []byte) bool {
	var length, encoding bool
	for line := range bytes.Lines(raw) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte(fiber.HeaderContentLength))
		encoding = encoding || bytes.EqualFold(name, []byte(fiber.HeaderTransferEncoding))
	}
	return length && encoding
}

// maxDrain is how much of a body that nobody wanted, or that is too large, is read so that its sender gets to read our answer: one that is cut off while it sends may lose it.
const maxDrain = 4 * maxJSON

// settle takes what is left of a body off the connection, or ends the connection: the server would read it as the next request.
func settle(c *fasthttp.RequestCtx) {
	if !c.Request.IsBodyStream() {
		return
	}
	b := body(c, maxDrain)
	if b.end == io.EOF {
		return
	}
	if (b.end == nil || fault.Of(b.end) == fault.TooLarge) && c.Request.Header.ContentLength() <= maxDrain {
		if _, err := io.CopyN(io.Discard, b.r, maxDrain); err == io.EOF {
			return
		}
	}
	c.SetConnectionClose()
}

// read takes a whole body of at most max bytes.
func read(c *fiber.Ctx, max int) ([]byte, error) {
	if n := c.Request().Header.ContentLength(); n > max {
		c.Context().SetConnectionClose()
		return nil, tooLarge(max)
	}
	if !c.Request().IsBodyStream() {
		b := c.Request().Body()
		if len(b) > max {
			c.Context().SetConnectionClose()
			return nil, tooLarge(max)
		}
		return b, nil
	}
	b, err := io.ReadAll(body(c.Context(), max))
	if fault.Of(err) == fault.TooLarge {
		c.Context().SetConnectionClose()
		return nil, err
	}
	if err != nil {
		c.Context().SetConnectionClose()
		return nil, fiber.NewError(fiber.StatusBadRequest, "The body broke off")
	}
	c.Request().SetBodyRaw(b)
	return b, nil
}

// stream reads a long body as it comes; over max it fails with TooLarge.
func stream(c *fiber.Ctx, max int) io.Reader {
	if !c.Request().IsBodyStream() {
		return bytes.NewReader(c.Request().Body())
	}
	return body(c.Context(), max)
}

const bodyKey = "lifeline.body"

// body is the request's one reader of its body stream.
func body(c *fasthttp.RequestCtx, max int) *bounded {
	if b, ok := c.UserValue(bodyKey).(*bounded); ok {
		return b
	}
	b := &bounded{r: c.RequestBodyStream(), left: int64(max), max: max}
	c.SetUserValue(bodyKey, b)
	return b
}

// bounded remembers how it ended: fasthttp's stream of a chunked body, read once more behind its end, waits for another request.
type bounded struct {
	r    io.Reader
	left int64
	max  int
	end  error
}

func (b *bounded) Read(p []byte) (n int, err error) {
	if b.end != nil {
		return 0, b.end
	}
	n, b.end = b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.end = tooLarge(b.max)
	}
	return n, b.end
}

func tooLarge(max int) error {
	return fault.New(fault.TooLarge, "the body is larger than %d MiB", max>>20)
}

// decode reads a JSON body strictly: the right media type, at most 1 MiB and 32 levels, no unknown field, nothing behind it.
func decode(c *fiber.Ctx, into any) error {
	if media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType)); err != nil || media != fiber.MIMEApplicationJSON {
		return fault.New(fault.Unsupported, "the body must be application/json")
	}
	body, err := read(c, maxJSON)
	if err != nil {
		return err
	}
	return decodeJSON(body, into)
}

// optional is decode for a body that may be left out.
func (k *call) optional(into any) error {
	if len(k.Request().Body()) == 0 {
		return nil
	}
	return decode(k.Ctx, into)
}

func decodeJSON(body []byte, into any) error {
	if err := shallow(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badJSON(err, body, into)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "there is something behind the JSON object")
	}
	return nil
}

// badJSON names every field that could not be read, or says what is wrong with the text where it is no JSON at all.
func badJSON(err error, body []byte, into any) error {
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "the body is empty; it must be a JSON object")
	}
	var raw json.RawMessage
	if json.NewDecoder(bytes.NewReader(body)).Decode(&raw) != nil {
		return fault.New(fault.Invalid, "the body is not valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	found := misfits("", raw, reflect.TypeOf(into))
	switch {
	case len(found) == 0: // such as a name that is there twice
		return fault.New(fault.Invalid, "the body is not what this request takes")
	case found[0].Field == "":
		return fault.New(fault.Invalid, "the body %s", found[0].Reason)
	case len(found) == 1:
		return fault.BadField(found[0].Field, "%s", found[0].Reason)
	}
	return fault.BadFields(found[:min(len(found), mostMisfits)]...)
}

// mostMisfits bounds how many fields one answer names.
const mostMisfits = 20

func typeName(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "a list"
	case kind == "struct", kind == "map":
		return "an object"
	}
	return "text"
}

// shallow refuses JSON nested deeper than maxDepth before anything recurses into it.
func shallow(body []byte) error {
	depth, quoted, escaped := 0, false, false
	for _, b := range body {
		switch {
		case escaped:
			escaped = false
		case quoted && b == '\\':
			escaped = true
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return fault.New(fault.Invalid, "the JSON is nested deeper than %d levels", maxDepth)
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

// limitParam reads ?limit=, 50 when absent, at most 200.
func limitParam(c *fiber.Ctx) (int, error) {
	s := c.Query("limit")
	if s == "" {
		return 50, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxList {
		return 0, fault.BadField("limit", "must be a whole number from 1 to %d", maxList)
	}
	return n, nil
}
