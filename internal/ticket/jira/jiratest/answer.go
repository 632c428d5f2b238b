package jiratest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

func refuse(status int, messages ...string) doubletest.Answer {
	return doubletest.Answer{Status: status, Body: map[string]any{"errorMessages": messages, "errors": map[string]string{}}}
}

func refuseFields(errors map[string]string) doubletest.Answer {
	return doubletest.Answer{Status: http.StatusBadRequest, Body: map[string]any{"errorMessages": []string{}, "errors": errors}}
}

func ok(body any) doubletest.Answer { return doubletest.Answer{Status: http.StatusOK, Body: body} }

// rateLimited answers 429 with the headers of Jira Cloud.
func (s *Server) rateLimited(f doubletest.Fault) doubletest.Answer {
	a := refuse(http.StatusTooManyRequests, "Rate limit exceeded.")
	a.Header = http.Header{
		"X-Ratelimit-Reset": {s.o.Now().Add(f.RetryAfter).UTC().Format("2006-01-02T15:04Z")},
		"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"0"}, "Ratelimit-Reason": {"jira-burst-based"},
	}
	if !f.OwnHeader {
		a.Header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	return a
}

func unauthorized(error) doubletest.Answer {
	return doubletest.Answer{
		Status: http.StatusUnauthorized, Text: "Client must be authenticated to access this resource.",
		Header: http.Header{"Www-Authenticate": {`OAuth realm="https%3A%2F%2Fexample.atlassian.net"`}},
	}
}
