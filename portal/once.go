package portal

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/gofiber/fiber/v2"

	"lifeline/store"
	"lifeline/store/fault"
)

const headerOnce = "Idempotency-Key"

// once honours an Idempotency-Key: the same key, caller, route and body give the same answer for 24 hours, and act once.
func (p *Portal) once(c *fiber.Ctx, caller string, body func() []byte, next func() error) error {
	key := c.Get(headerOnce)
	if key == "" {
		return next()
	}
	if len(key) > 255 {
		return fault.BadField(headerOnce, "is longer than 255 characters")
	}
	o := store.NewOnce(caller, c.Method()+" "+c.Path(), key, body())
	if done, err := p.replay(c, o); done || err != nil {
		return err
	}
	c.SetUserContext(store.WithOnce(c.UserContext(), o))
	err := next()
	if fault.Of(err) == fault.Exists { // another request with the key was faster
		if done, err := p.replay(c, o); done || err != nil {
			return err
		}
	}
	if err != nil || c.Response().StatusCode() >= 300 {
		return err
	}
	if err := p.DB.Answered(c.UserContext(), o, c.Response().StatusCode(), string(c.Response().Header.ContentType()), c.Response().Body()); err != nil {
		p.Log.Warn("the answer to an idempotent request was not kept", "err", err) // what it did is kept; a retry names it
	}
	return nil
}

func (p *Portal) replay(c *fiber.Ctx, o store.Once) (bool, error) {
	r, err := p.DB.Replay(c.UserContext(), o)
	if err != nil || r == nil {
		return false, err
	}
	if !r.Done {
		return true, fault.New(fault.Conflict, "this request was carried out and its answer is not kept; it made %s", strings.Join(r.On, ", "))
	}
	c.Set("Idempotency-Replayed", "true")
	c.Set(fiber.HeaderContentType, r.Type)
	return true, c.Status(r.Status).Send(r.Answer)
}

// send answers with JSON, in which a list is never null.
func send(c *fiber.Ctx, status int, v any) error {
	body, err := json.Marshal(whole(reflect.ValueOf(v)).Interface())
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/json; charset=utf-8")
	return c.Status(status).Send(body)
}

// whole is a copy of v in which slices and maps that are nil are empty.
func whole(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range out.NumField() {
			if f := out.Field(i); f.CanSet() {
				f.Set(whole(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // bytes and raw JSON
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(whole(v.Index(i)))
		}
		return out
	case reflect.Map:
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, value := range v.Seq2() {
			out.SetMapIndex(key, whole(value))
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(whole(v.Elem()))
		return out
	}
	return v
}
