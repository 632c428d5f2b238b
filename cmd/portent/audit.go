package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// auditOptions are the flags of `audit verify`.
type auditOptions struct {
	from      string
	head      string
	anchors   string
	partial   bool
	json      bool
	tokenFile string
}

// auditCommand checks that an audit chain is whole.
func auditCommand(app *kingpin.Application) (string, func(stdio) error) {
	var o auditOptions
	cmd := app.Command("audit", "The audit chain of a receiver.").Command("verify",
		"Check that no record was changed, removed or moved: JSON lines as GET /api/v1/audit gives them, from a file, a pipe, or a receiver.")
	cmd.Arg("from", "File or address of a receiver; standard input without one, or with -.").StringVar(&o.from)
	cmd.Flag("head", "Where the chain must at least reach, as SEQ:HASH of an earlier run: records cut off at the end are found by it.").StringVar(&o.head)
	cmd.Flag("anchors", "File of heads that were known, one a line as SEQ:HASH with whatever else stands there, such as a log: each must be in the chain. When all is well the new head is put behind them; a file that is not there is made.").
		StringVar(&o.anchors)
	cmd.Flag("partial", "The chain may begin later than with its first record, as after ?since=.").BoolVar(&o.partial)
	cmd.Flag("json", "Print the result as JSON.").BoolVar(&o.json)
	cmd.Flag("token-file", "File with the bearer token for a receiver.").StringVar(&o.tokenFile)
	return cmd.FullCommand(), func(std stdio) error { return runAuditVerify(o, std) }
}

// auditResult is what verify found.
type auditResult struct {
	OK      bool   `json:"ok"`
	Records int64  `json:"records"`
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	Head    string `json:"head"` // SEQ:HASH, for --head of a later run
	Fault   string `json:"fault,omitempty"`
	Record  int64  `json:"record,omitempty"`
	Text    string `json:"text,omitempty"`
}

func runAuditVerify(o auditOptions, std stdio) error {
	known, err := knownHeads(o)
	if err != nil {
		return err
	}
	var r io.ReadCloser
	var ends audit.Head // what the receiver says of the end
	if strings.HasPrefix(o.from, "http://") || strings.HasPrefix(o.from, "https://") {
		if r, ends, o.partial, err = fetchAudit(o); err != nil {
			return err
		}
	} else {
		in, err := openInput(o.from, std)
		if err != nil {
			return err
		}
		r = struct {
			io.Reader
			io.Closer
		}{in.reader, closer(in.close)}
	}
	res, err := verifyAudit(r, o.partial, append(known, ends)...)
	err = errors.Join(err, r.Close())
	if err != nil && res.Fault == "" {
		return err
	}
	if err == nil && o.anchors != "" && res.Records > 0 {
		err = addAnchor(o.anchors, known, res)
	}
	if perr := printAudit(std.out, res, o.json); perr != nil {
		return perr
	}
	return err
}

// knownHeads are those of the flags.
func knownHeads(o auditOptions) ([]audit.Head, error) {
	var out []audit.Head
	h, err := parseHead(o.head)
	if err != nil {
		return nil, usageError{err}
	}
	if h.Seq > 0 {
		out = append(out, h)
	}
	if o.anchors == "" {
		return out, nil
	}
	f, err := os.Open(o.anchors)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	more, err := readAnchors(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.anchors, err)
	}
	return append(out, more...), nil
}

// anchor is a head within a line of anything.
var anchor = regexp.MustCompile(`(?:^|[^0-9a-zA-Z])([1-9][0-9]{0,17}:[0-9a-f]{64})(?:$|[^0-9a-zA-Z])`)

// maxAnchors bounds the heads of a file: an hour each, they are a century.
const maxAnchors = 1_000_000

// readAnchors reads the heads out of a file; a line without one says nothing, and neither does one that was there before.
func readAnchors(r io.Reader) ([]audit.Head, error) {
	var out []audit.Head
	seen := map[audit.Head]bool{}
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), 1<<20)
	lines := 0
	for in.Scan() {
		lines++
		m := anchor.FindSubmatch(in.Bytes())
		if m == nil {
			continue
		}
		h, err := parseHead(string(m[1]))
		if err != nil {
			return nil, err
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
		if len(out) > maxAnchors {
			return nil, fmt.Errorf("more than %d heads", maxAnchors)
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if lines > 0 && len(out) == 0 {
		return nil, errors.New("no line holds a head as SEQ:HASH")
	}
	return out, nil
}

// addAnchor keeps the head that was found.
func addAnchor(path string, known []audit.Head, res auditResult) error {
	h, err := parseHead(res.Head)
	if err != nil || slices.Contains(known, h) {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %s\n", h, time.Now().UTC().Format(time.RFC3339))
	return errors.Join(err, f.Close())
}

type closer func() error

func (c closer) Close() error { return c() }

func parseHead(s string) (audit.Head, error) {
	if s == "" {
		return audit.Head{}, nil
	}
	seq, hash, ok := strings.Cut(s, ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if !ok || err != nil || n < 0 || (len(hash) != 64 && n > 0) {
		return audit.Head{}, fmt.Errorf("head %.80q: want SEQ:HASH as an earlier run printed it", s)
	}
	return audit.Head{Seq: n, Hash: hash}, nil
}

// verifyAudit checks the chain in r, which must contain the heads that are known.
func verifyAudit(r io.Reader, partial bool, known ...audit.Head) (auditResult, error) {
	var res auditResult
	from := audit.Head{}
	var bad error
	bySeq, last := map[int64][]string{}, int64(0)
	for _, h := range known {
		bySeq[h.Seq], last = append(bySeq[h.Seq], h.Hash), max(last, h.Seq)
	}
	seq := func(yield func(audit.Record, error) bool) {
		for rec, err := range auditRecords(r) {
			if err == nil {
				res.Records++
				if res.Records == 1 {
					res.First = rec.Seq
				}
				for _, hash := range bySeq[rec.Seq] {
					if bad == nil && hash != rec.Hash {
						bad = &audit.BrokenError{Fault: audit.FaultChanged, Seq: rec.Seq, Text: fmt.Sprintf("it was known with hash %s, and has %s: it, or one before it, was written anew", hash, rec.Hash)}
					}
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
	next, stop := iter.Pull2(iter.Seq2[audit.Record, error](seq))
	defer stop()
	first, err, ok := next()
	if err != nil {
		return res, err
	}
	if ok && partial && first.Seq > 1 {
		from = audit.Head{Seq: first.Seq - 1, Hash: first.Prev}
	}
	head, err := audit.Verify(from, func(yield func(audit.Record, error) bool) {
		if !ok || !yield(first, nil) {
			return
		}
		for {
			rec, err, more := next()
			if !more || !yield(rec, err) {
				return
			}
		}
	}, audit.Head{})
	if err == nil && bad == nil && last > head.Seq && (res.Records > 0 || !partial) {
		bad = &audit.BrokenError{Fault: audit.FaultMissing, Seq: head.Seq + 1, Text: fmt.Sprintf("the chain ends at %d, and is known up to %d", head.Seq, last)}
	}
	if err == nil {
		err = bad
	}
	res.Last, res.Head, res.OK = head.Seq, head.String(), err == nil
	if broken, isBroken := errors.AsType[*audit.BrokenError](err); isBroken {
		res.Fault, res.Record, res.Text = string(broken.Fault), broken.Seq, broken.Text
	}
	return res, err
}

// maxAuditLine bounds one record, or one page of 1000 of them.
const maxAuditLine = 64 << 20

// auditRecords yields the records of JSON lines, of pages as the API gives them, or of both.
func auditRecords(r io.Reader) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 0, 64<<10), maxAuditLine)
		for line := 1; in.Scan(); line++ {
			text := bytes.TrimSpace(in.Bytes())
			if len(text) == 0 {
				continue
			}
			rs, err := auditLine(text)
			if err != nil {
				yield(audit.Record{}, fmt.Errorf("line %d: %w", line, err))
				return
			}
			for _, rec := range rs {
				if !yield(rec, nil) {
					return
				}
			}
		}
		if err := in.Err(); err != nil {
			yield(audit.Record{}, err)
		}
	}
}

func auditLine(text []byte) ([]audit.Record, error) {
	var page struct {
		Records []audit.Record `json:"records"`
		Hash    string         `json:"hash"`
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return nil, fmt.Errorf("no audit record: %w", err)
	}
	if page.Hash == "" && page.Records != nil {
		return page.Records, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // what is added to a record is a change of it
	var rec audit.Record
	if err := d.Decode(&rec); err != nil {
		return nil, fmt.Errorf("no audit record: %w", err)
	}
	return []audit.Record{rec}, nil
}

// auditTimeout bounds one export: a million records are some minutes.
const auditTimeout = 10 * time.Minute

// fetchAudit asks a receiver for its chain. An address without a path is that of the receiver.
func fetchAudit(o auditOptions) (io.ReadCloser, audit.Head, bool, error) {
	u, err := url.Parse(o.from)
	if err != nil {
		return nil, audit.Head{}, false, usageError{err}
	}
	if !strings.HasSuffix(u.Path, incidentapi.PathAudit) {
		u = u.JoinPath(incidentapi.PathAudit)
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, audit.Head{}, false, usageError{err}
	}
	req.Header.Set("Accept", "application/x-ndjson")
	if o.tokenFile != "" {
		b, err := os.ReadFile(o.tokenFile)
		if err != nil {
			cancel()
			return nil, audit.Head{}, false, err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(b)))
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // by whoever reads what is returned
	if err != nil {
		cancel()
		return nil, audit.Head{}, false, err
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // a cut body only costs the message
		_ = resp.Body.Close()
		cancel()
		return nil, audit.Head{}, false, fmt.Errorf("ask %s: %s: %s", u.Redacted(), resp.Status, bytes.TrimSpace(body))
	}
	head, err := parseHead(resp.Header.Get(incidentapi.HeaderAuditHead))
	partial := o.partial || u.Query().Has("since")
	return struct {
		io.Reader
		io.Closer
	}{resp.Body, closer(func() error { defer cancel(); return resp.Body.Close() })}, head, partial, err
}

func printAudit(w io.Writer, res auditResult, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(res)
	}
	if !res.OK {
		_, err := fmt.Fprintf(w, "BROKEN: record %d is %s: %s\n", res.Record, res.Fault, res.Text)
		return err
	}
	if res.Records == 0 {
		_, err := fmt.Fprintln(w, "OK: the chain is empty")
		return err
	}
	_, err := fmt.Fprintf(w, "OK: %d records, %d to %d\nhead %s\n", res.Records, res.First, res.Last, res.Head)
	return err
}
