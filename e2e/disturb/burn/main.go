// Portent-disturbance is the disturbance of `go tool mage disturb`: it keeps processors busy and holds memory, for a time that
// is set when it starts, and ends earlier when its standard input ends. Its name marks it in ps and top.
package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// longest bounds a disturbance whatever the flags say: nobody wants one that was forgotten.
const longest = 10 * time.Minute

func main() {
	spinners := flag.Int("spinners", 1, "how many threads compute without end")
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
	runtime.GOMAXPROCS(max(*spinners+1, runtime.NumCPU())) // a thread of the system for each, also beyond the processors
	for i := range *spinners {
		go spin(ctx, i%2 == 1)
	}
	held := hold(ctx, *memory)
	<-ctx.Done()
	clear(held) // used to the end, so that it is not collected before
}

// spin computes. It looks at ctx every few milliseconds. Every second thread steps back a little, so that its time is counted as that
// of nice processes: on a machine that is busy with others already, the mark by which the disturbance is seen.
func spin(ctx context.Context, nice bool) {
	if nice {
		stepBack()
	}
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
