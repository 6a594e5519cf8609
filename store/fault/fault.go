// Package fault holds the few kinds of error that every room speaks, so that one place (portal) can answer
// them and every caller can tell "try again" from "mend your input".
//
// Handle an error or return it; log it once; never show its text to a stranger unless it was made with
// [New], [Invalid] or one of their sisters, whose messages are written for the person who asked.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what a caller can do about an error.
type Kind string

// The kinds. Anything that is not a *Error is Internal.
const (
	Internal    Kind = "internal"     // our defect; strangers see only its reference
	Invalid     Kind = "invalid"      // the input: Fields says which part and why
	NotFound    Kind = "not_found"    // no such thing, or none that the caller may see
	Conflict    Kind = "conflict"     // somebody else was faster, or the state does not allow it
	Exists      Kind = "exists"       // a unique value is taken
	Stale       Kind = "stale"        // the version that the caller named is not the newest
	Fenced      Kind = "fenced"       // the lease is no longer the caller's
	Forbidden   Kind = "forbidden"    // the caller lacks the right
	Unknown     Kind = "unknown"      // a commit whose outcome nobody knows; safe to retry with the same idempotency key
	Unavailable Kind = "unavailable"  // try again later
	Permanent   Kind = "permanent"    // will fail again the same way
	TooLarge    Kind = "too_large"    // over a stated limit
	TooMany     Kind = "too_many"     // over a rate; try again later
	Unsupported Kind = "unsupported"  // a media type or encoding that is not taken
	Unauthentic Kind = "unauthorized" // nobody is signed in, or the token does not hold
)

// ErrFull marks, in its chain, an Unavailable error whose reason is that there is no room left to keep anything.
var ErrFull = errors.New("no room is left")

// Field names one part of the input and what is wrong with it.
type Field struct {
	Field  string `json:"field"`
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason"`
}

// Error is an error with a kind, a sentence for the person who asked, and the fields it speaks of.
type Error struct {
	Kind    Kind
	Message string
	Fields  []Field
	Wait    time.Duration // TooMany, Unavailable: when to try again; 0: soon
	Err     error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, f := range e.Fields {
		if i == 0 && e.Message != "" {
			b.WriteString(": ")
		} else if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Field + " " + f.Reason)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is compare by kind with the bare values below, such as store.ErrNotFound.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Err == nil && len(t.Fields) == 0 && t.Kind == e.Kind
}

// New makes an error of a kind with a sentence that its reader may see.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and says what was being done.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// BadField is an Invalid error about one field.
func BadField(field, format string, args ...any) *Error {
	return BadFields(Field{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// BadFields is an Invalid error about several fields; nil when there are none, so that a validation can
// collect and then return it.
func BadFields(fields ...Field) *Error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Message: "the input is not valid", Fields: fields}
}

// Of is the kind of err: that of the outermost *Error in its chain, Internal when there is none, "" for nil.
func Of(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
