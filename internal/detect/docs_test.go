package detect_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// Every row has its page, in the list of pages, with the same headings and its size.
func TestEveryRowHasAPage(t *testing.T) {
	list, err := os.ReadFile("../../docs/detectors/README.md")
	require.NoError(t, err)
	for _, row := range detect.Builtin {
		page, err := os.ReadFile("../../docs/detectors/" + row.Name + ".md")
		require.NoError(t, err)
		text := string(page)
		require.Contains(t, string(list), fmt.Sprintf("| [%s](%s.md) |", row.Name, row.Name))
		require.Contains(t, text, "# "+row.Name+"\n")
		for _, heading := range []string{"What it finds", "How it works", "When it is wrong", "Settings", "Size and source"} {
			require.Contains(t, text, "\n## "+heading+"\n", row.Name)
		}
		require.Contains(t, text, fmt.Sprintf("\n%d bytes a series.", row.Bytes), row.Name)
	}
}
