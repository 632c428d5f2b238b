//go:build !unix

package stack

import "context"

// UntilParentEnds returns a context that ends with ctx: where processes have no parents, there is nothing to watch.
func UntilParentEnds(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
