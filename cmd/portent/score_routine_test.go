package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// With --routine a job that runs each night is told for three nights; without, for as long as the detector does. Nothing is told that
// was not without it.
func TestScoreHoldsBackWhatIsRoutine(t *testing.T) {
	var in strings.Builder
	in.WriteString("timestamp,cpu\n")
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 8 * 288 {
		at := start.Add(time.Duration(i) * 5 * time.Minute)
		v := 100 + float64(i*7919%13)
		if m := i % 288; m >= 24 && m < 32 {
			v += 300 + float64(i*31%17)
		}
		fmt.Fprintf(&in, "%s,%g\n", at.Format(time.RFC3339), v)
	}
	row, err := detect.Lookup(detect.DefaultDetector)
	require.NoError(t, err)
	told := func(routine bool) (nights map[int]int) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		_, err := scoreCSV(bufio.NewReader(strings.NewReader(in.String())), w, row, detect.Config{Sensitivity: detect.High}, nil, routine)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		lines, err := csv.NewReader(&out).ReadAll()
		require.NoError(t, err)
		nights = map[int]int{}
		for i, l := range lines[1:] {
			score, err := strconv.ParseFloat(l[1], 64)
			require.NoError(t, err)
			if score > 1 {
				nights[i/288]++
			}
		}
		return nights
	}
	with, without := told(true), told(false)
	require.Equal(t, without[1], with[1])
	require.Equal(t, without[2], with[2])
	more, held := 0, 0
	for night := 5; night < 8; night++ {
		more, held = more+without[night], held+with[night]
	}
	require.Positive(t, more)
	require.Zero(t, held)
}
