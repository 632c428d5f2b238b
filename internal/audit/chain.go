package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Genesis is the Prev of the first record.
const Genesis = "0000000000000000000000000000000000000000000000000000000000000000"

// A Head is where a chain ends: the Seq and Hash of its last record. The zero
// value is the head of an empty chain.
type Head struct {
	Seq  int64
	Hash string
}

// String is the form in which a head is kept elsewhere: SEQ:HASH.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Seq, h.hash()) }

func (h Head) hash() string {
	if h.Seq == 0 {
		return Genesis
	}
	return h.Hash
}

// Append returns the record that puts e behind head. The entry is made storable
// first: the time is cut to microseconds, text that is not valid UTF-8 or holds
// NUL is repaired, and the detail is rewritten in canonical form. The error is
// that of a Detail which is not a JSON object.
func Append(head Head, e Entry) (Record, error) {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Actor, e.Action, e.Subject = clean(e.Actor), clean(e.Action), clean(e.Subject)
	detail, err := canonical(e.Detail)
	if err != nil {
		return Record{}, fmt.Errorf("audit detail of %s %s: %w", e.Action, e.Subject, err)
	}
	e.Detail = detail
	r := Record{Seq: head.Seq + 1, Entry: e, Prev: head.hash()}
	r.Hash = r.sum()
	return r, nil
}

// Head is the head of the chain that ends with r.
func (r Record) Head() Head { return Head{Seq: r.Seq, Hash: r.Hash} }

// sum is the SHA-256 of the record without Hash as JSON with sorted keys, no
// white space and no HTML escaping; detail is left out when empty. The JSON is
// that of RFC 8785 but for numbers, which stay as they were written.
func (r Record) sum() string {
	m := map[string]any{
		"seq": r.Seq, "at": r.At.UTC().Format(timeFormat), "actor": r.Actor, "action": r.Action,
		"subject": r.Subject, "prev": r.Prev,
	}
	// Canonical again: JSON libraries that a record passes may escape otherwise.
	detail, err := canonical(r.Detail)
	if err != nil {
		detail, err = encode(string(r.Detail)) // no record of ours: it shall not match
	}
	if len(detail) > 0 {
		m["detail"] = detail
	}
	b, berr := encode(m)
	if err = errors.Join(err, berr); err != nil {
		panic("BUG: audit record cannot be encoded: " + err.Error())
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// timeFormat has always six decimals, so that equal times are equal text.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func canonical(detail json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(detail)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(detail))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return encode(m)
}

func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Fault says what is wrong with a chain.
type Fault string

// The faults.
const (
	FaultChanged   Fault = "changed"
	FaultMissing   Fault = "missing"
	FaultReordered Fault = "reordered"
)

// A BrokenError is what Verify finds: the first fault, at record Seq.
type BrokenError struct {
	Fault Fault
	Seq   int64
	Text  string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("audit chain is broken: record %d is %s: %s", e.Seq, e.Fault, e.Text)
}

// Verify walks the records, which must be all that follow from, and checks that
// each is unchanged and in its place and that the chain ends at want. With a
// zero want the end is not checked, and records cut off at the end go unseen.
// It returns the head it reached, and a *BrokenError or the error of the
// sequence.
func Verify(from Head, records iter.Seq2[Record, error], want Head) (Head, error) {
	head := from
	next, stop := iter.Pull2(records)
	defer stop()
	for {
		r, err, ok := next()
		if err != nil {
			return head, err
		}
		if !ok {
			break
		}
		if r.Seq != head.Seq+1 {
			return head, misplaced(head.Seq+1, r.Seq, next)
		}
		if err := r.follows(head); err != nil {
			return head, err
		}
		head = r.Head()
	}
	switch {
	case want == Head{}:
		return head, nil
	case head.Seq < want.Seq:
		return head, &BrokenError{Fault: FaultMissing, Seq: head.Seq + 1, Text: fmt.Sprintf("the chain ends at %d, the head says %d", head.Seq, want.Seq)}
	case head != want:
		return head, &BrokenError{Fault: FaultChanged, Seq: head.Seq, Text: fmt.Sprintf("the chain ends with %d %s, the head says %d %s", head.Seq, head.Hash, want.Seq, want.Hash)}
	}
	return head, nil
}

func (r Record) follows(head Head) error {
	if got := r.sum(); got != r.Hash {
		return &BrokenError{Fault: FaultChanged, Seq: r.Seq, Text: fmt.Sprintf("its content gives %s, it says %s", got, r.Hash)}
	}
	if r.Prev != head.hash() {
		return &BrokenError{Fault: FaultChanged, Seq: r.Seq, Text: fmt.Sprintf("it names %s as its predecessor, which is %s", r.Prev, head.hash())}
	}
	return nil
}

// misplaced tells a record that is missing from one that stands elsewhere, by
// looking for it in the rest.
func misplaced(want, got int64, next func() (Record, error, bool)) error {
	found := got < want // it was there already
	for !found {
		r, err, ok := next()
		if err != nil {
			return err
		}
		if !ok {
			return &BrokenError{Fault: FaultMissing, Seq: want, Text: fmt.Sprintf("record %d follows %d", got, want-1)}
		}
		found = r.Seq == want
	}
	return &BrokenError{Fault: FaultReordered, Seq: want, Text: fmt.Sprintf("record %d stands in its place", got)}
}
