package jira

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ticketrest"
)

func authorization(user, token string) http.Header {
	if user == "" {
		return http.Header{"Authorization": {"Bearer " + token}}
	}
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))}}
}

// message is what the site says of an error, and which of its limits was hit.
func message(h http.Header, body []byte) string {
	var b errorBody
	_ = json.Unmarshal(body, &b) // what cannot be read says nothing
	parts := slices.Clone(b.ErrorMessages)
	for _, field := range slices.Sorted(maps.Keys(b.Errors)) {
		parts = append(parts, field+": "+b.Errors[field])
	}
	for _, s := range []string{b.ErrorMessage, b.Message, b.Detail, h.Get("RateLimit-Reason")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "; ")
}

// retryAfter reads Retry-After or else X-RateLimit-Reset, a date, often without seconds.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d := ticketrest.RetryAfter(h, now); d > 0 {
		return d
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, h.Get("X-RateLimit-Reset")); err == nil {
			return min(max(at.Sub(now), time.Second), ticketrest.MaxRetryAfter)
		}
	}
	return 0
}
