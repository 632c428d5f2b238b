package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// parseAsk reads the settings of a question as those of a query.
func parseAsk(raw json.RawMessage) (query.Ask, error) {
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	whole, err := json.Marshal(map[string]any{"queryType": query.TypeAsk, "ask": raw})
	if err != nil {
		return query.Ask{}, &parameterError{"ask is no JSON"}
	}
	q, err := query.Parse(whole)
	if err != nil {
		return query.Ask{}, err
	}
	return *q.Ask, nil
}

// explain answers POST /explain, with a body as questionBody, and GET /explain?question=, for scripts.
func (in *Instance) explain(w http.ResponseWriter, r *http.Request) {
	raw, err := explainBody(r)
	if err != nil {
		writeFault(w, err)
		return
	}
	request, err := readQuestion(raw, time.Now())
	if err != nil {
		writeFault(w, err)
		return
	}
	e, err := in.explained(r.Context(), request)
	if err != nil {
		writeFault(w, err)
		return
	}
	writeJSON(w, http.StatusOK, e)
}

func explainBody(r *http.Request) ([]byte, error) {
	if r.Method == http.MethodGet {
		p := r.URL.Query()
		return json.Marshal(map[string]any{"ask": map[string]string{"question": p.Get("question"), "previous": p.Get("previous")}})
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxExplainBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &parameterError{"the question is too long: at most 2000 bytes are read"}
	}
	return raw, err
}

func writeFault(w http.ResponseWriter, err error) {
	f := faultOf(err)
	writeJSON(w, int(f.status), errorBody{Error: f.err.Error(), Hint: f.hint})
}

// completions are whole questions for the text typed so far, from what the servers have.
func (in *Instance) completions(ctx context.Context, a lookup) ([]string, error) {
	s, first, err := in.servers(nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, first)
	defer cancel()
	k, err := s.Know(ctx)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return k.Suggest(a.text, a.limit), nil
}
