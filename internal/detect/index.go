package detect

// index finds a slot by a hash: open addressing with linear probing, eight bytes an
// entry (the upper half of the hash, which also gives its place, and the slot plus
// one), at most three quarters full. Go's map would cost some forty bytes an entry
// and a pointer chase more. The zero value is ready.
type index struct {
	entries []uint64 // a power of two; 0 = free
	used    int
}

// home returns where the probing for an entry, or for a hash, begins. The lowest
// bits have chosen the shard; the upper half is kept, so that growing needs no hash
// but those in the entries. Four billion places are more than memory has.
func (x *index) home(entry uint64) int { return int(entry>>32) & (len(x.entries) - 1) }

// find returns the slot whose hash is hash and for which same reports true, or -1.
func (x *index) find(hash uint64, same func(slot int) bool) int {
	if x.used == 0 {
		return -1
	}
	mask := len(x.entries) - 1
	for i := x.home(hash); ; i = (i + 1) & mask {
		e := x.entries[i]
		if e == 0 {
			return -1
		}
		if e>>32 == hash>>32 {
			if slot := int(uint32(e)) - 1; same(slot) {
				return slot
			}
		}
	}
}

// add enters a slot that is not there yet.
func (x *index) add(hash uint64, slot int) {
	if 4*(x.used+1) > 3*len(x.entries) {
		old := x.entries
		x.entries = make([]uint64, max(64, 2*len(old)))
		for _, e := range old {
			if e != 0 {
				x.put(e)
			}
		}
	}
	x.put(hash>>32<<32 | uint64(uint32(slot+1)))
	x.used++
}

func (x *index) put(entry uint64) {
	mask := len(x.entries) - 1
	i := x.home(entry)
	for x.entries[i] != 0 {
		i = (i + 1) & mask
	}
	x.entries[i] = entry
}

// remove takes a slot out and closes the hole behind it (Knuth, TAOCP 6.4,
// algorithm R), so that churn leaves no tombstones.
func (x *index) remove(hash uint64, slot int) {
	mask := len(x.entries) - 1
	i := x.home(hash)
	for uint32(x.entries[i]) != uint32(slot+1) {
		if x.entries[i] == 0 {
			panic("BUG: index: removing a slot that is not there")
		}
		i = (i + 1) & mask
	}
	x.used--
	for j := i; ; {
		x.entries[i] = 0
		for {
			j = (j + 1) & mask
			e := x.entries[j]
			if e == 0 {
				return
			}
			// e may fill the hole unless its home lies cyclically in (i, j].
			if h := x.home(e); (j-h)&mask >= (j-i)&mask {
				x.entries[i] = e
				i = j
				break
			}
		}
	}
}

func (x *index) bytes() int64 { return int64(len(x.entries)) * 8 }
