package smtptest

import "strings"

// Refuse answers so to these recipients, and takes all others.
func Refuse(code int, enhanced [3]int, text string, to ...string) Script {
	return func(e Event) Answer {
		if e.Phase == Rcpt && among(e.To, to) {
			return Answer{Code: code, Enhanced: enhanced, Text: text}
		}
		return Answer{}
	}
}

// Greylist refuses the first n tries for each recipient with 451 4.7.1.
func Greylist(n int) Script {
	return func(e Event) Answer {
		if e.Phase == Rcpt && e.Try < n {
			return Answer{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "Greylisted, try again later"}
		}
		return Answer{}
	}
}

// At gives one answer in one phase, for these recipients or, when none is named, always.
func At(p Phase, a Answer, to ...string) Script {
	return func(e Event) Answer {
		if e.Phase == p && (len(to) == 0 || among(e.To, to)) {
			return a
		}
		return Answer{}
	}
}

func among(to string, list []string) bool {
	for _, s := range list {
		if strings.EqualFold(s, to) {
			return true
		}
	}
	return false
}
