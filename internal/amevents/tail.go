package amevents

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/portent-dev/portent/internal/noise"
)

// A Store keeps what was recorded. What it has already it does not count again, so a file may be read twice.
type Store interface {
	PutRecorded(ctx context.Context, rs []noise.Recorded) error
	// PutLearned keeps how far a file was read; Learned returns it, nil at first.
	PutLearned(ctx context.Context, name string, body []byte) error
	Learned(ctx context.Context, name string) ([]byte, error)
}

// Options of Tail. All are needed.
type Options struct {
	Path   string
	Store  Store
	Every  time.Duration // between two looks
	Logger *slog.Logger
	Count  func(events, refused int) // for metrics
}

const (
	// maxLine bounds one event: a notification holds all alerts of its group.
	maxLine = 8 << 20
	// batch bounds what is stored at once.
	batch = 500
	// head is how much of a file's begin tells it from another one.
	head = 1024
)

// place is how far a file was read. A file that begins otherwise, or is shorter, is another one: it was rotated.
type place struct {
	Head   string `json:"head"`
	Size   int    `json:"size"` // of what Head was made of
	Offset int64  `json:"offset"`
}

// Tail reads a file that Alertmanager appends to, until ctx ends, and goes on where it stopped after a restart. What is wrong
// with the file or the store is logged when it changes, and tried again. Lines that are no events are counted and passed over.
func Tail(ctx context.Context, o Options) error {
	var failing string
	for {
		more, err := o.look(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop
		}
		if err != nil && err.Error() != failing {
			failing = err.Error()
			o.Logger.Warn("event_file_not_read", "path", o.Path, "err", err, "hint", "it is tried again")
		} else if err == nil {
			failing = ""
		}
		if more && err == nil {
			continue
		}
		select {
		case <-time.After(o.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

func (o Options) name() string { return "event-file:" + o.Path }

// look reads one batch; more says that there may be another.
func (o Options) look(ctx context.Context) (more bool, err error) {
	f, err := os.Open(o.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	at, err := o.resume(ctx, f)
	if err != nil {
		return false, err
	}
	if _, err := f.Seek(at.Offset, io.SeekStart); err != nil {
		return false, err
	}
	r := bufio.NewReaderSize(f, 64<<10)
	var rs []noise.Recorded
	var events, refused int
	start := at.Offset
	for events+refused < batch {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) { // what is there of a line is read when it is whole
			break
		}
		if err != nil && !errors.Is(err, errLong) {
			return false, err
		}
		at.Offset += line.size
		got, n, err := Decode(line.text)
		if err != nil || line.size > maxLine {
			refused++
			continue
		}
		rs, events = append(rs, got...), events+n
	}
	if at.Offset == start {
		return false, nil
	}
	if err := o.Store.PutRecorded(ctx, rs); err != nil {
		return false, err
	}
	body, err := json.Marshal(at)
	if err != nil {
		return false, err
	}
	o.Count(events, refused)
	return true, o.Store.PutLearned(ctx, o.name(), body)
}

// resume finds where to go on.
func (o Options) resume(ctx context.Context, f *os.File) (place, error) {
	body, err := o.Store.Learned(ctx, o.name())
	if err != nil {
		return place{}, err
	}
	var was place
	if body != nil && json.Unmarshal(body, &was) != nil {
		was = place{} // read it all again: nothing is counted twice
	}
	begin := make([]byte, head)
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return place{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return place{}, err
	}
	now := place{Head: digest(begin[:n]), Size: n}
	if was.Size > 0 && was.Size <= n && was.Head == digest(begin[:was.Size]) && was.Offset <= info.Size() {
		now.Offset = was.Offset
	}
	return now, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

type line struct {
	text []byte // at most maxLine
	size int64  // with its line break
}

var errLong = fmt.Errorf("a line is longer than %d bytes", maxLine)

// readLine returns io.EOF for a line without its end.
func readLine(r *bufio.Reader) (l line, err error) {
	var b bytes.Buffer
	for {
		part, err := r.ReadSlice('\n')
		l.size += int64(len(part))
		if b.Len() <= maxLine {
			b.Write(part)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return l, err
		case l.size > maxLine:
			return line{size: l.size}, errLong
		default:
			l.text = b.Bytes()
			return l, nil
		}
	}
}
