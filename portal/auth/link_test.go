package auth

import (
	"strings"
	"testing"
)

func TestALinkIsOpenedByItsOwnKeyAndPurposeAlone(t *testing.T) {
	open := func(name string) SigningKey {
		k, err := OpenKey(t.TempDir()+"/"+name, true)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ours, other := open("a"), open("b")
	token := ours.SignLink("confirm", "01h455vb4pex5vsknk084sn02q.1")
	if got, ok := ours.OpenLink("confirm", token); !ok || got != "01h455vb4pex5vsknk084sn02q.1" || len(token) > 60 {
		t.Errorf("%q %v %q", got, ok, token)
	}
	flipped := token[:len(token)-2] + map[bool]string{true: "B", false: "A"}[token[len(token)-2] == 'A'] + token[len(token)-1:]
	for what, wrong := range map[string]string{
		"another subject": strings.Replace(token, ".1.", ".2.", 1), "a changed signature": flipped, "none": "01h455vb4pex5vsknk084sn02q.1",
		"an empty one": "01h455vb4pex5vsknk084sn02q.1.", "nothing": "", "no base64": token + "!",
	} {
		if _, ok := ours.OpenLink("confirm", wrong); ok {
			t.Errorf("%s opens", what)
		}
	}
	if _, ok := ours.OpenLink("unsubscribe", token); ok {
		t.Error("it opens for another purpose")
	}
	if _, ok := other.OpenLink("confirm", token); ok {
		t.Error("another key opens it")
	}
}
