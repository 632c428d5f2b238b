package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// input is what a command reads: a file, or standard input for "" and "-". It shows
// its progress on stderr when that is a terminal and reading takes over a second.
type input struct {
	name   string
	reader io.Reader
	close  func() error
}

// progressAfter is how long reading may take in silence.
const progressAfter = time.Second

func openInput(path string, std stdio) (*input, error) {
	in := &input{name: path, reader: std.in, close: func() error { return nil }}
	size := int64(-1) // of a pipe nobody knows
	if path == "" || path == "-" {
		in.name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in.reader, in.close = f, f.Close
	}
	if f, ok := std.err.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		in.showProgress(size, f)
	}
	return in, nil
}

func (in *input) showProgress(size int64, to io.Writer) {
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(to),
		progressbar.OptionSetDescription(in.name),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetVisibility(true),
		progressbar.OptionSetRenderBlankState(false),
	)
	in.reader = &progressReader{r: in.reader, bar: bar, since: time.Now()}
	closeFile := in.close
	in.close = func() error {
		_ = bar.Finish()
		return closeFile()
	}
}

// progressReader tells the bar what was read, once it took long enough to matter.
type progressReader struct {
	r       io.Reader
	bar     *progressbar.ProgressBar
	since   time.Time
	pending int
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.pending += n; time.Since(p.since) > progressAfter {
		if addErr := p.bar.Add(p.pending); addErr != nil && err == nil {
			err = fmt.Errorf("progress: %w", addErr)
		}
		p.pending = 0
	}
	return n, err
}
