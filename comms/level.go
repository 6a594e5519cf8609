package comms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
	"lifeline/templates"
)

// LevelWas is a severity that an incident had, and until when.
type LevelWas struct {
	Severity string    `json:"severity"`
	Until    time.Time `json:"until"`
}

// severityAt is the severity that holds at a moment, of one that was another before.
func severityAt(was []LevelWas, now string, at time.Time) string {
	for _, l := range was {
		if at.Before(l.Until) {
			return l.Severity
		}
	}
	return now
}

// Severities are the levels, the gravest first.
func Severities() []string { return slices.Clone(severities) }

// defaultLevels say, by level and language, what belongs to it. They are shown wherever somebody chooses one.
func defaultLevels() map[string]map[string]string {
	return map[string]map[string]string{
		"P0": {
			"en":    "The app or API cannot be reached at all; access is poor (98 % or less worldwide or in a main region); the main data centre is lost or badly slow; the main carrier loses 20 % of packets worldwide or 30 % in a region; any key system is poor; many customers have lost all access; it does not come back by itself.",
			"zh-CN": "应用或 API 完全无法访问；访问质量差（全球或主要地区可用率不高于 98%）；主数据中心中断或严重变慢；主要运营商全球丢包 20% 或某地区丢包 30%；任一关键系统状态差；大量客户完全失去访问；不会自动恢复。",
			"ja":    "アプリまたは API にまったく到達できない。接続が悪い（全世界または主要地域で 98 % 以下）。主データセンターが停止または著しく遅い。主要回線のパケット損失が全世界で 20 % または一地域で 30 %。主要システムの状態が悪い。多数のお客様がまったく利用できない。自動では復旧しない。",
		},
		"P1": {
			"en":    "The whole service is slow on and off, or ever slower; a key function is lost, such as reports; a key interface of a third party is down; the site of an enterprise customer or a reseller is down; customers' data is corrupted or lost.",
			"zh-CN": "全站间歇性或持续恶化的缓慢；关键功能（如报表）不可用；关键第三方接口中断；企业客户或经销商的站点中断；客户数据损坏或丢失。",
			"ja":    "全体が断続的に、または次第に遅くなっている。レポートなどの主要機能が使えない。第三者の主要な接続が停止。法人顧客または販売代理店のサイトが停止。お客様のデータが破損または消失。",
		},
		"P2": {
			"en":    "It is slow now and then, or in one place; a system has trouble that customers hardly notice; one customer is down or slowed.",
			"zh-CN": "偶发或局部缓慢；系统有问题但对客户没有明显影响；单个客户中断或变慢。",
			"ja":    "時折、または一部でだけ遅い。システムに問題があるがお客様への影響は明らかでない。一社だけが停止または低速。",
		},
		"P3": {
			"en":    "Users notice little or nothing; a question of procedure or a request for service; and whatever nobody has reviewed yet.",
			"zh-CN": "对用户几乎或完全没有影响；流程问题或服务请求；以及尚未评估的一切。",
			"ja":    "利用者への影響がほとんど、またはまったくない。手続きの質問やサービスの依頼。まだ誰も判定していないもの。",
		},
	}
}

func badLevels(f []fault.Field, levels map[string]map[string]string) []fault.Field {
	for _, level := range slices.Sorted(maps.Keys(levels)) {
		if !slices.Contains(severities, level) {
			f = append(f, wrong("comms.levels."+bounded(level), "must be one of %s", strings.Join(severities, ", ")))
		}
	}
	for _, level := range severities {
		if strings.TrimSpace(levels[level]["en"]) == "" {
			f = append(f, wrong("comms.levels."+level+".en", "is missing: it stands in for languages that have none"))
		}
		for locale, says := range levels[level] {
			if !slices.Contains(templates.Locales(), locale) {
				f = append(f, wrong("comms.levels."+level, "names %.40q, which is none of %s", locale, strings.Join(templates.Locales(), ", ")))
			}
			f = prose{most: 2000}.bad(f, fmt.Sprintf("comms.levels.%s.%s", level, bounded(locale)), says)
		}
	}
	return f
}

// LevelSays is what belongs to a level, in a language.
func (p Policy) LevelSays(level, locale string) string {
	if says := p.Levels[level][locale]; says != "" {
		return says
	}
	return p.Levels[level]["en"]
}

// Raise makes an incident graver, on somebody's judgement and for a reason that is kept. Lowering it is for whoever leads it. version is the one that the
// caller saw; 0 is any.
func (r *Room) Raise(ctx context.Context, by, incident string, version int64, severity, reason string) (store.Rec[Incident], error) {
	return r.change(ctx, store.Act{By: by, Verb: "incident.raise", Reason: reason}, incident, version, func(tx *store.Tx, id string, in Incident) (Incident, error) {
		f := Amend{Severity: &severity, Reason: reason}.bad(r.Policy, in, tx.Now())
		f = reasonProse.bad(f, "reason", reason)
		if len(f) > 0 {
			return in, fault.BadFields(f...)
		}
		if severity >= in.Severity {
			return in, fault.BadField("severity", "must be graver than %s", in.Severity)
		}
		to := in
		to.Severity = severity
		if err := r.becomesGrave(tx, id, by, in, &to); err != nil {
			return in, err
		}
		return to, r.noteChanges(tx, id, by, in, to, reason)
	})
}
