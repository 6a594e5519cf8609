package sms

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"lifeline/comms"
	"lifeline/store/fault"
)

// FileName is the file of JSON lines that file:DIR appends to.
const FileName = "sms.jsonl"

// Line is one message in that file.
type Line struct {
	At       time.Time `json:"at"`
	Delivery string    `json:"delivery"`
	To       string    `json:"to"`
	Locale   string    `json:"locale,omitempty"`
	Text     string    `json:"text"`
	Valid    int       `json:"validity_seconds,omitempty"`
	Callback string    `json:"status_callback,omitempty"`
}

// file appends messages to a file. Each is one write, so several processes may share it.
type file struct {
	dir string
	mu  sync.Mutex
	f   *os.File
}

func openFile(dir string) (*file, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "make the directory for SMS")
	}
	f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "open the file for SMS")
	}
	return &file{dir: dir, f: f}, nil
}

func (f *file) write(m comms.Message) comms.Outcome {
	line, err := json.Marshal(Line{
		At: time.Now().UTC(), Delivery: m.Delivery, To: m.To, Locale: m.Locale, Text: m.Text,
		Valid: int(m.Valid / time.Second), Callback: m.Callback,
	})
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		_, err = f.f.Write(append(line, '\n'))
	}
	if err != nil {
		return comms.Outcome{State: comms.Deferred, Reason: clean("write " + FileName + ": " + err.Error())}
	}
	return comms.Outcome{State: comms.Written, Ref: FileName}
}

func (f *file) check() error {
	if _, err := f.f.Write(nil); err != nil {
		return fault.Wrap(fault.Unavailable, err, "write to the file for SMS")
	}
	return nil
}

func (f *file) close() error { return f.f.Close() }
