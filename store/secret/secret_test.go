package secret

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestSecretIsTypedAsPeopleTypeIt(t *testing.T) {
	hash := Hash("7K3M9-0QX41-ABCDE-FGH1J-KMN0PQ")
	for _, typed := range []string{
		"7K3M9-0QX41-ABCDE-FGH1J-KMN0PQ",
		"7k3m9 0qx41 abcde fgh1j kmn0pq",
		" 7K3M9–OQX4l–ABCDE–FGHiJ–KMNoPQ\n",
		"７Ｋ３Ｍ９０ｑｘ４１ａｂｃｄｅＦＧＨ１ＪＫＭＮ０ＰＱ",
	} {
		if !Match(typed, hash) {
			t.Errorf("%q does not match", typed)
		}
	}
}

func TestNothingMatchesAnEmptySecret(t *testing.T) {
	for _, typed := range []string{"", " ", "---", "\x00", "é", "7K3M9\x00", strings.Repeat("7", 1000), "null"} {
		for _, hash := range [][]byte{nil, {}, Hash(""), Hash("7K3M9")} {
			if Match(typed, hash) {
				t.Errorf("Match(%q, %x) holds", typed, hash)
			}
		}
	}
}

func TestSecretsAreLongAndNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		plain, hash := New()
		token, tokenHash := Token()
		switch {
		case len(Normal(plain)) != length || len(token) != length: // 130 bits
			t.Fatalf("%q or %q is too short", plain, token)
		case !Match(plain, hash) || !Match(token, tokenHash) || Match(plain, tokenHash):
			t.Fatalf("%q or %q does not match its hash", plain, token)
		case seen[plain] || seen[token]:
			t.Fatalf("%q or %q came twice", plain, token)
		case bytes.Contains(hash, []byte(Normal(plain))):
			t.Fatal("the hash holds the secret")
		}
		seen[plain], seen[token] = true, true
	}
}

func TestNumber(t *testing.T) {
	for range 100 {
		n := Number()
		if len(n) != 11 || NormalNumber(n) != n || NormalNumber(strings.ToLower(" "+strings.ReplaceAll(n, "-", " "))) != n {
			t.Fatalf("number %q is read as %q", n, NormalNumber(n))
		}
	}
	for _, no := range []string{"", "0", "7K3-M9Q", "7K3-M9Q-2X4-5", "7K3-M9Q-2X!", "7K3-M9Q-2XU"} {
		if got := NormalNumber(no); got != "" {
			t.Errorf("%q was read as the number %q", no, got)
		}
	}
}

func TestWordsCannotBeConfused(t *testing.T) {
	if len(words) < 1024 {
		t.Fatalf("only %d words", len(words))
	}
	if !slices.IsSorted(words) {
		t.Error("the words are not in order")
	}
	for i, a := range words {
		if len(a) < 3 || len(a) > 8 || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q is not a plain word of three to eight letters", a)
		}
		for _, b := range words[i+1:] {
			if near(a, b) {
				t.Errorf("one letter makes %q of %q", a, b)
			}
		}
	}
}

// near says whether one letter changed, added, left out or swapped with its neighbour makes b of a.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i >= len(a)-1 || a[i+1:] == b[i+1:] {
		return true
	}
	return a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

func TestPhraseIsTwoWords(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		two := strings.Fields(Phrase())
		if len(two) != 2 || two[0] == two[1] || !slices.Contains(words, two[0]) || !slices.Contains(words, two[1]) {
			t.Fatalf("phrase %q", two)
		}
		seen[strings.Join(two, " ")] = true
	}
	if len(seen) < 195 {
		t.Errorf("200 phrases, only %d different", len(seen))
	}
}

func FuzzNormal(f *testing.F) {
	f.Add("7K3M9-0QX41")
	f.Add("é\x00")
	f.Fuzz(func(t *testing.T, typed string) {
		n := Normal(typed)
		if strings.Trim(n, digits) != "" {
			t.Errorf("Normal(%q) = %q", typed, n)
		}
		if Normal(n) != n {
			t.Errorf("Normal(%q) is not Normal of itself", n)
		}
		NormalNumber(typed)
	})
}
