package comms

import (
	"fmt"
	"strings"
	"testing"
)

func TestAPageIsNamedByItsNoticeNumberAndChannel(t *testing.T) {
	for _, n := range []int{0, 7, 250, 999_999, 1_000_000} {
		if got, want := pageID("abc", n, ChannelSMS), fmt.Sprintf("pag_abc.%06d.s", n); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestAWordFromOutsideIsCutAndCleaned(t *testing.T) {
	long := strings.Repeat("x", 20)
	for in, want := range map[string]string{
		"": "", "smtp 2": "smtp 2", long[:7]: long[:7], long[:8]: long[:7], long: long[:7], "a\r\nb": "a  b", "a\x7fb": "a b", "äöüäöü": "äöüä",
	} {
		if got := clip(in, 10); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}
