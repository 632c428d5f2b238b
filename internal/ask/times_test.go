package ask_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

func clockAt(t *testing.T, zone, clock string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	require.NoError(t, err)
	out, err := time.ParseInLocation("2006-01-02 15:04", clock, loc)
	require.NoError(t, err)
	return out
}

// TestCalendarWords: what a stored query must keep of its question.
func TestCalendarWords(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		require.Equal(t, want, ask.CalendarWords(ask.Question{Text: text, Now: clockAt(t, "UTC", "2026-11-18 14:32")}), text)
	}
	f("pod evictions since midnight", "since midnight")
	f("Errors of cart today", "today")
	f("errors of cart this week by pod", "this week")
	f("restarts yesterday", "yesterday")
	f("errors of cart between 2 and 4 pm yesterday", "between 2 and 4 pm yesterday")
	f("memory of cart at 14:00", "at 14:00")
	f("error rate of cart since 9 am", "since 9 am")
	f("restarts this month", "this month")
	f("requests of cart since monday", "since monday")
	for _, same := range []string{"errors of cart in the last 3 hours", "memory by pod", "error rate of cart compared to yesterday", "will any volume fill up in the next 4 days", "memory of cart 2 hours ago", ""} {
		f(same, "")
	}
}

// TestStretchOf: the stretch is that of the day on which the query runs, in the zone of whoever asked, where clocks
// change as well.
func TestStretchOf(t *testing.T) {
	f := func(words, zone, clock string, want ask.Stretch) {
		t.Helper()
		now := clockAt(t, zone, clock)
		require.Equal(t, want, ask.StretchOf(ask.Question{Text: words, Now: now.UTC(), Location: now.Location()}), "%s at %s", words, clock)
	}
	const h = time.Hour
	f("since midnight", "UTC", "2026-11-18 14:30", ask.Stretch{Window: 14*h + 30*time.Minute})
	f("since midnight", "UTC", "2026-11-19 00:30", ask.Stretch{Window: 30 * time.Minute})
	f("since midnight", "UTC", "2026-11-19 00:00", ask.Stretch{Window: time.Second})
	f("since midnight", "Europe/Berlin", "2026-10-25 12:00", ask.Stretch{Window: 13 * h}) // 25 hours long
	f("since midnight", "Europe/Berlin", "2026-03-29 12:00", ask.Stretch{Window: 11 * h}) // 23
	f("yesterday", "UTC", "2026-11-18 14:30", ask.Stretch{Window: 24 * h, Ago: 14*h + 30*time.Minute})
	f("yesterday", "Europe/Berlin", "2026-10-26 08:00", ask.Stretch{Window: 25 * h, Ago: 8 * h})
	f("yesterday", "Europe/Berlin", "2026-03-30 08:00", ask.Stretch{Window: 23 * h, Ago: 8 * h})
	f("between 2 and 4 pm yesterday", "UTC", "2026-11-18 14:30", ask.Stretch{Window: 2 * h, Ago: 22*h + 30*time.Minute})
	f("between 2 and 4 pm yesterday", "UTC", "2026-11-20 09:00", ask.Stretch{Window: 2 * h, Ago: 17 * h})
	f("this week", "UTC", "2026-11-18 12:00", ask.Stretch{Window: 60 * h}) // a Wednesday
	f("this week", "UTC", "2026-11-23 01:00", ask.Stretch{Window: h})
	f("since 9 am", "UTC", "2026-11-18 10:00", ask.Stretch{Window: h})
	f("since 9 am", "UTC", "2026-11-19 08:00", ask.Stretch{Window: 23 * h})
	f("today", "Asia/Kolkata", "2026-11-18 06:00", ask.Stretch{Window: 6 * h})
	f("today", "America/New_York", "2026-11-01 06:00", ask.Stretch{Window: 7 * h})
}

// TestRetime: a stored query means the same at another time.
func TestRetime(t *testing.T) {
	from, to := ask.Stretch{Window: 52337123 * time.Millisecond}, ask.Stretch{Window: 90 * time.Minute}
	f := func(l ask.Language, query string, from, to ask.Stretch, want string) {
		t.Helper()
		got, err := ask.Retime(l, query, from, to)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(ask.PromQL, `sum(increase(a[14h32m17s123ms])) / sum(rate(b[5m]))`, from, to, `sum(increase(a[1h30m])) / sum(rate(b[5m]))`)
	f(ask.PromQL, `max_over_time((a > 1)[14h32m17s123ms:1m])`, from, to, `max_over_time((a > 1)[1h30m:1m])`)
	f(ask.PromQL, `time() - a < 52337.123`, from, to, `time() - a < 5400`)
	f(ask.LogQL, `sum(count_over_time({a="b"} |= "14h32m17s123ms" [14h32m17s123ms]))`, from, to, `sum(count_over_time({a="b"} |= "14h32m17s123ms" [1h30m]))`)
	yesterday, next := ask.Stretch{Window: 24 * time.Hour, Ago: 8 * time.Hour}, ask.Stretch{Window: 25 * time.Hour, Ago: 9 * time.Hour}
	f(ask.PromQL, `sum(increase(a[1d] offset 8h)) - sum(increase(a[1h] offset 1h))`, yesterday, next, `sum(increase(a[1d1h] offset 9h)) - sum(increase(a[1h] offset 1h))`)
	f(ask.LogQL, `sum(count_over_time({a="b"} [1d] offset 8h))`, yesterday, next, `sum(count_over_time({a="b"} [1d1h] offset 9h))`)
	f(ask.PromQL, `a - a offset 1d8h`, ask.Stretch{Ago: 8 * time.Hour, Back: 24 * time.Hour}, ask.Stretch{Ago: 9 * time.Hour, Back: 24 * time.Hour}, `a - a offset 1d9h`)
	f(ask.PromQL, `sum( a )`, to, to, `sum( a )`)
	for _, l := range []ask.Language{ask.PromQL, ask.LogQL} {
		_, err := ask.Retime(l, `sum(`, from, to)
		require.Error(t, err)
	}
}

// TestRetimeAsksAgain: what is rewritten is what would be written if the question were asked at that time.
func TestRetimeAsksAgain(t *testing.T) {
	r, now := rules(t, shop), time.Date(2026, 11, 18, 14, 32, 17, 123e6, time.UTC)
	for _, text := range []string{
		"restarts by pod since midnight", "pod evictions yesterday", "memory of pods at 9 am", "graph of memory by pod since midnight", "restarts between 2 and 4 pm yesterday", "which pods started today",
		"how many restarts this week", "cpu use by pod this morning",
	} {
		for _, d := range []time.Duration{3 * time.Hour, 26 * time.Hour, 6*24*time.Hour + time.Hour} {
			ask1, ask2 := ask.Question{Text: text, Now: now}, ask.Question{Text: text, Now: now.Add(d)}
			first, err := r.Translate(t.Context(), ask1)
			require.NoError(t, err, text)
			again, err := r.Translate(t.Context(), ask2)
			require.NoError(t, err, text)
			words := ask.CalendarWords(ask1)
			require.NotEmpty(t, words, text)
			ask1.Text, ask2.Text = words, words
			got, err := ask.Retime(first.Language, first.Query, ask.StretchOf(ask1), ask.StretchOf(ask2))
			require.NoError(t, err)
			require.Equal(t, again.Query, got, "%s, %s later", text, d)
		}
	}
}
