package enrich

import (
	"context"
	"slices"
	"sync"
	"time"
)

// runWords lets a model tell what was found, beside the rounds: a slow one keeps no evidence waiting.
func (w *Worker) runWords(ctx context.Context) {
	failing := false
	for {
		err := w.Words(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			w.o.Logger.Error("telling_failed", "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-time.After(roundEvery):
		}
	}
}

// wordsAtOnce bounds the questions to a model.
const wordsAtOnce = 2

// Words lets the model tell the incidents whose evidence is new, the newest first.
func (w *Worker) Words(ctx context.Context) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, wordsAtOnce)
	)
	for _, id := range w.wordless() {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := w.word(ctx, id); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return first
}

// wordless are the incidents that a model is to tell.
func (w *Worker) wordless() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for id, e := range w.known {
		if e.wordless {
			e.wordless = false // once: what fails is told by the plain words, until the evidence changes
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return w.known[b].dossier.At.Compare(w.known[a].dossier.At) })
	return ids
}

// word lets the model tell one incident, and its tickets what was found if they do not know it yet.
func (w *Worker) word(ctx context.Context, id string) error {
	inc, err := w.o.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	e := w.known[id]
	if e == nil {
		w.mu.Unlock()
		return nil // it ended meanwhile
	}
	d := e.dossier
	w.mu.Unlock()
	inc.Dossier = &d
	if tell := w.o.TellByModel(); tell != nil {
		account := tell(ctx, inc)
		w.mu.Lock()
		if e.dossier.At.Equal(d.At) { // else newer evidence is told next
			e.dossier.Account, e.saved = account, false
		}
		w.mu.Unlock()
	}
	return w.tellOnce(ctx, inc)
}
