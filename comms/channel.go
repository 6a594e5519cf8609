package comms

import (
	"context"
	"html"
	"strings"
	"time"
)

// Message is one message to one address, complete: a channel adds nothing to what it says.
type Message struct {
	Delivery string        // the delivery's key; stable, so retries carry the same identity
	To       string        // e-mail address or E.164 number
	Name     string        // the person's name, for the To header; may be empty
	Locale   string        // BCP 47
	Subject  string        // e-mail only
	Text     string        // e-mail's text part, or the whole SMS
	HTML     string        // e-mail only
	Ending   Ending        // e-mail only: behind both, what is the person's own; zero: nothing is
	ID       string        // Message-ID without angle brackets, stable over retries
	Root     string        // Message-ID of the thread that it belongs to for this person; "" or equal to ID when this is the first
	Answers  string        // Message-ID of a mail of hers that it answers, as she wrote it; ""
	ReplyTo  string        // address at which an answer is taken; "": the sender's
	Return   string        // address to which it comes back when it cannot be delivered; "": the sender's
	Auto     string        // Auto-Submitted (RFC 3834): auto-generated or auto-replied
	List     string        // List-Id (RFC 2919), or ""
	Unsub    string        // https URL of one-click unsubscribe (RFC 8058), or ""
	Valid    time.Duration // useful life; an SMS is not worth sending after it; 0: no limit
	Callback string        // SMS: URL for status callbacks

	Secret    string // webhook: what it is signed with; "": it is not
	Challenge string // webhook: what the receiver may answer to say that it wants to be told; "": it is asked nothing
}

// Ending is the last passage of a mail, with an address in it that is the person's own. It stands apart from the words that everybody gets, so that a channel can make those
// once.
type Ending struct {
	Words string // that lead to Link: in plain text it stands on a line behind them
	Link  string
}

// Whole is the message with its ending in its words.
func (m Message) Whole() Message {
	e := m.Ending
	if e == (Ending{}) {
		return m
	}
	m.Ending = Ending{}
	m.Text = strings.TrimRight(m.Text, "\n") + "\n\n" + e.Words + "\n" + e.Link + "\n"
	if before, after, ok := strings.Cut(m.HTML, "</main>"); ok {
		m.HTML = before + `<p class="small"><a href="` + html.EscapeString(e.Link) + `">` + html.EscapeString(e.Words) + "</a></p>\n</main>" + after
	}
	return m
}

// Outcome is what became of one attempt.
type Outcome struct {
	State  State
	Reason string        // named: "smtp 550 5.1.1", "twilio 21610 opted out", "connection lost after data"
	Ref    string        // the provider's id of the message
	Wait   time.Duration // a wait the peer asked for; 0: our own backoff
	Gone   bool          // with Failed: there is nobody at this address, as the peer says
	Echoed bool          // with Sent: the receiver answered the message's challenge
}

// State is where a delivery stands.
type State string

// The states. Written means it went to a file: nobody was told.
const (
	Queued     State = "queued"
	Sending    State = "sending"
	Sent       State = "sent"       // the relay or provider has taken it
	Written    State = "written"    // to a file
	Delivered  State = "delivered"  // a callback said so
	Deferred   State = "deferred"   // failed for now, will be tried again
	Failed     State = "failed"     // will not be tried again
	Unknown    State = "unknown"    // taken or not, nobody knows
	Suppressed State = "suppressed" // opted out, or no longer to be told
	Superseded State = "superseded" // a newer update was sent instead
)

// Channel sends to one kind of address. Send is called from many goroutines, outside any transaction, and returns when the
// outcome is known or ctx ends. A temporary trouble is Deferred, a lost connection after the content is Unknown, all else that
// did not arrive Failed. It never panics and never blocks longer than its own timeouts.
type Channel interface {
	Name() string // "email", "sms", "webhook"
	Live() bool   // false: messages go to a file and nobody is told
	Send(ctx context.Context, m Message) Outcome
	Close() error
}

// Convoy is a channel to which several messages are less work together than one by one.
type Convoy interface {
	Channel
	Together() int                                             // how many it is glad of at once just now; 1: one by one
	SendAll(ctx context.Context, messages []Message) []Outcome // Send for each; what is left empty nobody knows
}
