// Command front runs receivers over one PostgreSQL behind one address and kills one of them again and again, for tools that
// want to start a single program: `go tool mage storms` with chaos.py.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/portent-dev/portent/e2e/replicas"
)

func main() {
	o := replicas.Options{}
	listen := flag.String("listen", "127.0.0.1:9751", "where requests for the receivers come in")
	every := flag.Duration("kill-every", 10*time.Second, "time between two kills; 0: none")
	flag.StringVar(&o.Receiver, "receiver", "portent-receiver", "the program")
	flag.StringVar(&o.Config, "config", "", "its configuration")
	flag.StringVar(&o.Dir, "dir", ".", "takes the logs")
	flag.IntVar(&o.Count, "count", 3, "how many receivers")
	flag.Parse()
	o.Args = flag.Args()
	if err := run(o, *listen, *every); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run works until SIGINT or SIGTERM.
func run(o replicas.Options, listen string, every time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	set, err := replicas.Start(ctx, o)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: listen, Handler: set, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	for n := 1; ctx.Err() == nil; n++ {
		var tick <-chan time.Time
		if every > 0 {
			tick = time.After(every)
		}
		select {
		case <-tick:
			if err = set.Kill(ctx, time.Second); err == nil {
				fmt.Fprintln(os.Stderr, "kill", n)
				continue
			}
		case err = <-failed:
		}
		break
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, set.Close())
}
