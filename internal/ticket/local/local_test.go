package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/ticket/local/localtest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

// flaky is a store that fails on demand, before or after its work.
type flaky struct {
	local.Store
	refuse, lose atomic.Bool
}

var errBusy = errors.New("database is locked")

func (f *flaky) InsertTicket(ctx context.Context, t local.Ticket) (local.Ticket, error) {
	if f.refuse.Swap(false) {
		return local.Ticket{}, errBusy
	}
	t, err := f.Store.InsertTicket(ctx, t)
	if err == nil && f.lose.Swap(false) {
		return local.Ticket{}, errBusy
	}
	return t, err
}

func (f *flaky) ChangeTicket(ctx context.Context, n int64, c local.Comment, s ticket.State) error {
	if f.refuse.Swap(false) {
		return errBusy
	}
	err := f.Store.ChangeTicket(ctx, n, c, s)
	if err == nil && f.lose.Swap(false) {
		return errBusy
	}
	return err
}

func (f *flaky) TicketByKey(ctx context.Context, key string) (local.Ticket, error) {
	if f.refuse.Swap(false) {
		return local.Ticket{}, errBusy
	}
	return f.Store.TicketByKey(ctx, key)
}

func (f *flaky) TicketByNumber(ctx context.Context, n int64) (local.Ticket, error) {
	if f.refuse.Swap(false) {
		return local.Ticket{}, errBusy
	}
	return f.Store.TicketByNumber(ctx, n)
}

func pageURL(n int64) string { return fmt.Sprintf("http://127.0.0.1:9751/tickets/LOCAL-%d", n) }

func newTracker(t *testing.T, s local.Store) *local.Tracker {
	tr, err := local.New(local.Options{Store: s, URL: pageURL, Now: time.Now})
	require.NoError(t, err)
	return tr
}

func TestTracker(t *testing.T) {
	t.Parallel()
	tickettest.Run(t, func(t *testing.T) tickettest.System {
		store := &flaky{Store: &localtest.Memory{}}
		tr := newTracker(t, store)
		return tickettest.System{
			Tracker: tr,
			Settle:  func() {},
			Look: func(r ticket.Ref) tickettest.View {
				got, err := tr.Ticket(t.Context(), r)
				require.NoError(t, err)
				v := tickettest.View{Title: got.Title(), Text: got.Body().Text(), State: got.State}
				for _, c := range got.Comments {
					v.Comments = append(v.Comments, c.Body.Text())
				}
				return v
			},
			Count: func(key string) int {
				if _, err := store.Store.TicketByKey(context.Background(), key); err != nil {
					return 0
				}
				return 1
			},
			Resolve: func(r ticket.Ref) {
				n, err := local.ParseKey(r.Key)
				require.NoError(t, err)
				require.NoError(t, store.Store.ChangeTicket(t.Context(), n, local.Comment{At: time.Now()}, ticket.Resolved))
			},
			LoseAnswer:  func() { store.lose.Store(true) },
			Unavailable: func() { store.refuse.Store(true) },
			MaxTitle:    local.MaxTitle,
		}
	})
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	localtest.Run(t, func(*testing.T) local.Store { return &localtest.Memory{} })
}

func TestCreateTwiceIsOneTicket(t *testing.T) {
	t.Parallel()
	tr := newTracker(t, &localtest.Memory{})
	first, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
	require.NoError(t, err)
	second, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, ticket.Ref{Key: "LOCAL-1", URL: pageURL(1)}, first.Ref)
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 12, 1<<63 - 1} {
		got, err := local.ParseKey(local.Key(n))
		require.NoError(t, err)
		require.Equal(t, n, got)
	}
	for _, key := range []string{"", "LOCAL-", "LOCAL-0", "LOCAL--1", "LOCAL-01", "LOCAL-+1", "local-1", "LOCAL-1 ", "LOCAL-9223372036854775808", "OPS-1"} {
		_, err := local.ParseKey(key)
		require.Error(t, err, key)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := local.Options{Store: &localtest.Memory{}, URL: pageURL, Now: time.Now}
	for want, spoil := range map[string]func(*local.Options){
		"store": func(o *local.Options) { o.Store = nil },
		"URL":   func(o *local.Options) { o.URL = nil },
		"clock": func(o *local.Options) { o.Now = nil },
	} {
		o := good
		spoil(&o)
		_, err := local.New(o)
		require.ErrorContains(t, err, want)
	}
}

// TestStoredTextIsBounded guards the database: an alert of megabytes makes no
// ticket of megabytes.
func TestStoredTextIsBounded(t *testing.T) {
	t.Parallel()
	store := &localtest.Memory{}
	tr := newTracker(t, store)
	d := tickettest.Draft("portent-1")
	d.Title, d.Summary, d.Body = strings.Repeat("t", 1<<20), strings.Repeat("s", 1<<20), ticket.Doc{ticket.Code("", strings.Repeat("c", 1<<20))}
	d.Labels = strings.Split(strings.Repeat("label ", 10_000), " ")
	_, err := tr.Create(t.Context(), d)
	require.NoError(t, err)
	require.NoError(t, tr.Update(t.Context(), ticket.Ref{Key: "LOCAL-1"}, ticket.Update{Key: "u1", Comment: d.Body}))
	got, err := store.TicketByNumber(t.Context(), 1)
	require.NoError(t, err)
	size := len(got.Draft.Title) + len(got.Draft.Summary) + len(got.Draft.Body.Text()) + len(strings.Join(got.Draft.Labels, "")) + len(got.Comments[0].Body.Text())
	require.Less(t, size, 4*local.MaxText)
}

// TestDocs holds the page to the code: the headings of every tracker's page, and
// the bounds.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "trackers", "local.md"))
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(page)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			headings = append(headings, strings.TrimSpace(h))
		}
	}
	require.Equal(t, []string{"What it does", "Settings", "Permissions needed", "How duplicates are prevented", "When it is wrong", "How to silence it", "Source"}, headings)
	flat := strings.Join(strings.Fields(string(page)), " ")
	require.Contains(t, flat, "255 characters of title, 2,000 of summary, 32,767 of description or comment, and 20 labels")
	require.Equal(t, []int{255, 32767}, []int{local.MaxTitle, local.MaxText})
}
