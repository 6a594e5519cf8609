package page

import (
	"slices"
	"strings"
)

// SecurityHeaders are the headers that every answer of the portal carries, public pages and staff pages alike. Nothing is
// loaded from anywhere else, nothing runs or styles inline, nobody frames us, and nobody learns from where a reader came.
// Strict-Transport-Security (RFC 6797) is sent only when the public URL is https: on a plain demo it would lock a browser out.
func SecurityHeaders(https bool) [][2]string {
	headers := [][2]string{
		{"Content-Security-Policy", contentPolicy},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Cross-Origin-Opener-Policy", "same-origin"},
	}
	if https {
		headers = append(headers, [2]string{"Strict-Transport-Security", "max-age=31536000"})
	}
	return headers
}

// Framed are headers under which any site may show the answer in a frame.
func Framed(headers [][2]string) [][2]string {
	out := slices.Clone(headers)
	for i := range out {
		if out[i][0] == "Content-Security-Policy" {
			out[i][1] = strings.Replace(contentPolicy, "frame-ancestors 'none'", "frame-ancestors *", 1)
		}
	}
	return out
}

const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// How long strangers' caches may keep an answer. A page may be 10 s old while we live, and an hour when we do not answer:
// an old page with its time on it is better than none. Assets carry their hash in their name and never change.
const (
	cachePage  = "max-age=10, public, s-maxage=10, stale-while-revalidate=20, stale-if-error=3600"
	cacheAsset = "max-age=31536000, public, immutable"
	cacheDay   = "max-age=86400, public"
)
