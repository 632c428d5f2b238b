package detect

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/portent-dev/portent/internal/ingest"
)

// A snapshot is a row of frames: head, blocks, end.
//
//	frame  kind byte · length uint32 · CRC-32C of kind, length and payload uint32 · payload
//	head   magic "portent\x00" · layout uint16 · version of the row uint16 · state bytes uint32 · name of the row
//	block  up to blockLen series: a dictionary of their label pairs, then the series
//	end    number of series uint64
//
// All little endian. The checksum of each frame finds damage before anything of the
// frame is believed; the end finds a file cut short. The layout changes when this
// file does; a row's version when the meaning of its state does.
const (
	snapshotMagic  = "portent\x00"
	snapshotLayout = 1

	frameHead  = 'H'
	frameBlock = 'B'
	frameEnd   = 'E'

	// blockLen series are encoded under one hold of a shard's lock, about a
	// millisecond, and share a dictionary.
	blockLen = 512
	// maxFrame is more than blockLen series with maxLabels labels each need in
	// practice, and bounds what a damaged length can make Restore allocate.
	maxFrame = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot writes the state of all series. Ingestion goes on meanwhile: each series
// is written whole, as it was at some moment of the call; one that is added or
// dropped during the call may be missed. An error is w's.
func (e *Engine) Snapshot(w io.Writer) error {
	out := frameWriter{w: bufio.NewWriterSize(w, 1<<20)}
	head := append([]byte(nil), snapshotMagic...)
	head = binary.LittleEndian.AppendUint16(head, snapshotLayout)
	head = binary.LittleEndian.AppendUint16(head, e.row.Version)
	head = binary.LittleEndian.AppendUint32(head, uint32(e.stateLen))
	out.frame(frameHead, append(head, e.row.Name...))

	enc := blockEncoder{pairs: map[string]uint32{}}
	total := uint64(0)
	for i := range e.shards {
		for next := 0; next >= 0 && out.err == nil; {
			next = e.shards[i].encode(&enc, next)
			if enc.n > 0 {
				total += uint64(enc.n)
				out.frame(frameBlock, enc.block())
			}
		}
	}
	out.frame(frameEnd, binary.LittleEndian.AppendUint64(nil, total))
	return out.close()
}

type frameWriter struct {
	w   *bufio.Writer
	err error
}

func (f *frameWriter) frame(kind byte, payload []byte) {
	if f.err != nil {
		return
	}
	if len(payload) > maxFrame {
		f.err = fmt.Errorf("snapshot: a block of %d bytes, more than %d", len(payload), maxFrame)
		return
	}
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	head = binary.LittleEndian.AppendUint32(head, checksum(head, payload))
	if _, f.err = f.w.Write(head); f.err == nil {
		_, f.err = f.w.Write(payload)
	}
}

func (f *frameWriter) close() error {
	if f.err == nil {
		f.err = f.w.Flush()
	}
	return f.err
}

func checksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:5], castagnoli), castagnoli, payload)
}

// blockEncoder gathers the series of one block.
type blockEncoder struct {
	n      int
	pairs  map[string]uint32 // pair as appendKey writes it → its place in the dictionary
	dict   []byte
	series []byte
	out    []byte
	key    []byte
}

func (b *blockEncoder) reset() {
	b.n, b.dict, b.series = 0, b.dict[:0], b.series[:0]
	clear(b.pairs)
}

// block returns the payload: number of pairs, the pairs, number of series, the series.
func (b *blockEncoder) block() []byte {
	b.out = binary.LittleEndian.AppendUint32(b.out[:0], uint32(len(b.pairs)))
	b.out = append(b.out, b.dict...)
	b.out = binary.LittleEndian.AppendUint32(b.out, uint32(b.n))
	return append(b.out, b.series...)
}

func (b *blockEncoder) pair(l ingest.Label) uint32 {
	b.key = appendKey(b.key[:0], l)
	id, ok := b.pairs[string(b.key)]
	if !ok {
		id = uint32(len(b.pairs))
		b.pairs[string(b.key)] = id
		b.dict = append(b.dict, b.key...)
	}
	return id
}

// encode fills b with the next series from slot on, and returns the slot to go on
// with, or -1 after the last.
func (s *shardState) encode(b *blockEncoder, slot int) int {
	b.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; slot < s.slots && b.n < blockLen; slot++ {
		r := s.series.at(slot)
		if r.flags&live == 0 {
			continue
		}
		b.n++
		ids := s.sets.get(r.labels())
		b.series = binary.LittleEndian.AppendUint16(b.series, uint16(len(ids)))
		for _, id := range ids {
			b.series = binary.LittleEndian.AppendUint32(b.series, b.pair(s.syms.label(id)))
		}
		b.series = appendSeries(b.series, r)
		b.series = s.bank.AppendState(slot, b.series)
	}
	if slot >= s.slots {
		return -1
	}
	return slot
}

// seriesLen is what appendSeries appends.
const seriesLen = 4*8 + 5*4 + 3

func appendSeries(b []byte, r *series) []byte {
	u32, u64 := binary.LittleEndian.AppendUint32, binary.LittleEndian.AppendUint64
	b = u64(b, uint64(r.last))
	for _, v := range [...]float64{r.raw, r.value, r.expected} {
		b = u64(b, math.Float64bits(v))
	}
	for _, v := range [...]float32{r.below, r.above, r.score, r.step} {
		b = u32(b, math.Float32bits(v))
	}
	return append(u32(b, r.since), byte(r.kind), byte(r.reason), byte(r.flags&^fleeting))
}
