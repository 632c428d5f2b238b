package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/portent-dev/portent/internal/detect"
)

const (
	snapshotName = "models.snapshot"
	lockName     = "lock"
	badSuffix    = ".bad"
	// keepBad is how many refused snapshots are kept to look into. A crash loop must not fill the disk.
	keepBad = 3
)

// file is what a snapshot is written to; *os.File in production.
type file interface {
	io.WriteCloser
	Sync() error
}

// state keeps the models on disk. The snapshot's file is whole at any time: a new one is written beside it, synced, and takes
// its name. Methods are safe for concurrent use.
type state struct {
	dir     string
	create  func(path string) (file, error) // os.Create, but for tests of a full disk
	metrics *stateMetrics
	logger  *slog.Logger
	lock    fileutil.Releaser

	mu sync.Mutex // one snapshot at a time
}

// openState makes the directory if it is not there, and locks it against a second exporter.
func openState(dir string, m *stateMetrics, logger *slog.Logger) (*state, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	lock, _, err := fileutil.Flock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock state directory %s, which one exporter at a time can use: %w", dir, err)
	}
	create := func(path string) (file, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	}
	return &state{dir: dir, create: create, metrics: m, logger: logger, lock: lock}, nil
}

func (s *state) close() error { return s.lock.Release() }

func (s *state) path() string { return filepath.Join(s.dir, snapshotName) }

// restore reads the snapshot into the engine. It returns when the snapshot was written, or the zero time after a fresh
// start: because there is none, or because it was refused, which is logged, counted and sets it aside. An error means that
// the process must not go on, for it would soon write over a snapshot that may be good.
func (s *state) restore(e *detect.Engine) (time.Time, error) {
	f, err := os.Open(s.path())
	if errors.Is(err, os.ErrNotExist) {
		s.logger.Info("no snapshot, starting fresh", "directory", s.dir)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("open snapshot: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, fmt.Errorf("open snapshot: %w", err)
	}
	start := time.Now()
	if err := e.Restore(f); err != nil {
		return time.Time{}, s.refuse(err)
	}
	n := e.Stats().Series
	s.metrics.restored.Set(float64(n))
	s.metrics.size.Set(float64(info.Size()))
	s.logger.Info("models restored", "series", n, "taken", info.ModTime().UTC(), "duration", time.Since(start))
	return info.ModTime(), nil
}

// refuse sets a snapshot aside that could not be read.
func (s *state) refuse(cause error) error {
	reason := "unreadable"
	switch {
	case errors.Is(cause, detect.ErrVersion):
		reason = "version"
	case errors.Is(cause, detect.ErrCorrupt):
		reason = "corrupt"
	}
	s.metrics.refused.WithLabelValues(reason).Inc()
	aside, err := s.setAside(s.path())
	if err != nil {
		return fmt.Errorf("set the refused snapshot aside (%w): %w", cause, err)
	}
	s.logger.Error("snapshot refused, starting fresh: every series needs a new baseline", "reason", reason, "err", cause, "kept_as", aside)
	return nil
}

// setAside keeps a file that was refused under another name.
func (s *state) setAside(path string) (aside string, err error) {
	aside = fmt.Sprintf("%s.%d%s", path, time.Now().UnixMilli(), badSuffix)
	if err := os.Rename(path, aside); err != nil {
		s.metrics.errors.WithLabelValues("set_aside").Inc()
		return aside, err
	}
	s.pruneBad(path)
	return aside, nil
}

// pruneBad removes all but the newest refused files of a name. Their names hold the time and sort by it.
func (s *state) pruneBad(path string) {
	bad, err := filepath.Glob(path + ".*" + badSuffix)
	if err != nil {
		return // the pattern is ours: its only error cannot happen
	}
	slices.Sort(bad)
	for _, path := range bad[:max(0, len(bad)-keepBad)] {
		if err := os.Remove(path); err != nil {
			s.logger.Warn("old refused snapshot not removed", "file", path, "err", err)
		}
	}
}

// save writes a snapshot. When it fails the one before is intact, the error is counted and returned.
func (s *state) save(e *detect.Engine) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := time.Now()
	size, err := s.write(s.path(), e.Snapshot)
	if err != nil {
		s.metrics.errors.WithLabelValues("write").Inc()
		return fmt.Errorf("write snapshot: %w", err)
	}
	s.metrics.saved.SetToCurrentTime()
	s.metrics.size.Set(float64(size))
	s.metrics.duration.Set(time.Since(start).Seconds())
	s.logger.Debug("snapshot written", "bytes", size, "duration", time.Since(start))
	return nil
}

// write writes a file whole or not at all.
func (s *state) write(path string, content func(io.Writer) error) (size int64, err error) {
	tmp := path + ".tmp"
	f, err := s.create(tmp)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp) // it takes room on a disk that may be full; the next attempt truncates it anyway
		}
	}()
	w := &counter{w: f}
	buf := bufio.NewWriterSize(w, 1<<20)
	err = content(buf)
	if err == nil {
		err = buf.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	// Rename is atomic, and syncs the directory.
	return w.n, fileutil.Rename(tmp, path)
}

// counter counts what it writes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// writable reports why a directory for the state cannot be used, for --config.check, without making anything: the nearest
// parent that exists must be a directory.
func writable(dir string) error {
	for p := filepath.Clean(dir); ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%s is not a directory", p)
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) || p == filepath.Dir(p):
			return err
		}
	}
}
