package portal

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeline/store/fault"
	"lifeline/templates"
)

// Whatever a program sends that its request does not take is named, however deep it lies, and whether our rules refuse it or those of a time or a span.
func TestEveryValueThatCannotBeReadIsNamed(t *testing.T) {
	type inner struct {
		At   time.Time      `json:"at"`
		Loss templates.Span `json:"loss"`
	}
	type common struct {
		Reason string `json:"reason"`
	}
	type body struct {
		common
		At    time.Time          `json:"at"`
		Until *time.Time         `json:"until,omitempty"`
		Next  templates.Moment   `json:"next"`
		Sites templates.Count    `json:"sites"`
		Most  int                `json:"most"`
		On    bool               `json:"on"`
		Names []string           `json:"names"`
		Rows  []inner            `json:"rows"`
		By    map[string]float64 `json:"by"`
		inner string
	}
	const date = "must be an RFC 3339 time such as 2022-04-05T11:00:00Z"
	many := `{"rows":[` + strings.Repeat(`{"at":1},`, 40) + `{}]}`
	for sent, want := range map[string]string{
		`{"at":"tomorrow"}`:                      "at " + date,
		`{"at":5}`:                               "at " + date,
		`{"until":"2022-04-05"}`:                 "until " + date,
		`{"AT":"tomorrow"}`:                      "AT " + date,
		`{"next":"soon"}`:                        `next must be an RFC 3339 time, "not_known" or "none"`,
		`{"sites":-1}`:                           `sites must be a whole number from 0 to 2147483647 or "not_known"`,
		`{"most":"five"}`:                        "most must be a whole number, not string",
		`{"most":5.5}`:                           "most must be a whole number, not number 5.5",
		`{"on":"yes"}`:                           "on must be true or false, not string",
		`{"names":"Ann"}`:                        "names must be a list, not string",
		`{"names":["Ann",7]}`:                    "names[1] must be text, not number",
		`{"rows":[{},{"at":"noon"}]}`:            "rows[1].at " + date,
		`{"rows":[{"loss":7}]}`:                  "rows[0].loss must be an ISO 8601 duration such as PT5M",
		`{"rows":[{"when":7}]}`:                  "rows[0].when is not a field of this request",
		`{"by":{"a":1,"b":"x"}}`:                 "by.b must be a number, not string",
		`{"reason":7}`:                           "reason must be text, not number",
		`{"inner":"x"}`:                          "inner is not a field of this request",
		`{"at":"tomorrow","most":"x","what":1}`:  "at " + date + "; most must be a whole number, not string; what is not a field of this request",
		`{"at":"tomorrow"} {"at":1}`:             "at " + date,
		`[]`:                                     "the body must be an object, not array",
		``:                                       "the body is empty; it must be a JSON object",
		`{"at":`:                                 "the body is not valid JSON: unexpected EOF",
		`{"most":"x","most":1}`:                  "the body is not what this request takes",
		`{"` + strings.Repeat("x", 300) + `":1}`: strings.Repeat("x", 80) + " is not a field of this request",
		many:                                     strings.TrimSuffix(rows(20, date), "; "),
		`{"at":"2022-04-05T11:00:00Z","by":{},"rows":null,"until":null,"next":"none","reason":"","on":true}`: "",
	} {
		var e *fault.Error
		says := ""
		if err := decodeJSON([]byte(sent), new(body)); errors.As(err, &e) {
			says = e.Message
			var each []string
			for _, f := range e.Fields {
				each = append(each, f.Field+" "+f.Reason)
			}
			if each != nil {
				says = strings.Join(each, "; ")
			}
		}
		if says != want {
			t.Errorf("%.60s: %s\nwant: %s", sent, says, want)
		}
	}
}

func rows(n int, says string) (all string) {
	for i := range n {
		all += fmt.Sprintf("rows[%d].at %s; ", i, says)
	}
	return all
}
