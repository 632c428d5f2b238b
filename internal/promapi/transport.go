package promapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/prometheus/client_golang/api"
)

// transport is the lower half of client_golang's client: it sends a request and
// reads the answer, bounded. Its errors are *Error without Op and Server.
type transport struct {
	api.Client // for URL
	http       *http.Client
	maxBytes   int64
	server     string
}

var _ api.Client = (*transport)(nil)

// Do sends a request. A response comes with an error when there was one, for
// client_golang sends a POST again as a GET where the server has no POST.
func (t *transport) Do(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	resp, err := t.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, nil, ofNetwork(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, t.maxBytes+1))
	if err != nil {
		return nil, nil, ofNetwork(ctx, fmt.Errorf("read answer: %w", err))
	}
	if int64(len(body)) > t.maxBytes {
		return resp, nil, &Error{
			Reason: ReasonTooLarge, Status: resp.StatusCode,
			Hint: "ask for fewer series or a shorter range",
			Err:  fmt.Errorf("the answer has more than %d bytes", t.maxBytes),
		}
	}
	if resp.StatusCode/100 != 2 {
		return resp, nil, ofStatus(resp, body)
	}
	if isHTML(resp, body) {
		return resp, nil, notPrometheus(req, resp)
	}
	return resp, body, nil
}

// ofStatus reads an answer that is not 2xx.
func ofStatus(resp *http.Response, body []byte) *Error {
	var answer struct {
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}
	isAPI := json.Unmarshal(body, &answer) == nil && answer.Error != ""
	if isAPI && answer.ErrorType != "" {
		if e := ofType(answer.ErrorType, answer.Error, resp.StatusCode); e.Reason != ReasonServer {
			return e
		}
	}
	text := answer.Error
	if !isAPI && !isHTML(resp, body) {
		text = string(body)
	}
	e := &Error{Status: resp.StatusCode, Reason: ReasonServer, Err: fmt.Errorf("HTTP status %s", resp.Status)}
	if text = quote(text); text != "" {
		e.Err = fmt.Errorf("HTTP status %s: %s", resp.Status, text)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		e.Reason, e.Hint = ReasonUnauthorized, "the server wants a login: check user, password or token"
	case http.StatusForbidden:
		e.Reason, e.Hint = ReasonForbidden, "the login is known but not allowed to do this: check its rights and the tenant header"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		e.Reason, e.Hint = ReasonNotFound, hintNotPrometheus
	case http.StatusTooManyRequests:
		e.Reason, e.Hint = ReasonTooMany, "the server limits how often it may be asked: ask less often"
	case http.StatusGatewayTimeout:
		e.Reason, e.Hint = ReasonTimeout, hintSlow
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		e.Reason, e.Hint = ReasonDown, "a proxy in front cannot reach the server, or it is starting"
	default:
		if resp.StatusCode/100 != 5 && !isAPI {
			e.Reason, e.Hint = ReasonNotPrometheus, hintNotPrometheus
		}
	}
	return e
}

func notPrometheus(req *http.Request, resp *http.Response) *Error {
	e := &Error{
		Reason: ReasonNotPrometheus, Status: resp.StatusCode, Hint: hintNotPrometheus,
		Err: errors.New("the answer is an HTML page, not that of a Prometheus API"),
	}
	if last := resp.Request; last != nil && last.URL.Host != req.URL.Host {
		e.Err = fmt.Errorf("%w (redirected to %s)", e.Err, last.URL.Host)
	}
	return e
}

// isHTML reports whether an answer is a page for people, whatever it is called.
func isHTML(resp *http.Response, body []byte) bool {
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && media == "text/html" {
		return true
	}
	return bytes.HasPrefix(bytes.TrimSpace(body[:min(len(body), 64)]), []byte("<"))
}
