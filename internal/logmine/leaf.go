package logmine

// leaf is a skeleton of lines: their words and separators, with every parameter
// left out. Many leaves make a pattern: a cluster joins those that differ in words
// that turn out to be parameters.
type leaf struct {
	words []string     // "" is a parameter
	kinds []Kind       // what the parameter was when first seen
	seps  []string     // before each word, white space folded
	tail  string       // behind the last
	hints []EntityKind // with Options.Entities: what each token may name

	tallies []tally // with Options.Entities

	count       int64 // lines
	events      int64 // fewer where an event has several lines
	severities  [numSeverities]int64
	first, last int64 // Unix ms, 0 where lines carry no time
	example     string
	hash        uint64 // of the skeleton
	ref         Ref
	pattern     int32 // index of Miner.pats, once settled
	joined      bool  // made by joining others: words may match more than one skeleton
	pinned      bool  // of a pin: it has no words of its own
}

// key appends the skeleton that tells leaves apart, and shape appends the one that
// tells which leaves can be compared: the separators alone.
func (s *scanner) key(key, shape []byte) (k, sh []byte) {
	pos := 0
	for _, t := range s.toks {
		key = appendSep(key, s.line[pos:t.start])
		shape = appendSep(shape, s.line[pos:t.start])
		shape = append(shape, 1)
		if t.kind == Word {
			key = append(key, s.line[t.start:t.end]...)
			key = append(key, 1)
		} else {
			key = append(key, 2)
		}
		pos = int(t.end)
	}
	return appendSep(key, s.line[pos:]), appendSep(shape, s.line[pos:])
}

// appendSep appends a separator with runs of white space folded to one blank.
func appendSep(dst []byte, sep string) []byte {
	blank := false
	for i := range len(sep) {
		if classes[sep[i]]&isSpace != 0 {
			blank = true
			continue
		}
		if blank {
			dst = append(dst, ' ')
			blank = false
		}
		dst = append(dst, sep[i])
	}
	if blank {
		dst = append(dst, ' ')
	}
	return dst
}

// newLeaf copies the scanned line's skeleton. All its strings share one array.
func (s *scanner) newLeaf(key []byte) leaf {
	text := string(key)
	l := leaf{words: make([]string, len(s.toks)), kinds: make([]Kind, len(s.toks)), seps: make([]string, len(s.toks))}
	pos := 0
	for i, t := range s.toks {
		l.kinds[i] = t.kind
		end := pos
		if t.kind == Word {
			for text[end] != 1 {
				end++
			}
			n := int(t.end - t.start)
			l.seps[i], l.words[i] = text[pos:end-n], text[end-n:end]
		} else {
			for text[end] != 2 {
				end++
			}
			l.seps[i] = text[pos:end]
		}
		pos = end + 1
	}
	l.tail = text[pos:]
	return l
}
