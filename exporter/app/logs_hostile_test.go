package app

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/patternrules"
)

// templates returns the counts by template; answer has checked that they add up.
func templates(t *testing.T, l *logs) map[string]int64 {
	t.Helper()
	l.looked = time.Time{}
	out := map[string]int64{}
	for _, p := range answer(t, l, "?limit=100000").Patterns {
		out[p.Template] += p.Count
	}
	return out
}

// TestHostileLines: whatever a line is, it is counted once, quickly, in bounded memory,
// and what is answered is valid UTF-8 without control characters.
func TestHostileLines(t *testing.T) {
	big := strings.Repeat("a long line with 12345 words ", 10<<20/29)
	deep := strings.Repeat(`{"a":`, 1000) + `"x"` + strings.Repeat("}", 1000)
	for name, line := range map[string]string{
		"binary": string([]byte{0, 1, 2, 0xff, 0xfe, 'E', 'R', 'R', 0x80, 0x7f}), "10 MB": big, "10 MB of brackets": strings.Repeat("([{<", 10<<20/4),
		"10 MB of one word": strings.Repeat("x", 10<<20), "10 MB of key=": strings.Repeat("k=v ", 10<<20/4), "10 MB of quotes": strings.Repeat(`"`, 10<<20),
		"invalid UTF-8": "caf\xe9 is \xc3( open", "CRLF": "done\r\n", "NUL": "one\x00two three", "ANSI": "\x1b[31mERROR\x1b[0m \x1b[1;32mdisk\x1b[0m full",
		"deep JSON": deep, "deep JSON without end": strings.Repeat(`{"a":[`, 10_000), "deep brackets": strings.Repeat("[", 100_000), "blank": " \t ", "empty": "",
		"mark of another order": "\u202eevil\u202c text", "template": "a <*> b <*>", "newlines": "a\nb\n\n\nc", "only newlines": "\n\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, _, _ := testLogs(t, nil)
			begin := time.Now()
			take(t, l, "web", line, "ordinary line", line)
			got := templates(t, l)
			require.Less(t, time.Since(begin), time.Minute) // under the race detector, on a busy machine
			require.EqualValues(t, 1, got["ordinary line"])
			require.EqualValues(t, 3, answer(t, l, "").Lines)
			for template := range got {
				require.True(t, utf8.ValidString(template), "%q", template)
				require.LessOrEqual(t, len(template), 20<<10)
				require.NotContains(t, template, "\x00")
			}
		})
	}
}

// TestTimesInTwentyForms: the time of a line is no part of its pattern.
func TestTimesInTwentyForms(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 34, 56, 789e6, time.UTC)
	forms := []string{
		time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05.000-0700", "2006-01-02 15:04:05", "2006-01-02 15:04:05.000",
		"2006-01-02 15:04:05,000", "2006/01/02 15:04:05", "2006/01/02 15:04:05.000000", "[2006-01-02 15:04:05]", "[2006-01-02T15:04:05.000Z]",
		time.ANSIC, time.UnixDate, time.RFC1123, time.RFC1123Z, time.RFC822, "02/Jan/2006:15:04:05 -0700", "[02/Jan/2006:15:04:05 -0700]", time.Stamp, time.StampMilli,
		"02 Jan 2006 15:04:05", "20060102 15:04:05", "15:04:05.000", "2006-01-02T15:04:05.000000000Z",
	}
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			l, _, _ := testLogs(t, nil)
			for i := range 30 {
				take(t, l, "web", at.Add(time.Duration(i)*37*time.Hour+time.Duration(i*7)*time.Second).Format(form)+" ERROR connection refused by upstream")
			}
			got := templates(t, l)
			require.Len(t, got, 1, "%v", got)
			for template := range got {
				require.Contains(t, template, "connection refused by upstream")
			}
		})
	}
}

// TestEveryLineUnique: a stream whose every line differs, and a template bomb that never
// says the same shape twice, stay in their bounds, are counted, and make no flood of
// alerts.
func TestEveryLineUnique(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	word := func() string { return fmt.Sprintf("%c%x%c", 'a'+r.IntN(26), r.Uint32(), 'a'+r.IntN(26)) }
	letters := func() string {
		b := make([]byte, 8)
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	for name, line := range map[string]func() string{
		"values": func() string { return "ERROR user " + word() + " failed " + word() },
		"words":  func() string { return "ERROR " + letters() + " " + letters() + " " + letters() },
		"shapes": func() string {
			return "ERROR " + letters() + strings.Repeat("(", r.IntN(30)) + letters() + strings.Repeat("=", r.IntN(30)) + letters()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, _, now := testLogs(t, func(c *Logs) { c.MaxPatterns, c.History.MaxPatterns = 300, 500 })
			take(t, l, "web", "INFO all is well")
			*now = now.Add(2 * time.Hour)
			alerts := 0
			for range 60 {
				*now = now.Add(time.Minute)
				var lines []string
				for range 100 {
					lines = append(lines, line())
				}
				take(t, l, "web", lines...)
				got, err := l.step()
				require.NoError(t, err)
				alerts = max(alerts, len(got))
			}
			templates(t, l)
			require.LessOrEqual(t, alerts, 40)
			require.LessOrEqual(t, l.watch.Stats().Tracks, 1000)
		})
	}
}

// TestClockAnHourOff: lines from the future and the past count now, and new is what came
// now.
func TestClockAnHourOff(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour, -400 * 24 * time.Hour, 400 * 24 * time.Hour} {
		l, _, now := testLogs(t, nil)
		line := func(text string) {
			require.NoError(t, l.TakeLines([]ingest.Line{{Labels: []ingest.Label{{Name: "app", Value: "web"}}, T: now.Add(off).UnixMilli(), Text: text}}))
		}
		line("INFO request 1 served")
		l.look()
		*now = now.Add(2 * time.Hour)
		line("INFO request 2 served")
		line("ERROR disk sda is full")
		alerts, err := l.step()
		require.NoError(t, err)
		require.Len(t, alerts, 1)
		require.Equal(t, *now, alerts[0].StartsAt, "by our clock, which Alertmanager's follows")
	}
}

// TestLinesAddUp: whatever is pushed, cut, pinned, merged, ignored, evicted, regrouped and
// restarted in between, lines are the sum of patterns, other and ignored.
func TestLinesAddUp(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 9))
		dir := t.TempDir()
		change := func(c *Logs) { c.MaxPatterns, c.MaxGroups, c.MaxSeries = 40, 3, 30 }
		l, reg, now := testLogs(t, change)
		require.NoError(t, l.openHistory(dir))
		lines := int64(0)
		var seen []string
		for step := range 60 {
			*now = now.Add(time.Duration(1+r.IntN(40)) * time.Second)
			var texts []string
			for range r.IntN(60) {
				texts = append(texts, []string{
					fmt.Sprintf("user u%d did %c", r.IntN(99), 'a'+r.IntN(20)), fmt.Sprintf("ERROR %c%c%c broke", 'a'+r.IntN(26), 'a'+r.IntN(26), 'a'+r.IntN(26)), "",
					"java.io.IOException: x\n\tat a.B.c(D.java:1)", "\tat com.acme.X.y(X.java:9)", "Traceback (most recent call last):", strings.Repeat("(", r.IntN(50)) + "q",
				}[r.IntN(7)])
			}
			if len(texts) > 0 {
				take(t, l, fmt.Sprint("app", r.IntN(5)), texts...)
			}
			lines += int64(len(texts))
			if step%7 == 3 {
				var f patternrules.File
				for i := range min(4, len(seen)) {
					template := seen[r.IntN(len(seen))]
					rule := patternrules.Rule{Template: template, Name: fmt.Sprint("n", i), Ignore: i == 1, Pin: i == 2 && logmine.Words(template) > 0}
					if !slices.ContainsFunc(f.Patterns, func(x patternrules.Rule) bool { return x.Template == template }) {
						f.Patterns = append(f.Patterns, rule)
					}
				}
				require.NoError(t, f.Validate())
				l.configure(l.config, f)
			}
			*now = now.Add(lookEvery)
			got := answer(t, l, "?limit=100000")
			require.Equal(t, lines, got.Lines)
			seen = seen[:0]
			for _, p := range got.Patterns {
				seen = append(seen, p.Template)
			}
			sum := 0.0
			families, err := reg.Gather()
			require.NoError(t, err)
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == "log_pattern_lines_total" {
						sum += m.GetCounter().GetValue()
					}
				}
			}
			require.InDelta(t, lines, sum, 0)
			if step == 30 { // a restart
				require.NoError(t, l.saveHistory())
				require.NoError(t, l.closeHistory())
				at := *now
				l, reg, now = testLogs(t, change)
				*now, lines, seen = at, 0, nil
				require.NoError(t, l.openHistory(dir))
			}
		}
		require.NoError(t, l.closeHistory())
		require.FileExists(t, filepath.Join(dir, "log-patterns.snapshot"))
	}
}
