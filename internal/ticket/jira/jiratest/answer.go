package jiratest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// answer is an answer before it is written, so that a fault can spoil it.
type answer struct {
	status  int
	body    any    // JSON
	checked any    // what is held to the description in place of body, if not nil
	text    string // instead of JSON
	header  http.Header
}

func refuse(status int, messages ...string) answer {
	return answer{status: status, body: map[string]any{"errorMessages": messages, "errors": map[string]string{}}}
}

func refuseFields(errors map[string]string) answer {
	return answer{status: http.StatusBadRequest, body: map[string]any{"errorMessages": []string{}, "errors": errors}}
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func (a answer) headers() http.Header {
	h := http.Header{}
	for k, v := range a.header {
		h[k] = v
	}
	switch {
	case a.body != nil:
		h.Set("Content-Type", "application/json;charset=UTF-8")
	case a.text != "":
		h.Set("Content-Type", "text/plain")
	}
	return h
}

func (a answer) render(b *bytes.Buffer) {
	if a.body == nil {
		b.WriteString(a.text)
		return
	}
	if err := json.NewEncoder(b).Encode(a.body); err != nil {
		panic("BUG: an answer of plain data cannot fail to marshal: " + err.Error())
	}
}

func (a answer) write(w http.ResponseWriter) {
	var b bytes.Buffer
	a.render(&b)
	for k, v := range a.headers() {
		w.Header()[k] = v
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(b.Bytes()) // a client that is gone is no fault of ours
}
