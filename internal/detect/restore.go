package detect

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/ingest"
)

// Restore replaces all series by what Snapshot wrote. The file is read whole and
// checked before anything changes: on an error (ErrVersion, ErrCorrupt, or r's) the
// engine is as it was. Series beyond Options.MaxSeries are left out and counted as
// refused. Meanwhile memory holds both; samples that come in are lost to the old.
func (e *Engine) Restore(r io.Reader) error {
	fresh, err := NewEngine(e.opts)
	if err != nil {
		return err
	}
	if err := fresh.load(bufio.NewReaderSize(r, 1<<20)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for i := range e.shards {
		old, s := &e.shards[i], &fresh.shards[i]
		old.mu.Lock()
		stats := old.stats
		stats.SeriesRefused += s.stats.SeriesRefused
		e.series.Add(int64(s.index.used - old.index.used))
		old.index, old.series, old.slots, old.free = s.index, s.series, s.slots, s.free
		old.sets, old.syms, old.bank, old.stats = s.sets, s.syms, s.bank, stats
		old.mu.Unlock()
	}
	return nil
}

func (e *Engine) load(r io.Reader) error {
	kind, payload, err := readFrame(r, nil)
	if err != nil {
		return err
	}
	if err := e.checkHead(kind, payload); err != nil {
		return err
	}
	for total := uint64(0); ; {
		if kind, payload, err = readFrame(r, payload); err != nil {
			return err
		}
		switch kind {
		case frameBlock:
			n, err := e.loadBlock(payload)
			if err != nil {
				return err
			}
			total += uint64(n)
		case frameEnd:
			if len(payload) != 8 || binary.LittleEndian.Uint64(payload) != total {
				return fmt.Errorf("%w: %d series read, not as many as were written", ErrCorrupt, total)
			}
			return nil
		default:
			return fmt.Errorf("%w: frame of kind %q", ErrCorrupt, kind)
		}
	}
}

// readFrame reads one frame into buf, or a larger one, and checks its sum.
func readFrame(r io.Reader, buf []byte) (kind byte, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, cut(err)
	}
	n := int(binary.LittleEndian.Uint32(head[1:]))
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes", ErrCorrupt, n)
	}
	// Grown as it is read, so that a damaged length costs no more than the file has.
	payload = buf[:0]
	for len(payload) < n {
		step := min(n-len(payload), 1<<20)
		payload = append(payload, make([]byte, step)...)
		if _, err := io.ReadFull(r, payload[len(payload)-step:]); err != nil {
			return 0, nil, cut(err)
		}
	}
	if checksum(head[:], payload) != binary.LittleEndian.Uint32(head[5:]) {
		return 0, nil, fmt.Errorf("%w: checksum differs", ErrCorrupt)
	}
	return head[0], payload, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", ErrCorrupt)
	}
	return err
}

func (e *Engine) checkHead(kind byte, head []byte) error {
	if kind != frameHead || len(head) < 16 || string(head[:8]) != snapshotMagic {
		return fmt.Errorf("%w: not a snapshot", ErrCorrupt)
	}
	layout, version := binary.LittleEndian.Uint16(head[8:]), binary.LittleEndian.Uint16(head[10:])
	name, size := string(head[16:]), binary.LittleEndian.Uint32(head[12:])
	if layout != snapshotLayout {
		return fmt.Errorf("%w: layout %d, want %d", ErrVersion, layout, snapshotLayout)
	}
	if name != e.row.Name || version != e.row.Version {
		return fmt.Errorf("%w: detector %q version %d, want %q version %d", ErrVersion, name, version, e.row.Name, e.row.Version)
	}
	if want := uint32(e.stateLen); size != want {
		return fmt.Errorf("%w: states of %d bytes, want %d", ErrVersion, size, want)
	}
	return nil
}

// loadBlock adds the series of one block, whose sum is right: what does not fit now
// was written wrong, and still must not panic.
func (e *Engine) loadBlock(b []byte) (int, error) {
	short := fmt.Errorf("%w: a block ends early", ErrCorrupt)
	pairs, b, ok := readPairs(b)
	if !ok || len(b) < 4 {
		return 0, short
	}
	n, b := int(binary.LittleEndian.Uint32(b)), b[4:]
	var key []byte
	for range n {
		if len(b) < 2 {
			return 0, short
		}
		labels := int(binary.LittleEndian.Uint16(b))
		if b = b[2:]; labels > maxLabels || len(b) < 4*labels+seriesLen+e.stateLen {
			return 0, short
		}
		key = key[:0]
		for ; labels > 0; labels, b = labels-1, b[4:] {
			id := binary.LittleEndian.Uint32(b)
			if int64(id) >= int64(len(pairs)) {
				return 0, fmt.Errorf("%w: label %d of %d", ErrCorrupt, id, len(pairs))
			}
			key = append(key, pairs[id]...)
		}
		if err := e.loadSeries(key, b[:seriesLen], b[seriesLen:seriesLen+e.stateLen]); err != nil {
			return 0, err
		}
		b = b[seriesLen+e.stateLen:]
	}
	if len(b) > 0 {
		return 0, fmt.Errorf("%w: %d bytes after a block", ErrCorrupt, len(b))
	}
	return n, nil
}

// readPairs reads a block's dictionary and returns what follows it.
func readPairs(b []byte) (pairs [][]byte, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(binary.LittleEndian.Uint32(b))
	for b = b[4:]; n > 0; n-- {
		name, value, rest := keyHead(b)
		if name < 0 || uint64(name)+uint64(value) > uint64(len(rest)) {
			return nil, nil, false
		}
		pairs = append(pairs, b[:8+name+value])
		b = rest[name+value:]
	}
	return pairs, b, true
}

func (e *Engine) loadSeries(key, head, state []byte) error {
	var r series
	if err := readSeries(head, &r); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	hash := xxhash.Sum64(key)
	s := &e.shards[e.shard(hash)].shardState
	slot := s.find(hash, key)
	switch {
	case slot >= 0: // dropped and added again while the snapshot was taken: the later one counts
	case e.series.Load() >= int64(e.opts.MaxSeries):
		s.stats.SeriesRefused++
		return nil
	default:
		e.series.Add(1)
		slot = s.add(hash, key, r.kind)
	}
	at := s.series.at(slot)
	r.labelsAt, r.labelsN, r.class = at.labelsAt, at.labelsN, at.class
	r.flags |= at.flags & fleeting
	*at = r
	return s.bank.LoadState(slot, state)
}

func readSeries(b []byte, r *series) error {
	r.last = int64(binary.LittleEndian.Uint64(b))
	b = b[8:]
	for _, v := range [...]*float64{&r.raw, &r.value, &r.expected} {
		*v = math.Float64frombits(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for _, v := range [...]*float32{&r.below, &r.above, &r.score, &r.step} {
		*v = math.Float32frombits(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	r.since = binary.LittleEndian.Uint32(b)
	r.kind, r.reason, r.flags = ingest.Kind(b[4]), Reason(b[5]), flags(b[6])
	switch {
	case r.kind > ingest.KindCounter, r.flags&live == 0, r.flags >= ready<<1, int(r.reason) >= len(reasonNames):
		return errors.New("impossible flags")
	case r.flags&(shown|ready) == ready, (r.score > 1) != (r.since > 0), (r.score > 1) != (r.reason > 0):
		return errors.New("impossible state")
	case r.last < 0, r.last > latestMs, int64(r.since)*1000 >= r.last+1000:
		return errors.New("impossible times")
	case !(r.step >= 0), !(r.score >= 0), r.score > MaxScore, r.flags&ready == 0 && r.score > 0:
		return errors.New("impossible score")
	case math.IsNaN(r.expected - r.expected), !(r.below >= 0), !(r.above >= 0):
		return errors.New("impossible band")
	}
	return nil
}
