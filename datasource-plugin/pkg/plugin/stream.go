package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
)

// streamsAtOnce of one data source: each is a person who waits for an answer.
const streamsAtOnce = 16

var _ backend.StreamHandler = (*Instance)(nil)

// streamPath is ask/ and a name that the editor makes up for each time somebody asks. Grafana gives one run of a
// stream to all who subscribe to its path; nobody else can know this one, so nobody sees another's answer.
var streamPath = regexp.MustCompile(`^ask/[A-Za-z0-9_-]{16,64}$`)

// SubscribeStream lets a question be asked whose answer takes long. Its data is that of the resource explain.
func (in *Instance) SubscribeStream(_ context.Context, req *backend.SubscribeStreamRequest) (*backend.SubscribeStreamResponse, error) {
	status := backend.SubscribeStreamStatusOK
	if !streamPath.MatchString(req.Path) {
		status = backend.SubscribeStreamStatusNotFound
	} else if _, err := readQuestion(req.Data, time.Now()); err != nil || in.err != nil || unattended(req.PluginContext, req.Headers) {
		status = backend.SubscribeStreamStatusPermissionDenied
	}
	return &backend.SubscribeStreamResponse{Status: status}, nil
}

// PublishStream takes nothing: a browser has nothing to say here.
func (in *Instance) PublishStream(context.Context, *backend.PublishStreamRequest) (*backend.PublishStreamResponse, error) {
	return &backend.PublishStreamResponse{Status: backend.PublishStreamStatusPermissionDenied}, nil
}

// RunStream asks and sends a frame as each stage begins, the last with the answer. It returns no error for a question
// that failed: Grafana would ask it again and again.
func (in *Instance) RunStream(ctx context.Context, req *backend.RunStreamRequest, sender *backend.StreamSender) error {
	free, err := in.asking.take(ctx)
	if err != nil {
		return nil // the subscriber went away
	}
	defer free()
	start := time.Now()
	var mu sync.Mutex // stages are told one after the other, but not by this goroutine alone
	send := func(stage, result, failure string) error {
		mu.Lock()
		defer mu.Unlock()
		return sender.SendFrame(stageFrame(stage, result, failure, time.Since(start)), data.IncludeAll)
	}
	r, err := readQuestion(req.Data, time.Now())
	if err == nil {
		r.Person = true
		r.Progress = func(s questions.Stage) {
			if s != questions.Answered { // which the result says
				_ = send(string(s), "", "") // the subscriber went away: the last frame tells
			}
		}
		var a questions.Answer
		if a, err = in.answered(ctx, r); err == nil {
			var raw []byte
			if raw, err = json.Marshal(a.Explained); err == nil {
				return send(string(questions.Answered), string(raw), "")
			}
		}
	}
	f := faultOf(err)
	if f.source == backend.ErrorSourcePlugin {
		backend.Logger.Error("question not answered", "error", err)
	}
	return send("failed", "", f.text())
}

// stageFrame is one message of a stream. src/asking.ts reads it.
func stageFrame(stage, result, failure string, took time.Duration) *data.Frame {
	return data.NewFrame("ask",
		data.NewField("stage", nil, []string{stage}), data.NewField("result", nil, []string{result}),
		data.NewField("error", nil, []string{failure}), data.NewField("ms", nil, []int64{took.Milliseconds()}))
}

// maxExplainBytes of a question with what stands around it.
const maxExplainBytes = 128 << 10

// questionBody is the body of the resource explain and the data of a stream.
type questionBody struct {
	Ask           json.RawMessage `json:"ask"` // as in a query
	From          int64           `json:"from"`
	To            int64           `json:"to"`
	IntervalMs    int64           `json:"intervalMs"`
	MaxDataPoints int64           `json:"maxDataPoints"`
}

// readQuestion reads a question; without times it is about the last hour.
func readQuestion(raw []byte, now time.Time) (questions.Request, error) {
	if len(raw) > maxExplainBytes {
		return questions.Request{}, &parameterError{fmt.Sprintf("the question with its settings has %d bytes, at most %d are read", len(raw), maxExplainBytes)}
	}
	var b questionBody
	if err := json.Unmarshal(raw, &b); err != nil {
		return questions.Request{}, &parameterError{"want a JSON object with ask, from and to"}
	}
	q, err := parseAsk(b.Ask)
	if err != nil {
		return questions.Request{}, err
	}
	from, to := now.Add(-time.Hour), now
	if b.To > 0 {
		to = time.UnixMilli(b.To)
		from = to.Add(-time.Hour)
	}
	if b.From > 0 {
		from = time.UnixMilli(b.From)
	}
	if from.After(to) {
		return questions.Request{}, &parameterError{"from is after to"}
	}
	return questions.Request{Query: q, From: from, To: to, Interval: time.Duration(max(b.IntervalMs, 0)) * time.Millisecond, MaxPoints: b.MaxDataPoints}, nil
}
