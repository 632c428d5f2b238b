package app

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/portent-dev/portent/internal/logmine"
)

// maxRemembered bounds the patterns whose first sight is remembered: about 200 bytes
// each, and a new one is compared with all.
const maxRemembered = 20_000

// memory knows when each pattern was first seen, over restarts.
type memory struct {
	since     time.Time // when the first line could have been seen
	seen      map[string]sight
	forgotten int
	compared  int // new patterns compared with all others, since the last look
}

// maxCompared bounds the new patterns of one look that are compared with all that are
// known, at about 1 ms each. Beyond it, in a flood, all count as new.
const maxCompared = 100

// sight is when a pattern was first and last seen, Unix ms.
type sight struct {
	Template string `json:"template"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	New      bool   `json:"new,omitempty"` // it came after the learning
}

func newMemory(now time.Time) memory { return memory{since: now, seen: map[string]sight{}} }

// see takes note that a pattern is there, and reports whether it is new. It is not
// when a known template says the same with more or with fewer words left out: one
// grows more general as lines come, and begins anew after a restart.
func (m *memory) see(id, template string, now time.Time, learning time.Duration) (s sight, first bool) {
	s, ok := m.seen[id]
	if !ok {
		s = sight{Template: template, First: now.UnixMilli(), New: now.Sub(m.since) >= learning}
		if s.New && m.compared < maxCompared {
			m.compared++
			if known, ok := m.like(template); ok {
				s.First, s.New = known.First, known.New
			}
		}
		first = s.New && s.First == now.UnixMilli()
		if len(m.seen) >= maxRemembered {
			m.forget(maxRemembered / 10)
		}
	}
	s.Last = now.UnixMilli()
	m.seen[id] = s
	return s, first
}

// like returns the oldest known pattern whose template covers this one, or that is
// covered by it.
func (m *memory) like(template string) (oldest sight, ok bool) {
	for _, s := range m.seen {
		if (!ok || s.First < oldest.First) && (logmine.Covers(s.Template, template) || logmine.Covers(template, s.Template)) {
			oldest, ok = s, true
		}
	}
	return oldest, ok
}

// forget drops the n patterns that were seen last the longest ago.
func (m *memory) forget(n int) {
	ids := make([]string, 0, len(m.seen))
	for id := range m.seen {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(m.seen[a].Last, m.seen[b].Last), cmp.Compare(a, b)) })
	for _, id := range ids[:n] {
		delete(m.seen, id)
	}
	m.forgotten += n
}

// The file of a memory: a line that names its version and the SHA-256 of the rest,
// which is one JSON document.
const (
	memoryName    = "patterns.snapshot"
	memoryVersion = "portent-patterns 1"
)

type memoryFile struct {
	Since time.Time        `json:"since"`
	Seen  map[string]sight `json:"seen"`
}

func (m *memory) save(dir string) error {
	body, err := json.Marshal(memoryFile{m.since, m.seen})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	path := filepath.Join(dir, memoryName)
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("write patterns: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s %s\n%s", memoryVersion, hex.EncodeToString(sum[:]), body)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write patterns: %w", errors.Join(err, os.Remove(tmp)))
	}
	return fileutil.Rename(tmp, path) // atomic, and syncs the directory
}

var errMemory = errors.New("the file is damaged or of another version")

// load reads the file in dir over m. Without one m stays as it is.
func (m *memory) load(dir string) error {
	content, err := os.ReadFile(filepath.Join(dir, memoryName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := bufio.NewReader(bytes.NewReader(content)).ReadString('\n')
	if err != nil {
		return errMemory
	}
	body := content[len(head):]
	sum := sha256.Sum256(body)
	if head != memoryVersion+" "+hex.EncodeToString(sum[:])+"\n" {
		return errMemory
	}
	var f memoryFile
	if err := json.Unmarshal(body, &f); err != nil {
		return errMemory
	}
	m.since = f.Since
	for id, s := range f.Seen {
		m.seen[id] = s
	}
	return nil
}

// openMemory takes the memory over from the state directory. A file that cannot be
// read is set aside, as a snapshot of models is.
func (l *logs) openMemory(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.memory.load(dir)
	if err == nil {
		return nil
	}
	path := filepath.Join(dir, memoryName)
	return errors.Join(fmt.Errorf("read patterns (set aside as %s%s; every pattern is learnt anew): %w", memoryName, badSuffix, err), os.Rename(path, path+badSuffix))
}

func (l *logs) saveMemory(dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	return l.memory.save(dir)
}
