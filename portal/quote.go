package portal

import "strings"

// part is a stretch of a message: what its writer says, or what she quotes.
type part struct {
	Text   string
	Quoted bool
}

// parts tells what somebody quotes from what she says, so that a page can fold it away: lines that begin with ">", as mail programs write them (RFC 3676
// section 4.5), and the line in front that names who wrote them. Nothing is left out: the parts, one behind the other, are the text. Where there is nothing but quotations
// nothing is folded.
func parts(text string) (all []part) {
	var said bool
	for _, line := range strings.SplitAfter(text, "\n") {
		if line == "" {
			continue
		}
		quoted := strings.HasPrefix(strings.TrimLeft(line, " "), ">")
		last := len(all) - 1
		switch {
		case last >= 0 && (all[last].Quoted == quoted || all[last].Quoted && strings.TrimSpace(line) == ""):
			all[last].Text += line
		case quoted && last >= 0:
			said, all[last].Text = cutIntroduction(all[last].Text, &line)
			if !said {
				all = all[:last]
			}
			all = append(all, part{line, true})
		default:
			all = append(all, part{line, quoted})
		}
	}
	for i := range all {
		if !all[i].Quoted && strings.TrimSpace(all[i].Text) != "" {
			return all
		}
	}
	return []part{{Text: text}}
}

// cutIntroduction moves the line that introduces a quotation, which ends with a colon, to the quotation. It says whether anything is left in front.
func cutIntroduction(said string, quotation *string) (left bool, rest string) {
	body := strings.TrimRight(said, " \n")
	at := strings.LastIndexByte(body, '\n') + 1
	if line := body[at:]; strings.HasSuffix(line, ":") || strings.HasSuffix(line, "：") {
		*quotation = said[at:] + *quotation
		said = said[:at]
	}
	return said != "", said
}
