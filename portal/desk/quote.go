package desk

import (
	"regexp"
	"strings"
	"unicode"
)

// Piece is a part of a message: what its writer wrote, or what she repeated of an earlier mail.
type Piece struct {
	Text   string
	Quoted bool
}

// Fold tells what somebody wrote from what her program repeated below or above it. Nothing is lost: the pieces put together are the text. It goes
// by the marks that programs set in our languages and their neighbours; what it does not know is taken for the writer's own.
func Fold(text string) []Piece {
	lines := strings.SplitAfter(text, "\n")
	quoted := make([]bool, len(lines))
	for i := 0; i < len(lines); i++ {
		switch {
		case marked(lines[i]):
			quoted[i] = true
		case endsFresh(lines, i):
			for j := i; j < len(lines); j++ {
				quoted[j] = true
			}
			i = len(lines)
		}
	}
	takeIntroductions(lines, quoted)
	return pieces(lines, quoted)
}

// pieces joins neighbours. Blank lines between two quoted lines are quoted; where nothing of her own is left, all of it is shown as hers.
func pieces(lines []string, quoted []bool) (all []Piece) {
	blank := func(i int) bool { return strings.TrimSpace(lines[i]) == "" }
	for i := range lines {
		if i > 0 && blank(i) && quoted[i-1] {
			next := i
			for next < len(lines) && blank(next) {
				next++
			}
			quoted[i] = next == len(lines) || quoted[next]
		}
	}
	own := false
	for i := range lines {
		own = own || !quoted[i] && !blank(i)
	}
	for i, line := range lines {
		if line == "" {
			continue
		}
		q := quoted[i] && own
		if n := len(all) - 1; n >= 0 && all[n].Quoted == q {
			all[n].Text += line
			continue
		}
		all = append(all, Piece{line, q})
	}
	return all
}

// marked says whether a line has the mark of a quotation (RFC 3676 4.5).
func marked(line string) bool {
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	return strings.HasPrefix(line, ">") || strings.HasPrefix(line, "＞")
}

// Above an earlier mail programs say whose it was: "On Tue, 5 Apr 2022 at 08:17, Ann wrote:", on one line or broken into up to three.
var introduction = regexp.MustCompile(`(?i)^\s*[^>].{10,400}(wrote|writes|schrieb|écrit|escribió|escreveu|ha scritto|написал|写道|寫道|写了|のメール|は書きました|は次のように書きました|작성|님이 작성)[^\n]{0,40}[:：]\s*$`)

// opener is how its first line begins: with a day, an address, or a word of our languages before one.
var opener = regexp.MustCompile(`(?i)^\s*(on|am|le|el|em|il|op|at|den|在|于|於|"|<|\d|[^,<>]{1,80}<[^>]+@)`)

const introductionLines = 3

// introduced says whether an introduction begins at a line, and how many lines it has. It names a day or an address, for "she wrote:" may be hers.
func introduced(lines []string, i int) int {
	if !opener.MatchString(lines[i]) {
		return 0
	}
	joined := ""
	for n := 1; n <= introductionLines && i+n <= len(lines) && strings.TrimSpace(lines[i+n-1]) != ""; n++ {
		joined += " " + strings.TrimSpace(lines[i+n-1])
		if len(joined) > 600 {
			return 0
		}
		if introduction.MatchString(joined) && strings.ContainsAny(joined, "0123456789@") {
			return n
		}
	}
	return 0
}

// takeIntroductions adds the introduction above a quoted passage to it. Right above a marked line any line does that ends with a colon.
func takeIntroductions(lines []string, quoted []bool) {
	for i := range lines {
		if quoted[i] {
			continue
		}
		n := introduced(lines, i)
		if n == 0 && i+1 < len(lines) && marked(lines[i+1]) && announces(lines[i]) {
			n = 1
		}
		next := i + n
		for next < len(lines) && n > 0 && strings.TrimSpace(lines[next]) == "" {
			next++
		}
		if n == 0 || next >= len(lines) || !quoted[next] {
			continue
		}
		for j := i; j < next; j++ {
			quoted[j] = true
		}
	}
}

// announces says whether a line ends as one does that names whose words follow.
func announces(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：")
}

var (
	divider = regexp.MustCompile(`(?i)^\s*[-_=*]{2,}\s*(original message|forwarded message|original appointment|ursprüngliche nachricht|weitergeleitete nachricht|message d'origine|message transféré|mensaje original|mensagem original|messaggio originale|原始邮件|原始郵件|转发的邮件|転送メッセージ|元のメッセージ|原文|원본 메시지)\s*[-_=*]*\s*$`)
	rule    = regexp.MustCompile(`^\s*_{20,}\s*$`)
	sender  = regexp.MustCompile(`(?i)^\s*\*?(from|von|de|da|发件人|寄件者|寄件人|差出人|送信者|보낸 사람)\s*\*?\s*[:：]`)
	dated   = regexp.MustCompile(`(?i)^\s*\*?(sent|date|gesendet|datum|envoyé|enviado|fecha|data|inviato|发送时间|发送日期|日期|傳送時間|送信日時|日時|날짜|보낸 날짜)\s*\*?\s*[:：]`)
)

// endsFresh says whether everything from a line on is an earlier mail that is not marked line by line.
func endsFresh(lines []string, i int) bool {
	line := lines[i]
	switch {
	case divider.MatchString(line):
		return true
	case rule.MatchString(line):
		next := i + 1
		for next < len(lines) && next < i+3 && strings.TrimSpace(lines[next]) == "" {
			next++
		}
		return next < len(lines) && heads(lines, next)
	case sender.MatchString(line):
		return heads(lines, i)
	}
	n := introduced(lines, i)
	if n == 0 {
		return false
	}
	for _, below := range lines[i+n:] {
		if strings.TrimSpace(below) != "" {
			return !marked(below) // else the marks say where it ends
		}
	}
	return false
}

// heads says whether the header of a mail is repeated at a line: whose it is, and within four lines of when.
func heads(lines []string, i int) bool {
	if !sender.MatchString(lines[i]) {
		return false
	}
	for _, line := range lines[i+1 : min(i+5, len(lines))] {
		if dated.MatchString(line) {
			return true
		}
	}
	return false
}
