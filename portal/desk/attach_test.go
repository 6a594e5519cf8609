package desk

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNamesOfFilesAreSafeToKeepAndToShow(t *testing.T) {
	for in, want := range map[string]string{
		"shot.png": "shot.png", "../../etc/passwd": "passwd", `C:\Users\ann\shot.png`: "shot.png", "/etc/shadow": "shadow", "..": "file", "": "file", ".htaccess": "htaccess",
		"a\x00b.png": "ab.png", "a\r\nSet-Cookie: x.png": "a Set-Cookie_ x.png", "invoice\u202egnp.exe": "invoicegnp.exe", "zero\u200bwidth.txt": "zerowidth.txt",
		"con": "_con", "NUL.txt": "_NUL.txt", "com1.log": "_com1.log", "console.txt": "console.txt", "a<b>|c?.txt": "a_b__c_.txt", "trailing. . ": "trailing",
		"日本語 レポート.pdf": "日本語 レポート.pdf", "\xff\xfe.txt": "\uFFFD.txt", "   ": "file",
		strings.Repeat("x", 300) + ".png": strings.Repeat("x", 116) + ".png", strings.Repeat("語", 100) + ".png": strings.Repeat("語", 38) + ".png",
	} {
		if got := FileName(in); got != want {
			t.Errorf("FileName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFileName(f *testing.F) {
	for _, seed := range []string{"a.png", "../x", `..\x`, "\u202e.exe", ".", "a. .", "NUL", strings.Repeat("語", 99), "a\x00.b", "x." + strings.Repeat("y", 200), "COM1", "_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := FileName(in)
		switch {
		case got == "" || got == "." || got == "..", len(got) > maxFileName, !utf8.ValidString(got):
			t.Errorf("FileName(%q) = %q", in, got)
		case strings.ContainsAny(got, "/\\\x00\r\n\"<>:|?*"), strings.HasPrefix(got, "."), strings.HasSuffix(got, "."), strings.TrimSpace(got) != got:
			t.Errorf("FileName(%q) = %q", in, got)
		case strings.ContainsFunc(got, unicode.IsControl), strings.ContainsFunc(got, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }):
			t.Errorf("FileName(%q) = %q steers its reader", in, got)
		case FileName(got) != got:
			t.Errorf("FileName(%q) = %q, and then %q", in, got, FileName(got))
		}
	})
}

// What a file is says its content; its name can make it more dangerous, never less.
func TestWhatAFileIs(t *testing.T) {
	const png, jpg, gif, webp = "\x89PNG\r\n\x1a\n\x00\x00", "\xff\xd8\xff\xe0\x00", "GIF89a\x01\x00", "RIFF\x24\x00\x00\x00WEBPVP8 "
	for _, c := range []struct{ name, head, kind, out string }{
		{"a.png", png, KindPicture, "image/png"}, {"a.txt", jpg, KindPicture, "image/jpeg"}, {"a", gif, KindPicture, "image/gif"}, {"a.webp", webp, KindPicture, "image/webp"},
		{"a.html", png, KindActive, octets}, {"a.exe", png, KindProgram, octets}, {"a.png", "MZ\x90\x00", KindProgram, octets}, {"a.txt", "\x7fELF\x02", KindProgram, octets},
		{"a.txt", "#!/bin/sh\n", KindProgram, octets}, {"a.png", "<!doctype html>", KindActive, octets}, {"a.txt", "  <script>", KindActive, octets},
		{"a.txt", "<?xml version=\"1.0\"?><svg>", KindActive, octets}, {"a.txt", "x <SVG onload=1>", KindActive, octets}, {"a.svg", "plain", KindActive, octets}, {"a.js", "alert(1)", KindActive, octets},
		{"a.txt", "plain words", KindDocument, "text/plain"}, {"a.log", "言葉", KindDocument, "text/plain"}, {"a.pdf", "%PDF-1.7", KindDocument, "application/pdf"},
		{"a.docx", "PK\x03\x04", KindDocument, "application/zip"}, {"a.zip", "PK\x03\x04", KindArchive, "application/zip"}, {"a.jar", "PK\x03\x04", KindProgram, octets}, {"a.7z", "7z\xBC\xAF\x27\x1C", KindArchive, "application/x-compressed"},
		{"a.bin", "\x00\x01\x02\x03", KindOther, octets}, {"a.mp4", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", KindMedia, "video/mp4"},
	} {
		kind, media := KindOf(c.name, []byte(c.head))
		if out := handedOut(kind, media); kind != c.kind || out != c.out {
			t.Errorf("%s, %q: %s, handed out as %s; want %s, %s", c.name, c.head, kind, out, c.kind, c.out)
		}
	}
}
