package desk

import (
	"bytes"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of files. Only pictures are ever shown, drawn anew; everything else is handed out as a download.
const (
	KindPicture  = "picture"  // PNG, JPEG, GIF, WebP
	KindDocument = "document" // PDF, plain text, office files
	KindMedia    = "media"    // sound and video
	KindArchive  = "archive"
	KindActive   = "active"  // what a browser could run: HTML, SVG, XML, scripts
	KindProgram  = "program" // what a machine could run
	KindOther    = "other"
)

var fileKinds = []string{KindPicture, KindDocument, KindMedia, KindArchive, KindActive, KindProgram, KindOther}

// sniffed is how many bytes of a file are looked at.
const sniffed = 4096

// octets is the media type of what we do not name, executable of what a machine could run.
const (
	octets     = "application/octet-stream"
	executable = "application/x-executable"
)

// byName are the kinds that a name gives away and content does not. A name can make a file more dangerous, never less.
var byName = map[string]string{
	".exe": KindProgram, ".dll": KindProgram, ".com": KindProgram, ".scr": KindProgram, ".msi": KindProgram, ".bat": KindProgram, ".cmd": KindProgram,
	".ps1": KindProgram, ".vbs": KindProgram, ".vbe": KindProgram, ".jse": KindProgram, ".wsf": KindProgram, ".wsh": KindProgram, ".hta": KindProgram,
	".lnk": KindProgram, ".pif": KindProgram, ".cpl": KindProgram, ".jar": KindProgram, ".apk": KindProgram, ".app": KindProgram, ".reg": KindProgram,
	".iso": KindProgram, ".img": KindProgram, ".vhd": KindProgram, ".url": KindProgram, ".desktop": KindProgram, ".sh": KindProgram,
	".html": KindActive, ".htm": KindActive, ".xhtml": KindActive, ".shtml": KindActive, ".mht": KindActive, ".mhtml": KindActive, ".svg": KindActive,
	".svgz": KindActive, ".xml": KindActive, ".xsl": KindActive, ".js": KindActive, ".mjs": KindActive, ".swf": KindActive, ".php": KindActive,
	".docx": KindDocument, ".xlsx": KindDocument, ".pptx": KindDocument, ".odt": KindDocument, ".ods": KindDocument, ".odp": KindDocument,
}

// endings are those that fit what content was found to be; a type that is not here fits any.
var endings = map[string][]string{
	"image/png": {".png"}, "image/jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "image/gif": {".gif"}, "image/webp": {".webp"},
	"application/pdf": {".pdf"}, "application/zip": {".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"},
}

// programs begin like this: MZ, ELF, Mach-O in its four forms, a script with an interpreter, a Windows shortcut.
var programs = [][]byte{[]byte("MZ"), []byte("\x7fELF"), {0xFE, 0xED, 0xFA, 0xCE}, {0xFE, 0xED, 0xFA, 0xCF}, {0xCE, 0xFA, 0xED, 0xFE}, {0xCF, 0xFA, 0xED, 0xFE},
	{0xCA, 0xFE, 0xBA, 0xBE}, []byte("#!"), {0x4C, 0, 0, 0, 0x01, 0x14, 0x02, 0}}

var archives = [][]byte{[]byte("7z\xBC\xAF\x27\x1C"), []byte("\xFD7zXZ\x00"), []byte("BZh"), {0x28, 0xB5, 0x2F, 0xFD}}

// KindOf finds out by its first bytes, and what its name gives away, what a file is: its kind and media type. What the
// sender declares is not asked.
func KindOf(name string, head []byte) (kind, media string) {
	begins := func(marks [][]byte) bool {
		return slices.ContainsFunc(marks, func(m []byte) bool { return bytes.HasPrefix(head, m) })
	}
	switch sniff, _, _ := strings.Cut(http.DetectContentType(head), ";"); {
	case begins(programs):
		media = executable
	case begins(archives):
		media = "application/x-compressed"
	case sniff == "text/plain" && bytes.Contains(bytes.ToLower(head), []byte("<svg")):
		media = "image/svg+xml"
	case sniff == "application/x-gzip", sniff == "application/x-rar-compressed":
		media = "application/x-compressed"
	default:
		media = sniff
	}
	return kindOfType(name, media), media
}

// handedOut is the media type that a browser may hear of: what it could run is only bytes to it.
func handedOut(kind, media string) string {
	switch {
	case kind == KindProgram, kind == KindActive:
		return octets
	case kind == KindPicture, media == "application/pdf", media == "application/zip", media == "application/x-compressed":
		return media
	case strings.HasPrefix(media, "audio/"), strings.HasPrefix(media, "video/"):
		return media
	case kind == KindDocument && media == "text/plain":
		return media
	}
	return octets
}

func kindOfType(name, media string) string {
	ending := strings.ToLower(path.Ext(name))
	named := byName[ending]
	if named == KindProgram || named == KindActive {
		return named
	}
	switch {
	case media == executable:
		return KindProgram
	case media == "image/png", media == "image/jpeg", media == "image/gif", media == "image/webp":
		return KindPicture
	case media == "application/pdf", media == "text/plain":
		return KindDocument
	case strings.HasPrefix(media, "audio/"), strings.HasPrefix(media, "video/"):
		return KindMedia
	case media == "application/zip" && named == KindDocument:
		return KindDocument
	case media == "application/zip", media == "application/x-compressed":
		return KindArchive
	case media == "text/html", media == "text/xml", media == "image/svg+xml":
		return KindActive
	}
	return KindOther
}

// fits says whether a name promises what the content is.
func fits(name, media string) bool {
	ending := strings.ToLower(path.Ext(name))
	if all, known := endings[media]; known {
		return slices.Contains(all, ending)
	}
	for _, all := range endings { // it is none of these, and must not say so
		if slices.Contains(all, ending) && byName[ending] == "" {
			return false
		}
	}
	return true
}

// maxFileName is in bytes: every file system takes it.
const maxFileName = 120

// FileName makes a name that is safe to show, to write into a header and to keep on any machine of what a stranger's file calls itself: the
// last part of a path, without what steers a terminal, a reader or a shell, no hidden file, no device, at most 120 bytes with its ending.
func FileName(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u061C', r >= 0x2028 && r <= 0x2029, r >= 0x200B && r <= 0x200D, r >= 0x2060 && r <= 0x2064, unicode.Is(unicode.Co, r):
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return clean(r)
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Trim(s, ". ")
	stem, ending := s, path.Ext(s)
	if len(ending) > 16 {
		ending = ""
	}
	stem = strings.TrimSuffix(stem, ending)
	for len(stem)+len(ending) > maxFileName {
		_, n := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-n]
	}
	stem = strings.TrimRight(stem, ". ")
	if first, _, _ := strings.Cut(strings.ToUpper(stem), "."); device(first) {
		stem = "_" + stem
	}
	if stem == "" {
		stem = "file"
	}
	return stem + ending
}

// device says whether Windows takes a name, whatever its ending, for a device.
func device(name string) bool {
	name = strings.TrimSpace(name)
	if slices.Contains([]string{"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}, name) {
		return true
	}
	return len(name) == 4 && (strings.HasPrefix(name, "COM") || strings.HasPrefix(name, "LPT")) && name[3] >= '0' && name[3] <= '9'
}
