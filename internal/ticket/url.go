package ticket

import (
	"net/url"
	"strings"
)

// maxURL bounds a link in bytes. Longer ones are refused by some browsers and
// by Jira, and no page of ours needs it.
const maxURL = 2000

// SafeURL returns link in a form that any tracker can take, and whether it is
// fit to be a link at all: absolute, http, https or mailto, with a host, no
// credentials in it, and at most 2000 bytes.
func SafeURL(link string) (string, bool) {
	if link == "" || len(link) > maxURL || Clean(link) != link || strings.ContainsAny(link, " \t\n\\") {
		return "", false
	}
	u, err := url.Parse(link)
	if err != nil || u.User != nil {
		return "", false
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return "", false
		}
	case "mailto":
		if !strings.Contains(u.Opaque, "@") {
			return "", false
		}
	default:
		return "", false
	}
	s := u.String()
	return s, len(s) <= maxURL
}
