package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// everyChat is an update and a message as both chats get them, one field a line.
func everyChat(t *testing.T, locale string) string {
	t.Helper()
	var b bytes.Buffer
	for _, channel := range []string{Slack, Teams} {
		for _, name := range []string{"03_range", "12_figures_changed"} {
			s := named(name)
			fmt.Fprintf(&b, "==== %s, %s\n", channel, name)
			indent(t, &b, must(loaded.Update(channel, locale, s.update, s.vendor)).Text)
		}
		fmt.Fprintf(&b, "==== %s, %s\n", channel, MsgSubscribe)
		indent(t, &b, must(loaded.Message(channel, MsgSubscribe, locale, Subscribe{URL: "https://status.acme.example/s/x"}, acme)).Text)
	}
	return b.String()
}

func indent(t *testing.T, b *bytes.Buffer, text string) {
	t.Helper()
	if err := json.Indent(b, []byte(text), "", " "); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	b.WriteByte('\n')
}

// chatParts are the texts of a card, and whether each is one in which marks are orders.
func chatParts(t *testing.T, channel, text string) (header string, parts []string) {
	t.Helper()
	var slack struct {
		Blocks []struct {
			Type     string
			Text     *struct{ Text string }
			Elements []struct{ Text any }
		}
	}
	var teams struct {
		Attachments []struct {
			Content struct{ Body []struct{ Text string } }
		}
	}
	into := any(&slack)
	if channel == Teams {
		into = &teams
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, b := range slack.Blocks {
		switch {
		case b.Type == "header":
			header = b.Text.Text
		case b.Text != nil:
			parts = append(parts, b.Text.Text)
		}
		for _, e := range b.Elements {
			parts = append(parts, fmt.Sprint(e.Text))
		}
	}
	for _, a := range teams.Attachments {
		for i, b := range a.Content.Body {
			if parts = append(parts, b.Text); i == 0 {
				header = b.Text
			}
		}
	}
	return header, parts
}

// Who sees no more than the notification of a correction knows that something is taken back, and of which incident.
func TestACardThatTakesBackSaysSoFirst(t *testing.T) {
	s := named("06_correction")
	for _, channel := range []string{Slack, Teams} {
		text := must(loaded.Update(channel, "en", s.update, s.vendor)).Text
		header, parts := chatParts(t, channel, text)
		if want := loaded.Catalog("en").T("mark.correction", s.update.Corrects); header != want || !strings.Contains(strings.Join(parts, "\n"), s.update.Incident.Title) {
			t.Errorf("%s: %q, want %q; %q", channel, header, want, parts)
		}
	}
}

// A card says every public fact of the update, keeps the limits of its program, and nothing that somebody wrote is read there as an order: no mention of
// everybody, no link, no mark.
func TestACardIsCompleteAndHarmless(t *testing.T) {
	orders := "<!channel> <@U024BE7LH> <https://evil.example|status> [status](https://evil.example) *bold* _it_ ~no~ `x` # head\n- item &lt;!here&gt;"
	for _, channel := range []string{Slack, Teams} {
		for _, words := range append([]string{orders}, hostile...) {
			u, v := victim(words)
			r := must(loaded.Update(channel, "ja", u, v))
			header, parts := chatParts(t, channel, r.Text)
			if n := utf8.RuneCountInString(header); n > 300 || channel == Slack && n > 150 || len(parts) > 48 || len(r.Text) > 27_000 {
				t.Errorf("%s of %.40q: a header of %d, %d parts, %d bytes", channel, words, n, len(parts), len(r.Text))
			}
			for _, p := range parts {
				if utf8.RuneCountInString(p) > 3000 {
					t.Errorf("%s of %.40q: a part of %d", channel, words, utf8.RuneCountInString(p))
				}
				for _, order := range []string{"<!", "<@", "<https://evil", "[status](https", "*bold*", "_it_", "<script", "\n# "} {
					if strings.Contains(p, order) && (channel == Teams || order[0] != '[') { // that is a link for one of them only
						t.Errorf("%s: %q is in %q", channel, order, p)
					}
				}
			}
		}
		s := named("03_range")
		facts := must(loaded.Facts("en", s.update, s.vendor))
		_, parts := chatParts(t, channel, must(loaded.Update(channel, "en", s.update, s.vendor)).Text)
		all := strings.Join(parts, "\n")
		for _, f := range facts {
			if f.Public() && !strings.Contains(all, f.Label) {
				t.Errorf("%s lacks %s: %s", channel, f.Key, all)
			}
		}
		for _, want := range []string{"12.7", "883", "https://status.acme.example/subscribe", "https://status.acme.example/verify"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s lacks %q", channel, want)
			}
		}
	}
}
