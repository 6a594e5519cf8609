package comms

import (
	"strings"

	"lifeline/store"
	"lifeline/store/fault"
)

// Incoming is a text message that somebody sent us.
type Incoming struct {
	Ref     string // the provider's id of it
	From    string // number
	Text    string
	Media   int     // pictures and the like that came with it
	Keyword Keyword // that the provider has seen to itself; "": none
}

// Keyword is what a text of one word asks of everybody who sends to many.
type Keyword string

// The keywords (CTIA Messaging Principles and Best Practices; the words of the provider's own defaults among them).
const (
	NoKeyword Keyword = ""
	Stop      Keyword = "stop"
	Start     Keyword = "start"
	Help      Keyword = "help"
)

// keywords are whole messages. What people also say in a talk, such as yes, is not among them: it means something only to who is opted out.
var keywords = map[string]Keyword{
	"stop": Stop, "stopall": Stop, "unsubscribe": Stop, "cancel": Stop, "end": Stop, "quit": Stop, "optout": Stop, "revoke": Stop,
	"stopp": Stop, "arret": Stop, "arrêt": Stop, "alto": Stop, "baja": Stop, "parar": Stop, "td": Stop, "退订": Stop, "退訂": Stop, "停止": Stop, "配信停止": Stop, "ストップ": Stop,
	"start": Start, "unstop": Start, "subscribe": Start, "订阅": Start, "訂閱": Start, "配信再開": Start, "再開": Start,
	"help": Help, "info": Help, "hilfe": Help, "aide": Help, "ayuda": Help, "帮助": Help, "幫助": Help, "ヘルプ": Help,
}

// KeywordOf reads a text that is nothing but a keyword, in any case and with the marks that people put around it.
func KeywordOf(text string) Keyword {
	return keywords[strings.ToLower(strings.Trim(strings.TrimSpace(text), " .!?。！？\"'“”「」"))]
}

// OptOutNumber notes on every contact with a number that its owner wants no more texts, and says how many there are. A subscription by text ends.
func (r *Room) OptOutNumber(tx *store.Tx, number, reason string) (int, error) {
	if err := endSubscriptionOf(tx, ChannelSMS, number); err != nil {
		return 0, err
	}
	return r.eachWith(tx, number, func(contact string) error {
		return r.Book.OptOut(tx, contact, ChannelSMS, number, reason)
	})
}

// OptInNumber takes that back.
func (r *Room) OptInNumber(tx *store.Tx, number string) (int, error) {
	return r.eachWith(tx, number, func(contact string) error {
		return r.Book.OptIn(tx, contact, ChannelSMS, number)
	})
}

func (r *Room) eachWith(tx *store.Tx, number string, do func(contact string) error) (n int, err error) {
	have, err := r.Book.ByAddress(tx, ChannelSMS, number)
	if err != nil {
		return 0, err
	}
	for _, who := range have {
		err := do(who.ID)
		if fault.Of(err) == fault.NotFound { // the address was taken off meanwhile
			continue
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
