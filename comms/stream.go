package comms

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Stream is a part of an incident's work with one owner and a log of its own. Its lines are lines of the incident's log that name the stream, so that they are
// read there as well, in their order.
type Stream struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Owner    string     `json:"owner"` // id of staff
	State    string     `json:"state"` // open, done
	OpenedBy string     `json:"opened_by"`
	OpenedAt time.Time  `json:"opened_at"`
	Word     string     `json:"word"` // the last one of its log; "": none yet
	WordBy   string     `json:"word_by"`
	WordAt   *time.Time `json:"word_at"`
	DoneAt   *time.Time `json:"done_at"`
}

// StreamDone is the state of a stream beside [Open].
const StreamDone = "done"

// StreamDue is the promise that an open stream of a grave incident has a word as often as its core team meets: one that is silent makes no progress that anybody knows of.
const StreamDue = "stream"

const (
	mostStreams   = 20 // of an incident, which keeps them in its record
	mostStreamLog = 500
)

// StreamForm is what is said of a stream; what is nil stays.
type StreamForm struct {
	Name  *string `json:"name"`
	Owner *string `json:"owner"` // that she is one of the staff is the caller's to see
	State *string `json:"state"`
	Word  string  `json:"word"`
}

func (form StreamForm) on(s Stream) Stream {
	takeTyped(typed{form.Name, &s.Name}, typed{form.Owner, &s.Owner}, typed{form.State, &s.State})
	return s
}

func (s Stream) bad(in Incident) (f []fault.Field) {
	f = prose{most: 100, required: true}.bad(f, "name", s.Name)
	f = lineProse.bad(f, "owner", s.Owner)
	f = oneOf(f, "state", s.State, Open, StreamDone)
	if slices.ContainsFunc(in.Streams, func(have Stream) bool { return have.ID != s.ID && strings.EqualFold(have.Name, s.Name) }) {
		f = append(f, wrong("name", "is a stream of this incident already"))
	}
	return f
}

func (in Incident) stream(id string) (int, error) {
	i := slices.IndexFunc(in.Streams, func(s Stream) bool { return s.ID == id })
	if i < 0 {
		return i, fault.New(fault.NotFound, "this incident has no stream %.40q", id)
	}
	return i, nil
}

// streamOwner is who has a stream; nobody where there is none.
func (in Incident) streamOwner(id string) (all []Post) {
	if i, err := in.stream(id); err == nil {
		all = append(all, Post{Person: in.Streams[i].Owner})
	}
	return all
}

// OpenStream begins a part of the work; its owner is told.
func (r *Room) OpenStream(ctx context.Context, by, incident, name, owner string) (s Stream, err error) {
	_, err = r.change(ctx, store.Act{By: by, Verb: "incident.stream"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		if err := in.notClosed(); err != nil {
			return in, err
		}
		s = StreamForm{Name: &name, Owner: &owner}.on(Stream{ID: partID(), State: Open, OpenedBy: by, OpenedAt: tx.Now()})
		f := s.bad(in)
		if len(in.Streams) >= mostStreams {
			f = append(f, wrong("name", "is one too many: an incident has %d streams", mostStreams))
		}
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if err := r.mayHave(tx, in, "owner", s.Owner); err != nil {
			return in, err
		}
		in.Streams = append(slices.Clone(in.Streams), s)
		if err := r.noteStream(tx, id, by, "stream_opened", s, s.Owner); err != nil {
			return in, err
		}
		return in, r.streamPasses(tx, id, by, in, s)
	})
	return s, err
}

// ChangeStream writes a word into a stream's log, hands the stream over, or ends it or opens it again; the last two say what came of it, or why.
func (r *Room) ChangeStream(ctx context.Context, by, incident, stream string, form StreamForm) (s Stream, err error) {
	_, err = r.change(ctx, store.Act{By: by, Verb: "incident.stream_change"}, incident, 0, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		i, err := in.stream(stream)
		if err != nil {
			return in, err
		}
		was := in.Streams[i]
		s = form.on(was)
		word := strings.TrimSpace(form.Word)
		f := s.bad(in)
		f = prose{most: 2000, lines: true, required: s.State != was.State || s == was}.bad(f, "word", word)
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if s.Owner != was.Owner {
			if err := r.mayHave(tx, in, "owner", s.Owner); err != nil {
				return in, err
			}
		}
		if s.State == Open {
			if err := in.notClosed(); err != nil {
				return in, err
			}
		}
		if was.State == StreamDone && s.State == StreamDone && word != "" {
			return in, fault.New(fault.Conflict, "this stream is done: open it again to write into it")
		}
		if word != "" {
			now := tx.Now()
			s.Word, s.WordBy, s.WordAt = word, by, &now
		}
		if err := r.noteStreamChanges(tx, id, by, was, s, word); err != nil {
			return in, err
		}
		in.Streams = slices.Clone(in.Streams)
		if s.DoneAt = was.DoneAt; s.State == Open {
			s.DoneAt = nil
		} else if s.DoneAt == nil {
			now := tx.Now()
			s.DoneAt = &now
		}
		in.Streams[i] = s
		switch {
		case s.State == StreamDone:
			return in, r.keep(tx, s.ID, StreamDue, by)
		case s.Owner != was.Owner:
			return in, r.streamPasses(tx, id, by, in, s)
		}
		return in, r.streamPromise(tx, id, in, s)
	})
	return s, err
}

// noteStreamChanges puts into the log what became of a stream.
func (r *Room) noteStreamChanges(tx *store.Tx, id, by string, was, to Stream, word string) error {
	if to.Name != was.Name {
		if err := r.noteStream(tx, id, by, "stream_named", to, was.Name); err != nil {
			return err
		}
	}
	if to.Owner != was.Owner {
		if err := r.noteStream(tx, id, by, "stream_owner", to, was.Owner+" → "+to.Owner); err != nil {
			return err
		}
	}
	what := "stream_word"
	switch {
	case to.State == was.State && word == "":
		return nil
	case to.State == StreamDone && was.State == Open:
		what = "stream_done"
	case to.State == Open && was.State == StreamDone:
		what = "stream_reopened"
	}
	return r.noteStream(tx, id, by, what, to, word)
}

func (r *Room) noteStream(tx *store.Tx, incident, by, what string, s Stream, text string) error {
	return entries.Put(tx, entries.NewID(), Entry{Incident: incident, At: tx.Now(), By: by, What: what, Text: s.Name + ": " + cmp.Or(text, "-"), Stream: s.ID}, 0)
}

// streamPasses tells whoever has a stream now, unless she took it herself, and gives her the whole time for a word.
func (r *Room) streamPasses(tx *store.Tx, id, by string, in Incident, s Stream) error {
	if s.Owner != by {
		if err := r.callAll(tx, id, in, []Post{{Person: s.Owner}}); err != nil {
			return err
		}
	}
	return r.streamPromise(tx, id, in, s)
}

// streamPromise promises the next word of an open stream. Nobody is woken for an incident that is not grave.
func (r *Room) streamPromise(tx *store.Tx, id string, in Incident, s Stream) error {
	if !grave(in.Severity) {
		return r.Withdraw(tx, s.ID, StreamDue)
	}
	return r.Move(tx, Deadline{What: StreamDue, Of: s.ID, Incident: id, Title: s.Name, Page: workPage(id, s.ID), Due: tx.Now().Add(r.Policy.Meeting)})
}

// streamsPromise begins or ends the promises of the open streams where an incident has become grave, or is so no longer.
func (r *Room) streamsPromise(tx *store.Tx, id string, was, in Incident) error {
	if grave(was.Severity) == grave(in.Severity) {
		return nil
	}
	for _, s := range in.Streams {
		if s.State != Open {
			continue
		}
		if err := r.streamPromise(tx, id, in, s); err != nil {
			return err
		}
	}
	return nil
}

// endStreams ends the streams of an incident that closes.
func (r *Room) endStreams(tx *store.Tx, id, by string, to *Incident) error {
	to.Streams = slices.Clone(to.Streams)
	for i, s := range to.Streams {
		if s.State != Open {
			continue
		}
		now := tx.Now()
		to.Streams[i].State, to.Streams[i].DoneAt = StreamDone, &now
		if err := r.Withdraw(tx, s.ID, StreamDue); err != nil {
			return err
		}
		if err := entries.Put(tx, entries.NewID(), Entry{Incident: id, At: now, By: by, What: "stream_ended", Text: s.Name, Stream: s.ID}, 0); err != nil {
			return err
		}
	}
	return nil
}

// StreamLog is the newest lines of a stream's log, oldest first, at most 500; of all streams together with "".
func (r *Room) StreamLog(ctx context.Context, incident, stream string) (all []store.Rec[Entry], err error) {
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		all = nil
		in, err := findIncident(tx, incident)
		if err != nil {
			return err
		}
		if stream != "" {
			if _, err := in.Value.stream(stream); err != nil {
				return err
			}
		}
		for rec, err := range entries.Scan(tx, store.Query{Index: "incident", Equal: []any{in.ID}, Reverse: true}) {
			if err != nil {
				return err
			}
			if of := rec.Value.Stream; of != "" && (stream == "" || of == stream) {
				if all = append(all, rec); len(all) == mostStreamLog {
					break
				}
			}
		}
		slices.Reverse(all)
		return nil
	})
	return all, err
}
