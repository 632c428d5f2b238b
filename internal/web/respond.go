package web

import (
	"encoding/json"
	"io"
	"net/http"
)

// problem is the body of every error answer.
type problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint"`
}

// Error answers with {"error","hint"}: what went wrong, and what to do about it. The error's text goes to the client, so it
// must hold no secret.
func Error(w http.ResponseWriter, status int, err error, hint string) {
	JSON(w, status, problem{Error: err.Error(), Hint: hint})
}

// JSON answers with v. Nothing is written before v is encoded whole, so that a value that cannot be encoded is a 500 and not
// half an answer.
func JSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
		b, _ = json.Marshal(problem{Error: "encode answer: " + err.Error(), Hint: "this is a defect: please report it"})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone: nobody left to tell
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // as above
}
