package comms

import "strings"

// Talk makes a message part of a conversation with one person, and brings her answer back to it.
type Talk struct {
	Of      string `json:"of"`                // id of what is talked about
	Root    string `json:"root"`              // what stands before the @ in the Message-ID that all its messages refer to
	Begins  bool   `json:"begins,omitempty"`  // it is the first, and has that id itself
	Answers string `json:"answers,omitempty"` // Message-ID of a mail of hers that it answers
	ReplyTo string `json:"reply_to,omitempty"`
}

// thread puts a message into the conversation. Each message's own id begins with the root, for some programs keep nothing of a thread but the id
// of the message that is answered.
func (t Talk) thread(m *Message, host string) {
	m.ReplyTo, m.Answers = t.ReplyTo, t.Answers
	if t.Root == "" {
		return
	}
	m.Root = t.Root + "@" + host
	if t.Begins {
		m.ID = m.Root
		return
	}
	own, _, _ := strings.Cut(m.ID, "@")
	m.ID = t.Root + "." + own + "@" + host
}
