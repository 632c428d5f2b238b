package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// stamp is a time on a page: for a person and for a machine.
type stamp struct{ Text, Machine string }

// exactly is a time to the second in UTC; the zero time gives nothing.
func exactly(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	t = t.UTC()
	return stamp{t.Format("2006-01-02 15:04:05 UTC"), t.Format(time.RFC3339Nano)}
}

// briefly is exactly without the zone, where two stand on one line of a phone.
func briefly(t time.Time) stamp {
	s := exactly(t)
	s.Text = strings.TrimSuffix(s.Text, " UTC")
	return s
}

// span writes a duration in its two greatest units, coarse enough to be read at a glance.
func span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 10*time.Minute && int(d.Seconds())%60 != 0:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		if h := int(d.Hours()) % 24; h != 0 {
			return fmt.Sprintf("%d d %d h", int(d.Hours())/24, h)
		}
		return fmt.Sprintf("%d d", int(d.Hours())/24)
	}
}

// ago says how long t is past; clocks may differ, so a time to come is "just now" within a minute.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -time.Minute:
		return "in " + span(-d)
	case d < 5*time.Second:
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// age says how long an incident lasts or lasted.
func age(now time.Time, inc incident.Incident) string {
	if inc.Status == incident.StatusOpen || inc.EndedAt.IsZero() {
		return "open for " + span(now.Sub(inc.StartedAt))
	}
	return "lasted " + span(inc.EndedAt.Sub(inc.StartedAt)) + ", over " + ago(now, inc.EndedAt)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// alertCount says how many alerts an incident has and how many of them fire.
func alertCount(total, firing int) string {
	switch {
	case total == 0:
		return "no alerts"
	case firing == total && total == 1:
		return "1 alert firing"
	case firing == total:
		return fmt.Sprintf("all %d alerts firing", total)
	case firing == 0:
		return plural(total, "alert") + ", none firing"
	default:
		return fmt.Sprintf("%d of %s firing", firing, plural(total, "alert"))
	}
}

// place is where an incident is, most telling first: "shop / checkout · prod-eu".
func place(lset map[string]string) string {
	var parts []string
	for _, k := range []string{"namespace", "service"} {
		if v := lset[k]; v != "" {
			parts = append(parts, v)
		}
	}
	out := strings.Join(parts, " / ")
	if c := lset["cluster"]; c != "" {
		if out != "" {
			out += " · "
		}
		out += c
	}
	return out
}

// sortedLabels lists labels as name="value", the name of the alert first.
func sortedLabels(lset map[string]string) []string {
	names := make([]string, 0, len(lset))
	for k := range lset {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		if (a == "alertname") != (b == "alertname") {
			if a == "alertname" {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	out := make([]string, 0, len(names))
	for _, k := range names {
		out = append(out, fmt.Sprintf("%s=%q", k, lset[k]))
	}
	return out
}

// severityClass is the class of a severity on a page; what is none of ours has none.
func severityClass(s string) string {
	if incident.Severity(s).Rank() == 0 {
		return ""
	}
	return s
}
