package detect_test

import (
	"testing"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
)

func TestBuiltin(t *testing.T) {
	for _, row := range detect.Builtin {
		t.Run(row.Name, func(t *testing.T) { detecttest.Run(t, row) })
	}
}
