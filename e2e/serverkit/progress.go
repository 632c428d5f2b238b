package serverkit

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// progressEvery is how often a build says that it is still at work: often enough that nobody takes it for dead, rarely
	// enough for a log.
	progressEvery = 10 * time.Second
	// progressTail is how many lines of a failed build's output are kept for the error.
	progressTail = 20
)

// progress reads the output of `go build -v`, a line for each package or download, and reports counts and time.
type progress struct {
	out   io.Writer
	name  string
	start time.Time
	stop  chan struct{}
	done  chan struct{}

	mu         sync.Mutex
	partial    []byte
	lines      []string // the last progressTail of them
	downloaded int
	compiled   int
}

func newProgress(out io.Writer, s server, version, dir string) *progress {
	if out == nil {
		out = io.Discard
	}
	p := &progress{out: out, name: s.name + " " + version, start: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	fmt.Fprintf(out, "building %s: about %d minutes of processor time when nothing is cached, once; kept in %s\n", p.name, s.minutes, dir)
	go p.report()
	return p
}

func (p *progress) report() {
	defer close(p.done)
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			downloaded, compiled := p.downloaded, p.compiled
			p.mu.Unlock()
			fmt.Fprintf(p.out, "building %s: %s, %d modules downloaded, %d packages compiled\n",
				p.name, time.Since(p.start).Round(time.Second), downloaded, compiled)
		case <-p.stop:
			return
		}
	}
}

// Write takes the build's output.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, b...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.line(string(line))
		p.partial = rest
	}
}

func (p *progress) line(line string) {
	if strings.HasPrefix(line, "go: downloading ") {
		p.downloaded++
		return
	}
	if !strings.ContainsAny(line, " :") { // an import path alone
		p.compiled++
		return
	}
	p.lines = append(p.lines, line)
	if len(p.lines) > progressTail {
		p.lines = p.lines[1:]
	}
}

func (p *progress) finish(err error) {
	close(p.stop)
	<-p.done
	result := "built"
	if err != nil {
		result = "failed to build"
	}
	fmt.Fprintf(p.out, "%s %s in %s\n", result, p.name, time.Since(p.start).Round(time.Second))
}

// tail is the last lines of the output that are neither a package nor a download: what the compiler said.
func (p *progress) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(append(p.lines, string(p.partial)), "\n")
}
