package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/web"
)

// maxCallBytes bounds the body of a call.
const maxCallBytes = 64 << 10

func (a *App) routeAllowances(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/feedback", a.guard(a.takeFeedback))
	mux.HandleFunc("GET /api/v1/feedback", a.listFeedback)
	mux.HandleFunc("DELETE /api/v1/feedback/{id}", a.guard(a.undoFeedback))
	mux.HandleFunc("POST /api/v1/maintenance", a.guard(a.declareWindow))
	mux.HandleFunc("GET /api/v1/maintenance", a.listWindows)
	mux.HandleFunc("DELETE /api/v1/maintenance/{id}", a.guard(a.closeWindow))
	mux.HandleFunc("POST /api/v1/rollouts", a.guard(a.tellRollout))
}

// readCall reads a body strictly.
func readCall(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCallBytes))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.Decode(&struct{}{}) != io.EOF {
		err = errors.New("more than one value")
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, fmt.Errorf("read the body: %w", err), "send one JSON object as docs/api/allowances.md has it")
		return false
	}
	return true
}

// kept answers with v after what changed is on disk. What could not be written stays in use, and the caller is told to come
// again: the same id does nothing twice.
func (a *App) kept(w http.ResponseWriter, v any) {
	if err := a.allow.save(); err != nil {
		a.allow.logger.Error("not kept over a restart", "err", err)
		web.Error(w, http.StatusServiceUnavailable, errors.New("in use, but not on disk"), "send it again with the same id")
		return
	}
	web.JSON(w, http.StatusOK, v)
}

// shownVerdict is the answer to a verdict.
type shownVerdict struct {
	ID string `json:"id"`
	allowance.Class
}

func (a *App) takeFeedback(w http.ResponseWriter, r *http.Request) {
	var call struct {
		ID      string            `json:"id"`
		Labels  map[string]string `json:"labels"`
		Verdict allowance.Verdict `json:"verdict"`
		Reason  string            `json:"reason"`
		By      string            `json:"by"`
		At      *time.Time        `json:"at"`
	}
	if !readCall(w, r, &call) {
		return
	}
	now := time.Now()
	at := now
	if call.At != nil && call.At.Before(now) { // a verdict of the future would count in full for longer
		at = *call.At
	}
	if call.ID == "" {
		call.ID = rand.Text()
	}
	class, err := a.allow.book.Tell(allowance.Feedback{ID: call.ID, Verdict: call.Verdict, Reason: call.Reason, By: call.By, At: at.UnixMilli(), Labels: call.Labels})
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "send {\"id\",\"labels\",\"verdict\":\"dismissed|confirmed\",\"reason\",\"by\"}")
		return
	}
	a.allow.metrics.feedback.WithLabelValues(string(call.Verdict)).Inc()
	a.allow.logger.Info("feedback taken", "id", call.ID, "verdict", call.Verdict, "by", call.By, "reason", call.Reason, "class", class.Labels, "factor", class.Factor, "remote", r.RemoteAddr)
	a.kept(w, shownVerdict{call.ID, class})
}

func (a *App) undoFeedback(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	class, ok := a.allow.book.Undo(id, time.Now().UnixMilli())
	if !ok {
		web.Error(w, http.StatusNotFound, fmt.Errorf("no feedback has the id %q", id), "GET /api/v1/feedback lists them")
		return
	}
	a.allow.metrics.feedback.WithLabelValues("undone").Inc()
	a.allow.logger.Info("feedback taken back", "id", id, "class", class.Labels, "factor", class.Factor, "remote", r.RemoteAddr)
	a.kept(w, shownVerdict{id, class})
}

func (a *App) listFeedback(w http.ResponseWriter, _ *http.Request) {
	web.JSON(w, http.StatusOK, struct {
		Classes []allowance.Class `json:"classes"`
	}{a.allow.book.Classes(time.Now().UnixMilli())})
}

// shownWindow is a window as calls have it.
type shownWindow struct {
	ID       string         `json:"id"`
	Match    []string       `json:"match"`
	Start    *time.Time     `json:"start,omitempty"`
	End      *time.Time     `json:"end,omitempty"`
	Duration model.Duration `json:"duration,omitempty"`
	At       string         `json:"at,omitempty"` // of one that recurs
	Days     []string       `json:"days,omitempty"`
	TimeZone string         `json:"timeZone,omitempty"`
	Reason   string         `json:"reason,omitempty"`
	By       string         `json:"by,omitempty"`
	Open     bool           `json:"open"`
}

func showWindow(w allowance.Window, open bool) shownWindow {
	s := shownWindow{ID: w.ID, Match: w.Match, Reason: w.Reason, By: w.By, Open: open}
	stamp := func(ms int64) *time.Time {
		if ms == 0 {
			return nil
		}
		t := time.UnixMilli(ms).UTC()
		return &t
	}
	s.Start, s.End = stamp(w.Start), stamp(w.End)
	if e := w.Every; e != nil {
		s.At, s.TimeZone = fmt.Sprintf("%02d:%02d", e.Minute/60, e.Minute%60), e.Zone
		s.Duration = model.Duration(time.Duration(e.LengthMs) * time.Millisecond)
		for _, d := range e.Days {
			s.Days = append(s.Days, d.String())
		}
	}
	return s
}

func (a *App) declareWindow(w http.ResponseWriter, r *http.Request) {
	var call shownWindow
	if !readCall(w, r, &call) {
		return
	}
	const hint = "send {\"match\":[\"{namespace=\\\"db\\\"}\"],\"end\":TIME or \"duration\":\"2h\",\"reason\",\"by\"}; windows that recur stand in the configuration"
	if call.At != "" || len(call.Days) > 0 || call.TimeZone != "" {
		web.Error(w, http.StatusBadRequest, errors.New("at: a window that recurs cannot be declared by a call"), hint)
		return
	}
	now := time.Now()
	if call.ID == "" {
		call.ID = rand.Text()
	}
	win := allowance.Window{ID: call.ID, Match: call.Match, Start: now.UnixMilli(), Reason: call.Reason, By: call.By}
	if call.Start != nil {
		win.Start = call.Start.UnixMilli()
	}
	switch {
	case call.End != nil && call.Duration != 0:
		web.Error(w, http.StatusBadRequest, errors.New("duration: want it or end, not both"), hint)
		return
	case call.End != nil:
		win.End = call.End.UnixMilli()
	default:
		win.End = win.Start + time.Duration(call.Duration).Milliseconds()
	}
	err := win.Prepare()
	if err == nil {
		err = a.allow.book.Declare(win, now.UnixMilli())
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, hint)
		return
	}
	a.allow.logger.Info("maintenance declared", "id", win.ID, "match", win.Match, "start", time.UnixMilli(win.Start).UTC(), "end", time.UnixMilli(win.End).UTC(), "by", win.By, "reason", win.Reason, "remote", r.RemoteAddr)
	a.kept(w, showWindow(win, win.Start <= now.UnixMilli() && now.UnixMilli() < win.End))
}

func (a *App) closeWindow(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !a.allow.book.Close(id) {
		web.Error(w, http.StatusNotFound, fmt.Errorf("no declared window has the id %q", id), "GET /api/v1/maintenance lists them; those of the configuration end there")
		return
	}
	a.allow.logger.Info("maintenance ended", "id", id, "remote", r.RemoteAddr)
	a.kept(w, struct {
		ID string `json:"id"`
	}{id})
}

func (a *App) listWindows(w http.ResponseWriter, _ *http.Request) {
	out := []shownWindow{}
	windows, open := a.allow.book.Windows(time.Now().UnixMilli())
	for i := range windows {
		out = append(out, showWindow(windows[i], open[i]))
	}
	web.JSON(w, http.StatusOK, struct {
		Windows []shownWindow `json:"windows"`
	}{out})
}

func (a *App) tellRollout(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Labels map[string]string `json:"labels"`
		At     *time.Time        `json:"at"`
		Reason string            `json:"reason"`
		By     string            `json:"by"`
	}
	if !readCall(w, r, &call) {
		return
	}
	at := time.Now()
	if call.At != nil {
		at = *call.At
	}
	if len(call.Reason) > 1000 || at.After(time.Now().Add(24*time.Hour)) {
		web.Error(w, http.StatusBadRequest, errors.New("reason, at: want at most 1000 bytes, and at most a day ahead"), "")
		return
	}
	of := a.allow.book.RolledOut(call.Labels, at.UnixMilli(), call.Reason)
	if of == "" {
		web.Error(w, http.StatusBadRequest, errors.New("labels: they name no workload"), "send {\"labels\":{\"namespace\":\"shop\",\"deployment\":\"checkout\"},\"reason\":\"v2\"}")
		return
	}
	a.allow.metrics.rollouts.Inc()
	a.allow.logger.Info("rollout told", "workload", of, "at", at.UTC(), "by", call.By, "reason", call.Reason, "remote", r.RemoteAddr)
	a.kept(w, struct {
		Workload string    `json:"workload"`
		Until    time.Time `json:"until"`
	}{of, at.UTC().Add(time.Duration(a.parts.Load().config.Rollouts.Lasts))})
}
