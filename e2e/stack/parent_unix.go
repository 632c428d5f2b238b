//go:build unix

package stack

import (
	"context"
	"os"
	"time"
)

// UntilParentEnds returns a context that ends when the process that started this one has ended. `go tool mage` puts two
// processes between the terminal and the target; a signal that ends one of those does not reach the target by itself.
func UntilParentEnds(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}
