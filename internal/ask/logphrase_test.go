package ask

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCitedText: what a question cites word for word is searched for as the lines write it.
func TestCitedText(t *testing.T) {
	lines := []LogLine{{Text: "ERROR java.io.IOException: No space left on device"}, {Text: "ERROR java.lang.OutOfMemoryError: Java heap space"}}
	require.Equal(t, "No space left on device", verbatim("how often did pacs log no space left on device?", []string{"space"}, lines))
	require.Empty(t, verbatim("space of the heap", []string{"space"}, lines))
	require.Empty(t, verbatim("", nil, nil))
	require.Empty(t, verbatim("no space left", []string{"space"}, append(lines, LogLine{Text: "NO SPACE LEFT"})), "spelt in two ways")
}

// TestOverATime: "over 4 hours" is the time to look at, unless something took that long.
func TestOverATime(t *testing.T) {
	for norm, want := range map[string]time.Duration{"reasons for denied claims over 4 hours": 4 * time.Hour, "requests that took over 4 hours": 0, "messages over 3 seconds": 0} {
		in, _ := takeIntent(norm)
		task := &logTask{norm: norm, in: in}
		task.spans()
		require.Equal(t, want, task.when.window, norm)
		require.Equal(t, want == 0, task.in.threshold != nil, norm)
	}
}

// unnamedService is a Loki that could make up no name of a service.
type unnamedService struct{ LogSource }

func (unnamedService) LabelNames(context.Context, time.Time, time.Time) ([]string, error) {
	return []string{"service_name", "svc"}, nil
}

func (unnamedService) LabelValues(_ context.Context, label, _ string, _, _ time.Time) ([]string, error) {
	return map[string][]string{"service_name": {"unknown_service"}, "svc": {"a", "b"}}[label], nil
}

// TestUnknownService: the label that Loki makes up is not asked for where it says nothing.
func TestUnknownService(t *testing.T) {
	l, err := LoadLogs(t.Context(), unnamedService{}, time.Now())
	require.NoError(t, err)
	require.Equal(t, []string{"svc"}, l.labels)
	require.Equal(t, `svc=~".+"`, l.all("").String())
}
