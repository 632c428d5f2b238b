package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
)

// groupsName is the file of what groups have learnt, beside that of the models: one of them that is refused leaves the other.
const groupsName = "groups.snapshot"

// restoreGroups reads what groups had learnt. What cannot be used is set aside, counted and said, and groups learn anew; it
// never keeps the exporter from starting, since what is lost is an hour.
func (s *state) restoreGroups(w *group.Watch, now time.Time) {
	path := filepath.Join(s.dir, groupsName)
	data, err := readBounded(path, group.MostStateBytes)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	members := 0
	if err == nil {
		members, err = w.Restore(data, now.UnixMilli())
	}
	if err == nil {
		s.metrics.restoredMembers.Set(float64(members))
		s.logger.Info("groups restored", "members", members)
		return
	}
	reason := "unreadable"
	switch {
	case errors.Is(err, detect.ErrVersion):
		reason = "version"
	case errors.Is(err, detect.ErrCorrupt):
		reason = "corrupt"
	case errors.Is(err, group.ErrOld):
		reason = "old"
	}
	s.metrics.refusedGroups.WithLabelValues(reason).Inc()
	aside, moved := s.setAside(path)
	s.logger.Error("groups not restored: they learn anew, for an hour or more", "reason", reason, "err", err, "kept_as", aside, "set_aside", moved)
}

// readBounded reads a file that is not larger than it can be.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() > most {
		err = fmt.Errorf("%w: %d bytes, more than %d", detect.ErrCorrupt, info.Size(), most)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// saveGroups writes what groups have learnt. When it fails the file before is intact, the error is counted and returned.
func (s *state) saveGroups(w *group.Watch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	content := w.AppendState(nil)
	_, err := s.write(filepath.Join(s.dir, groupsName), func(to io.Writer) error {
		_, err := to.Write(content)
		return err
	})
	if err != nil {
		s.metrics.errors.WithLabelValues("write").Inc()
		return fmt.Errorf("write groups: %w", err)
	}
	return nil
}

// handOver gives groups of a new configuration what those before have learnt, as far as their rules are the same.
func (a *App) handOver(from, to *group.Watch) {
	if from == nil {
		return
	}
	if _, err := to.Restore(from.AppendState(nil), time.Now().UnixMilli()); err != nil {
		a.logger.Error("groups learn anew", "err", err)
	}
}
