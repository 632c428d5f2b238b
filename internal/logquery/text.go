package logquery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/internal/logmine"
)

// Text is a Source: the lines of files, one after the other. With a window, lines count
// whose own time is in it; a line without a time has that of the line before. Limits
// that are 0 are none: a file is read whole.
type Text struct{ Files []TextFile }

// TextFile is one of them.
type TextFile struct {
	Name string
	// Open begins to read. It is called once for each window that is asked for.
	Open func() (io.ReadCloser, error)
}

var _ Source = Text{}

const (
	// blockBytes are read at once, and are one piece of work: enough that handing over
	// costs nothing, little enough that it stays in a cache.
	blockBytes = 256 << 10
	// maxTextLine is how much of a line is looked at; the rest of a longer one is read and
	// dropped.
	maxTextLine = 64 << 10
	// blocksAhead are read and parsed before they are mined.
	blocksAhead = 4
)

// Language is none: files are not asked.
func (Text) Language() string { return "" }

// Narrow returns no query.
func (Text) Narrow(*Filter) Query { return Query{} }

// Read reads all files. Lines are parsed on one processor while those before are mined
// on another.
func (t Text) Read(ctx context.Context, w Window, l Limits, add func(Line)) (Read, error) {
	out := Read{Window: w}
	for _, f := range t.Files {
		if err := f.read(ctx, w, l, &out, add); err != nil {
			return out, fmt.Errorf("%s: %w", f.Name, err)
		}
		if out.Truncated {
			break
		}
	}
	out.Of = out.Lines
	if out.Truncated {
		out.Of = 0
	}
	out.read[All], out.total[All] = float64(out.Lines), float64(out.Lines)
	return out, nil
}

// parsed is the lines of a block.
type parsed struct {
	records []logmine.Record
	lines   []string
}

// errEnough ends reading at a limit.
var errEnough = errors.New("enough was read")

func (f TextFile) read(ctx context.Context, w Window, l Limits, out *Read, add func(Line)) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	blocks := make(chan parsed, blocksAhead)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(blocks)
		return parseBlocks(ctx, in, blocks)
	})
	g.Go(func() error {
		stream := &Stream{Labels: map[string]string{"file": f.Name}, key: f.Name}
		var last time.Time
		untimed := 0
		defer func() {
			if untimed > 0 {
				out.Partial = append(out.Partial, fmt.Sprintf("%s: %d lines carry no time that is known, so they are in no window", f.Name, untimed))
			}
		}()
		for b := range blocks {
			for i := range b.records {
				r := &b.records[i]
				if r.Time != 0 {
					last = time.UnixMilli(r.Time).UTC()
				}
				if !w.IsZero() && (last.Before(w.From) || !last.Before(w.To)) {
					if last.IsZero() {
						untimed++
					}
					continue
				}
				if l.Lines > 0 && out.Lines >= int64(l.Lines) || l.Bytes > 0 && out.Bytes >= l.Bytes {
					out.Truncated = true
					out.Partial = append(out.Partial, fmt.Sprintf("reading stopped at %d lines", out.Lines))
					return errEnough
				}
				out.Lines++
				out.Bytes += int64(len(b.lines[i])) + 1
				line := Line{Stream: stream, Text: b.lines[i], Weight: 1, record: r}
				if r.Time == 0 && !last.IsZero() {
					line.Time = last
				}
				add(line)
			}
		}
		return nil
	})
	if err := g.Wait(); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// parseBlocks cuts the input into blocks of whole lines and parses them. The lines of a
// block share one string.
func parseBlocks(ctx context.Context, in io.Reader, to chan<- parsed) error {
	buf := make([]byte, maxTextLine+blockBytes)
	rest := 0     // bytes in buf of a line that is not whole
	skip := false // the rest of a line that is too long
	for {
		n, err := io.ReadFull(in, buf[rest:rest+blockBytes])
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return err
		}
		n += rest
		whole := n
		if !end {
			whole = bytes.LastIndexByte(buf[:n], '\n') + 1
		}
		p := parseBlock(string(buf[:whole]), &skip)
		if rest = n - whole; rest > maxTextLine { // its tail is dropped when its end comes
			if !skip {
				p.add(string(buf[whole : whole+maxTextLine]))
			}
			rest, skip = 0, true
		}
		copy(buf, buf[whole:whole+rest])
		select {
		case to <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		if end {
			return nil
		}
	}
}

// parseBlock parses the lines of a block.
func parseBlock(block string, skip *bool) parsed {
	n := strings.Count(block, "\n") + 2
	p := parsed{make([]logmine.Record, 0, n), make([]string, 0, n)}
	for block != "" {
		var line string
		line, block, _ = strings.Cut(block, "\n")
		if *skip {
			*skip = false
			continue
		}
		p.add(line[:min(len(line), maxTextLine)])
	}
	return p
}

func (p *parsed) add(line string) {
	p.lines = append(p.lines, line)
	p.records = append(p.records, logmine.Parse(line))
}
