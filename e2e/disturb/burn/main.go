// Portent-disturbance is the disturbance of `go tool mage disturb`: it keeps processors busy and holds memory, for a time that
// is set when it starts, and ends earlier when its standard input ends. Its name marks it in ps and top.
package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// longest bounds a disturbance whatever the flags say: nobody wants one that was forgotten.
const longest = 10 * time.Minute

func main() {
	processors := flag.Int("processors", 1, "how many processors to keep busy")
	memory := flag.Int64("memory", 0, "bytes of memory to hold")
	length := flag.Duration("length", time.Minute, "how long, at most 10m")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, min(*length, longest))
	defer cancel()
	go func() { // the end of whoever started this closes its standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for range *processors {
		go spin(ctx)
	}
	held := hold(ctx, *memory)
	<-ctx.Done()
	clear(held) // used to the end, so that it is not collected before
}

// spin keeps one processor busy. It looks at ctx every few milliseconds.
func spin(ctx context.Context) {
	x := uint64(88172645463325252)
	for ctx.Err() == nil {
		for range 1 << 20 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
	}
	_, _ = io.Discard.Write([]byte{byte(x)}) // the result is used, so that the loop stays
}

// hold takes memory and writes to each page, so that it is really taken: 64 MB at a time, so that ctx can end it.
func hold(ctx context.Context, bytes int64) [][]byte {
	const piece, page = 64 << 20, 4096
	var held [][]byte
	for bytes > 0 && ctx.Err() == nil {
		b := make([]byte, min(bytes, piece))
		for i := 0; i < len(b); i += page {
			b[i] = 1
		}
		held = append(held, b)
		bytes -= int64(len(b))
	}
	return held
}
