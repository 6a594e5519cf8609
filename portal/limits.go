package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
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
// how long the body is (request smuggling, RFC 9112 section 6.3).
func (p *Portal) guard(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		if enc := c.Request.Header.ContentEncoding(); len(enc) > 0 && !bytes.EqualFold(enc, []byte("identity")) {
			c.SetConnectionClose()
			writeProblem(c, fault.New(fault.Unsupported, "compressed request bodies are not taken; send it plain"))
			return
		}
		next(c)
	}
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
	b, err := io.ReadAll(io.LimitReader(c.Context().RequestBodyStream(), int64(max)+1))
	if err != nil {
		c.Context().SetConnectionClose()
		return nil, fault.Wrap(fault.Invalid, err, "the body broke off")
	}
	if len(b) > max {
		c.Context().SetConnectionClose()
		return nil, tooLarge(max)
	}
	c.Request().SetBodyRaw(b)
	return b, nil
}

// stream reads a long body as it comes; over max it fails with TooLarge.
func stream(c *fiber.Ctx, max int) io.Reader {
	if !c.Request().IsBodyStream() {
		return bytes.NewReader(c.Request().Body())
	}
	return &bounded{r: c.Context().RequestBodyStream(), left: int64(max), max: max}
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

func decodeJSON(body []byte, into any) error {
	if err := shallow(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badJSON(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "there is something behind the JSON object")
	}
	return nil
}

func badJSON(err error) error {
	var typed *json.UnmarshalTypeError
	switch {
	case errors.As(err, &typed) && typed.Field != "":
		return fault.BadField(typed.Field, "must be %s, not %s", typeName(typed.Type.Kind().String()), typed.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return fault.BadField(strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`), "is not a field of this request")
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "the body is empty; it must be a JSON object")
	}
	return fault.New(fault.Invalid, "the body is not valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

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
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 1 || n > maxList {
		return 0, fault.BadField("limit", "must be a whole number from 1 to %d", maxList)
	}
	return n, nil
}
