// Package audit is the append-only record of what was decided and done, by
// whom and why. Records form a hash chain: each holds the SHA-256 of its own
// content and of the record before it, so a record that was changed, removed
// or moved is found by Verify.
//
// The package only computes and checks the chain. Where records are kept, and
// that they are written in the same transaction as what they record, is the
// store's duty. It imports nothing of ours, so that every stage may write one.
package audit

import (
	"encoding/json"
	"time"
)

// An Entry is something to be recorded.
type Entry struct {
	// At is when it happened. It is kept to the microsecond, in UTC.
	At time.Time `json:"at"`
	// Actor is who did it: "portent/<part>" for the program itself, otherwise
	// the name of the person or token.
	Actor string `json:"actor"`
	// Action is what was done, from a bounded set such as "ticket.create.before".
	Action string `json:"action"`
	// Subject is what it was done to: an incident id, a ticket key, a rule.
	Subject string `json:"subject"`
	// Detail is a JSON object with the evidence, empty when there is none. Its
	// members are recorded in canonical order whatever order they come in.
	Detail json.RawMessage `json:"detail,omitempty"`
}

// A Record is an Entry in its place in the chain.
type Record struct {
	// Seq counts from 1 without gaps.
	Seq int64 `json:"seq"`
	Entry
	// Prev is the Hash of record Seq-1, Genesis for the first.
	Prev string `json:"prev"`
	// Hash is the lower-case hex SHA-256 of the record without Hash itself.
	Hash string `json:"hash"`
}
