package steps_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/tools/steps"
)

// does is a step that takes a second, says its name and ends with err.
func does(name string, err error, after ...string) steps.Step {
	return steps.Step{Name: name, After: after, Run: func(_ context.Context, out io.Writer) error {
		<-time.After(time.Second)
		fmt.Fprintln(out, "this is", name)
		return err
	}}
}

func TestRunKeepsTheOrderAndTwoAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		count := func(s steps.Step) steps.Step {
			inner := s.Run
			s.Run = func(ctx context.Context, out io.Writer) error {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				return inner(ctx, out)
			}
			return s
		}
		var out bytes.Buffer
		start := time.Now()
		err := steps.Run(t.Context(), &out, []steps.Step{
			count(does("a", nil)), count(does("b", nil, "a")), count(does("c", nil)), count(does("d", nil)), count(does("e", nil, "b", "d")),
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, most.Load())
		require.Equal(t, 3*time.Second, time.Since(start), "a and c, then b and d, then e")
		at := func(s string) int { return strings.Index(out.String(), s) }
		require.Less(t, at("== a: ok"), at("== b: started"))
		require.Less(t, at("== b: ok"), at("== e: started"))
	})
}

func TestRunGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		err := steps.Run(t.Context(), &out, []steps.Step{
			does("a", errors.New("no luck")), does("b", nil, "a"), does("c", nil), does("d", nil, "b"),
		})
		require.EqualError(t, err, "failed: a, b, d")
		for _, line := range []string{
			"== a: FAILED: no luck\nthis is a\n",
			"  b              FAILED: left out: a failed\n",
			"  c              ok, 1s\n",
			"  d              FAILED: left out: b failed\n",
		} {
			require.Contains(t, out.String(), line)
		}
		require.NotContains(t, out.String(), "this is b")
	})
}

func TestRunLeavesOutWhatTheMachineLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		missing := fmt.Errorf("Node.js is %w", steps.ErrMissing)
		err := steps.Run(t.Context(), &out, []steps.Step{does("front end", missing), does("browser", nil, "front end"), does("go", nil)})
		require.NoError(t, err)
		require.Contains(t, out.String(), "  front end      Node.js is missing\n")
		require.Contains(t, out.String(), "  browser        left out: Node.js is missing\n")
	})
}

func TestRunWaitsOnlyForTheEndOfWhatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		second := does("second", nil)
		second.Behind = []string{"first"}
		start := time.Now()
		err := steps.Run(t.Context(), &out, []steps.Step{does("first", errors.New("no luck")), second})
		require.EqualError(t, err, "failed: first")
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Contains(t, out.String(), "== second: ok, 1s\nthis is second\n")
	})
}

func TestRunShowsResultsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tests := does("tests", nil)
		tests.Results = true
		require.NoError(t, steps.Run(t.Context(), &out, []steps.Step{tests, does("other", nil, "tests")}))
		require.True(t, strings.HasSuffix(out.String(), "\ntests\nthis is tests\n"), out.String())
	})
}

func TestRunStopsWhenCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		first := steps.Step{Name: "first", Run: func(ctx context.Context, _ io.Writer) error { cancel(); return ctx.Err() }}
		var out bytes.Buffer
		err := steps.Run(ctx, &out, []steps.Step{first, does("second", nil, "first"), does("third", nil)})
		require.ErrorIs(t, err, context.Canceled)
		require.Contains(t, out.String(), "  second         FAILED: left out: first failed\n")
	})
}

func TestRunFindsMistakesInTheListFirst(t *testing.T) {
	var out bytes.Buffer
	require.EqualError(t, steps.Run(t.Context(), &out, []steps.Step{does("a", nil, "b"), does("b", nil)}),
		"BUG: step a waits for b, which does not stand before it")
	require.EqualError(t, steps.Run(t.Context(), &out, []steps.Step{does("a", nil), does("a", nil)}), "BUG: two steps are named a")
	require.Empty(t, out.String())
}
