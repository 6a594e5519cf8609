package comms

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/templates"
)

func TestFindings(t *testing.T) {
	type S = templates.Statement
	set := figures([]Row{{Site: "1", Account: "a", State: Lost}, {Site: "2", Account: "a", State: Lost}, {Site: "3", Account: "a", State: Lost}, {Site: "4", Account: "b", State: Lost}}, noon, 0)
	before := func(s S) past { return past{same: []Update{{Number: 5, Statement: s, Figures: &set, People: 10}}} }
	grown := set
	grown.Sites.Total = 5
	for name, c := range map[string]struct {
		mend  func(*S)
		where func(*situation)
		want  []string
	}{
		"nothing to say":             {func(*S) {}, nil, nil},
		"a missing field":            {func(s *S) { s.Headline = "" }, nil, []string{"error headline missing"}},
		"an older word on its way":   {func(*S) {}, func(k *situation) { k.Behind = []int{5} }, []string{"warning channels overtakes"}},
		"the same again":             {func(*S) {}, func(k *situation) { k.Past = before(whole(noon)) }, []string{"error what_happened nothing_new"}},
		"the same, later and wider":  {func(s *S) { s.NextUpdateBy.At = noon.Add(2 * time.Hour); s.Audience = "public" }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"error what_happened nothing_new"}},
		"the same in capitals":       {func(s *S) { s.Headline = "A  SCRIPT deleted sites " }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"error what_happened nothing_new"}},
		"the same, and so said":      {func(s *S) { s.NoChange, s.Doing = true, []string{"Batch 2."} }, func(k *situation) { k.Past = before(whole(noon)) }, nil},
		"another word":               {func(s *S) { s.Known = append(s.Known, "No attack.") }, func(k *situation) { k.Past = before(whole(noon)) }, nil},
		"no change, and a new phase": {func(s *S) { s.NoChange, s.Doing, s.Phase = true, []string{"x"}, Monitoring }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"warning no_change changed"}},
		"the ledger moved": {func(*S) {}, func(k *situation) {
			b := before(whole(noon))
			moved := set
			moved.Sites.Restored = 1
			b.same[0].Figures, k.Past = &moved, b
		}, nil},
		"the ledger did not": {func(*S) {}, func(k *situation) {
			b := before(whole(noon))
			same := set
			same.AsOf = noon.Add(-time.Hour)
			b.same[0].Figures, k.Past = &same, b
		}, []string{"error what_happened nothing_new"}},
		"another count":         {func(*S) {}, func(k *situation) { k.Figures = &grown }, []string{"warning affected.sites differs_from_ledger"}},
		"a count that is known": {func(s *S) { s.Affected.Customers = templates.Count{State: templates.CountUnknown} }, nil, []string{"warning affected.customers differs_from_ledger"}},
		"no set":                {func(*S) {}, func(k *situation) { k.Figures = nil }, nil},
		"late":                  {func(s *S) { s.NextUpdateBy.At = noon.Add(2*time.Hour + 1) }, nil, []string{"warning next_update_by late_promise"}},
		"late for a P1 no more": {func(s *S) { s.NextUpdateBy.At = noon.Add(3 * time.Hour) }, func(k *situation) { k.Severity = "P1" }, nil},
		"soon":                  {func(s *S) { s.WhatHappened = "It will be back soon." }, nil, []string{"warning what_happened vague"}},
		"sooner":                {func(s *S) { s.WhatHappened = "It broke sooner than expected." }, nil, nil},
		"尽快":                    {func(s *S) { s.WhatHappened = "我们正在尽快恢复。" }, nil, []string{"warning what_happened vague"}},
		"まもなく":                  {func(s *S) { s.Known = []string{"まもなく復旧"} }, nil, []string{"warning known[0] vague"}},
		"bald":                  {func(s *S) { s.WhatHappened = "Die Websites sind bald zurück." }, nil, []string{"warning what_happened vague"}},
		"bientôt":               {func(s *S) { s.WhatHappened = "Les sites reviennent bientôt." }, nil, []string{"warning what_happened vague"}},
		"lo antes posible":      {func(s *S) { s.WhatHappened = "Volverán lo antes posible." }, nil, []string{"warning what_happened vague"}},
		"em breve":              {func(s *S) { s.WhatHappened = "Os sites voltam em breve." }, nil, []string{"warning what_happened vague"}},
		"조만간":                   {func(s *S) { s.Known = []string{"사이트는 조만간 돌아옵니다"} }, nil, []string{"warning known[0] vague"}},
		"denied in German":      {func(s *S) { s.Headline = "Es gibt keinen Ausfall und kein Datenverlust" }, nil, []string{"error headline loss_denied"}},
		"a German share":        {func(s *S) { s.Known = []string{"12 Prozent sind zurück"} }, nil, []string{"error known[0] bare_share"}},
		"a promise":             {func(s *S) { s.WhatHappened = "It broke. We will restore every site. It hurts." }, nil, []string{"warning what_happened promise_without_time"}},
		"a promise with a time": {func(s *S) { s.WhatHappened = "We will restore the first sites by 15:30 UTC." }, nil, nil},
		"more to follow":        {func(s *S) { s.YourAction = "More details to follow" }, nil, []string{"warning your_action promise_without_time"}},
		"denied":                {func(s *S) { s.Known = []string{"There was No Data Loss."} }, nil, []string{"error known[0] loss_denied"}},
		"denied in Chinese":     {func(s *S) { s.Headline = "没有数据丢失" }, nil, []string{"error headline loss_denied"}},
		"a strange link":        {func(s *S) { s.YourAction = "Pay at https://evil.example/x" }, nil, []string{"error your_action foreign_link"}},
		"a strange link in a translation": {func(s *S) {
			s.Locales, s.LongBecause = []string{"en", "ja"}, []string{"Each is checked."}
			s.Translations = map[string]templates.Translation{"ja": {Headline: "a", WhatHappened: "b", YourAction: "c", LongBecause: []string{"https://evil.example/x"}}}
		}, nil, []string{"error translations.ja.long_because foreign_link"}},
		"a link in a signature": {func(s *S) { s.SignedBy = "Ann, www.evil.example" }, nil, []string{"error signed_by foreign_link"}},
		"a name like a link":    {func(s *S) { s.YourAction = "Sign in at status-example.com now" }, nil, []string{"warning your_action reads_as_link"}},
		"a full stop too close": {func(s *S) { s.Known = []string{"It is restored.It works."} }, nil, []string{"warning known[0] reads_as_link"}},
		"our link":              {func(s *S) { s.YourAction = "See https://status.example/incidents/1." }, nil, nil},
		"an estimate that passed": {func(s *S) {
			at := noon.Add(-time.Hour)
			s.Timeline = templates.Timeline{Kind: "at", Earliest: &at, Confidence: "low", FullScopeBy: s.Timeline.FullScopeBy}
		}, nil,
			[]string{"warning timeline estimate_passed"}},
		"nobody":                 {func(*S) {}, func(k *situation) { k.Crowd = Crowd{} }, []string{"warning audience nobody"}},
		"some not":               {func(*S) {}, func(k *situation) { k.Crowd.Unreachable = 3 }, []string{"warning channels unreachable"}},
		"not on page":            {func(s *S) { s.Channels = []string{"email"} }, nil, []string{"warning channels not_on_page"}},
		"webhook":                {func(s *S) { s.Channels = append(s.Channels, "webhook") }, nil, []string{"warning channels[3] nobody"}},
		"no component":           {func(s *S) { s.Scope.Products = []string{"wiki", "Mail"} }, nil, []string{"warning scope.products[1] unknown_component"}},
		"a bare share":           {func(s *S) { s.Known = []string{"53 % of customers are back."} }, nil, []string{"error known[0] bare_share"}},
		"a bare share in words":  {func(s *S) { s.WhatHappened = "About 12.5 percent are back." }, nil, []string{"error what_happened bare_share"}},
		"a bare share, Chinese":  {func(s *S) { s.Headline = "百分之五十三的客户已恢复" }, nil, []string{"error headline bare_share"}},
		"a bare share, Japanese": {func(s *S) { s.YourAction = "５３％です。53％です。" }, nil, []string{"error your_action bare_share"}},
		"a share of its time":    {func(s *S) { s.Known = []string{"112 of 883 sites (12.7 %) are back as of 14:00 UTC."} }, nil, nil},
		"a share of a machine":   {func(s *S) { s.Technical = "The queue was 90 % full." }, nil, []string{"warning technical bare_share"}},
		"no room for a pin": {func(s *S) { s.Locales = []string{"en", "ja"} }, func(k *situation) { k.Left = map[string][]string{"ja": {"support", "pinned"}} },
			[]string{"warning channels pinned_left_out"}},
		"no room for the loss": {func(*S) {}, func(k *situation) { k.Left = map[string][]string{"en": {"page", "data_loss"}} }, []string{"warning channels fact_left_out"}},
		"a count that changed": {func(s *S) { s.Affected.Sites = templates.Known(4) }, func(k *situation) {
			b := before(whole(noon))
			b.same[0].Statement.Affected.Sites = templates.Known(3)
			k.Past = b
		}, []string{"error affected.sites change_without_reason"}},
		"a count that changed, with why": {func(s *S) { s.Changed = map[string]string{"sites": "One was found late."} }, func(k *situation) {
			b := before(whole(noon))
			b.same[0].Statement.Affected.Sites = templates.Known(3)
			k.Past = b
		}, nil},
		"a count that is no more known": {func(s *S) { s.Affected.Customers = templates.Count{State: templates.CountUnknown} }, func(k *situation) { k.Past, k.Figures = before(whole(noon)), nil }, []string{"error affected.customers change_without_reason"}},
		"a count that is known now": {func(*S) {}, func(k *situation) {
			b := before(whole(noon))
			b.same[0].Statement.Affected.Sites.State = templates.CountUnknown
			k.Past = b
		}, nil},
		"a larger loss": {func(s *S) { most := templates.Span(time.Hour); s.DataLoss.AtMost = &most }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"error data_loss change_without_reason"}},
		"a date that is gone": {func(*S) {}, func(k *situation) {
			b, at := before(whole(noon)), noon.Add(time.Hour)
			b.same[0].Statement.Timeline = templates.Timeline{Kind: "at", Earliest: &at}
			k.Past = b
		}, []string{"error timeline change_without_reason"}},
		"a reason for nothing":  {func(s *S) { s.Known = []string{"x"}; s.Changed = map[string]string{"sites": "No."} }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"warning changed.sites not_changed"}},
		"whose sites":           {func(s *S) { s.Affected.OwnSites = "" }, nil, []string{"warning affected.own_sites missing"}},
		"an apology is no news": {func(s *S) { s.Apology = "standard" }, func(k *situation) { k.Past = before(whole(noon)) }, []string{"error what_happened nothing_new"}},
		"a picture by halves":   {func(s *S) { s.Picture.SiteList.State = "known" }, nil, []string{"error picture.site_list.confidence missing"}},
		"all handed out":        {func(s *S) { s.Phase = Resolved }, func(k *situation) { k.Figures = &set }, []string{"warning phase sites_open"}},
	} {
		s := whole(noon)
		c.mend(&s)
		policy := DefaultPolicy()
		policy.Components, policy.InternalNames, policy.Internal = []ComponentPolicy{{Name: "Wiki"}}, []string{"Blue Heron"}, []Direct{{Name: "Ann Lee"}, {Name: "Duty"}}
		k := situation{Rules: offered, Policy: policy, Severity: "P0", Hosts: []string{"status.example"}, Phone: "+12025550100", Figures: &set, Crowd: Crowd{People: 10}}
		if c.where != nil {
			c.where(&k)
		}
		var got []string
		for _, f := range findings(s, k) {
			got = append(got, f.Level+" "+f.Field+" "+f.Code)
			if f.Reason == "" || f.Mend == "" && f.Code != codeMissing {
				t.Errorf("%s: %+v says not why or not what to do", name, f)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestStrangeLinks(t *testing.T) {
	hosts := []string{"status.example", "docs.example:8443"}
	for text, want := range map[string]string{
		"status.example and Node.js, e.g. 12.5 p.m.": "", "请看evil.com登录": "evil.com", "st\u0430tus.co.uk": "st\u0430tus.co.uk", "https://evil.com/x a@evil.com": "", "Evil.COM.": "Evil.COM",
	} {
		if got := strings.Join(bareHosts(text, hosts), " "); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"see https://status.example/a?b=c, or call":    "",
		"see (https://STATUS.example/a).":              "",
		"https://docs.example:8443/x":                  "",
		"https://docs.example/x":                       "https://docs.example/x",
		"https://status.example@evil.example/":         "https://status.example@evil.example/",
		"https://status.example.evil.example/":         "https://status.example.evil.example/",
		"HTTPS://EVIL.EXAMPLE":                         "HTTPS://EVIL.EXAMPLE",
		"javascript://status.example/%0aalert(1)":      "javascript://status.example/%0aalert(1)",
		"ftp://status.example/":                        "ftp://status.example/",
		"go to www.evil.example now":                   "www.evil.example",
		"go to evil.example/login now":                 "evil.example/login",
		"status.example/incidents/1":                   "",
		"mailto:a@evil.example":                        "mailto:a@evil.example",
		"Node.js and version 1.2/3, and/or 5 p.m./day": "",
		"请看https://evil.example/登录":                    "https://evil.example/登录",
		"请看evil.example/登录":                            "evil.example/登录",
	} {
		if got := strings.Join(strangeLinks(text, hosts), " "); got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}
