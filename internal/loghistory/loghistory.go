// Package loghistory keeps on disk what a logwatch.Watch knows, so that a restart does
// not make known patterns new: a snapshot that is written whole, and beside it a
// journal of the first sights since, each on disk when Append returns
// (docs/adr/0008-a-file-of-our-own-for-the-history-of-patterns.md).
//
// It must not know what a pattern is beyond those two types.
package loghistory

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/portent-dev/portent/internal/logwatch"
)

const (
	snapshotName = "log-patterns.snapshot"
	journalName  = "log-patterns.journal"
	badSuffix    = ".bad"
	version      = "portent-log-patterns 1"
	// keepBad is how many files that were set aside are kept to look into.
	keepBad = 3
	// maxDecoded bounds what a snapshot may become in memory while it is read.
	maxDecoded = 1 << 30
	// maxJournal bounds the journal between two snapshots: 100,000 first sights. More
	// are not written; the next snapshot has them.
	maxJournal = 20 << 20
)

var (
	// ErrCorrupt says that a file is damaged.
	ErrCorrupt = errors.New("the file is damaged")
	// ErrVersion says that it was written by another version.
	ErrVersion = errors.New("the file was written by another version")
	// ErrTooLarge says that a State does not fit into the size that is allowed.
	ErrTooLarge = errors.New("the history is larger than allowed")
)

// Store is the files in one directory. It is not safe for concurrent use, and one
// process at a time may use a directory: its caller locks it.
type Store struct {
	dir     string
	journal *os.File
	size    int64 // of the journal
}

// Loaded is what Open found.
type Loaded struct {
	State  logwatch.State
	Found  bool // there was a snapshot
	Sights []logwatch.FirstSight
	Torn   int // bytes at the end of the journal that a crash left half written
	// Refused is why the snapshot, or the journal, was set aside, nil if it was not:
	// ErrCorrupt, ErrVersion, or what the system said. State is then empty.
	Refused error
}

// Open reads what is in a directory, and sets aside, as .bad, what it cannot read. An
// error means that the directory cannot be used at all.
func Open(dir string) (*Store, Loaded, error) {
	s := &Store{dir: dir}
	var l Loaded
	var err error
	if l.State, l.Found, err = s.readSnapshot(); err != nil {
		l.Refused = errors.Join(fmt.Errorf("%s: %w", snapshotName, err), s.setAside(snapshotName))
		l.State, l.Found = logwatch.State{}, false
	}
	if l.Sights, l.Torn, err = s.readJournal(); err != nil {
		l.Refused = errors.Join(l.Refused, fmt.Errorf("%s: %w", journalName, err), s.setAside(journalName))
	}
	s.journal, err = os.OpenFile(filepath.Join(dir, journalName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, l, fmt.Errorf("open the journal of log patterns: %w", err)
	}
	info, err := s.journal.Stat()
	if err == nil {
		s.size = info.Size() - int64(l.Torn)
		err = s.journal.Truncate(s.size)
	}
	if err != nil {
		return nil, l, errors.Join(fmt.Errorf("open the journal of log patterns: %w", err), s.journal.Close())
	}
	return s, l, nil
}

func (s *Store) readSnapshot() (st logwatch.State, found bool, err error) {
	content, err := os.ReadFile(filepath.Join(s.dir, snapshotName))
	if errors.Is(err, os.ErrNotExist) {
		return st, false, nil
	}
	if err != nil {
		return st, false, err
	}
	head, body, ok := bytes.Cut(content, []byte("\n"))
	name, sum, ok2 := bytes.Cut(head, []byte(" sha256:"))
	switch {
	case !ok || !ok2:
		return st, false, ErrCorrupt
	case string(name) != version:
		return st, false, fmt.Errorf("%w: want %q, got %q", ErrVersion, version, name[:min(len(name), 60)])
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != string(sum) {
		return st, false, fmt.Errorf("%w: its checksum is another", ErrCorrupt)
	}
	d, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoded))
	if err != nil {
		return st, false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	defer d.Close()
	if err := json.NewDecoder(d).Decode(&st); err != nil {
		return st, false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return st, true, nil
}

// readJournal reads the lines `crc32 {…}`. The last one may be torn by a crash; damage
// before it is an error.
func (s *Store) readJournal() (out []logwatch.FirstSight, torn int, err error) {
	content, err := os.ReadFile(filepath.Join(s.dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for len(content) > 0 {
		line, rest, whole := bytes.Cut(content, []byte("\n"))
		f, ok := parseSight(line)
		if !whole || !ok {
			if len(rest) > 0 {
				return nil, 0, ErrCorrupt
			}
			return out, len(content), nil
		}
		out, content = append(out, f), rest
	}
	return out, 0, nil
}

func parseSight(line []byte) (f logwatch.FirstSight, ok bool) {
	sum, body, _ := bytes.Cut(line, []byte(" "))
	n, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(n) != crc32.ChecksumIEEE(body) {
		return f, false
	}
	return f, json.Unmarshal(body, &f) == nil
}

// setAside renames a file and removes the oldest of those set aside before.
func (s *Store) setAside(name string) error {
	path := filepath.Join(s.dir, name)
	aside := fmt.Sprintf("%s.%d%s", path, time.Now().UnixMilli(), badSuffix)
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	bad, _ := filepath.Glob(path + ".*" + badSuffix) // the pattern is ours: its only error cannot happen
	slices.Sort(bad)
	for _, old := range bad[:max(0, len(bad)-keepBad)] {
		_ = os.Remove(old) // it stays: that is all
	}
	return nil
}

// Append writes first sights to the journal and syncs it.
func (s *Store) Append(sights []logwatch.FirstSight) error {
	if len(sights) == 0 || s.size > maxJournal {
		return nil
	}
	var b bytes.Buffer
	for i := range sights {
		body, err := json.Marshal(&sights[i])
		if err != nil {
			return fmt.Errorf("write the journal of log patterns: %w", err)
		}
		fmt.Fprintf(&b, "%08x %s\n", crc32.ChecksumIEEE(body), body)
	}
	n, err := s.journal.Write(b.Bytes())
	if err == nil {
		err = s.journal.Sync()
	}
	if err != nil {
		// A half written line must not stand before whole ones.
		return errors.Join(fmt.Errorf("write the journal of log patterns: %w", err), s.journal.Truncate(s.size))
	}
	s.size += int64(n)
	return nil
}

// Save writes a snapshot in the place of the one before and empties the journal. It
// returns the size of the file, also with ErrTooLarge, when nothing is written.
func (s *Store) Save(st logwatch.State, maxBytes int64) (size int64, err error) {
	var body bytes.Buffer
	z, err := zstd.NewWriter(&body, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("write log patterns: %w", err)
	}
	if err := errors.Join(json.NewEncoder(z).Encode(st), z.Close()); err != nil {
		return 0, fmt.Errorf("write log patterns: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	head := version + " sha256:" + hex.EncodeToString(sum[:]) + "\n"
	if size = int64(len(head) + body.Len()); size > maxBytes {
		return size, ErrTooLarge
	}
	path := filepath.Join(s.dir, snapshotName)
	if err := writeFile(path+".tmp", head, body.Bytes()); err != nil {
		return size, fmt.Errorf("write log patterns: %w", errors.Join(err, os.Remove(path+".tmp")))
	}
	if err := fileutil.Rename(path+".tmp", path); err != nil { // atomic, and syncs the directory
		return size, fmt.Errorf("write log patterns: %w", err)
	}
	// A crash before this leaves sights in the journal that the snapshot has too, which
	// is harmless.
	s.size = 0
	if err := s.journal.Truncate(0); err != nil {
		return size, fmt.Errorf("empty the journal of log patterns: %w", err)
	}
	return size, nil
}

func writeFile(path, head string, body []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, _ = w.WriteString(head) // Flush returns the first error
	_, _ = w.Write(body)
	err = w.Flush()
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Close lets go of the journal.
func (s *Store) Close() error { return s.journal.Close() }
