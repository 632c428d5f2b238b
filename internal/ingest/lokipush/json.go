package lokipush

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// decodeJSON reads {"streams":[{"stream":{…},"values":[["<ns>","line",{…}]]}]}. It
// reads stream by stream, so that what a document costs beside its own bytes is what
// one stream makes.
func decodeJSON(body []byte, b *linehttp.Batch) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	streams := 0
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		if key != "streams" {
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return fmt.Errorf("JSON: %q: %w", key, err)
			}
			continue
		}
		if err := expect(d, json.Delim('[')); err != nil {
			return fmt.Errorf("streams: %w", err)
		}
		for ; d.More(); streams++ {
			if err := decodeStream(d, b); err != nil {
				return fmt.Errorf("streams[%d]: %w", streams, err)
			}
		}
		if err := expect(d, json.Delim(']')); err != nil {
			return err
		}
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("JSON: something follows the document")
	}
	return nil
}

func expect(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if t != want {
		return fmt.Errorf("JSON: want %s, got %v", want, t)
	}
	return nil
}

func decodeStream(d *json.Decoder, b *linehttp.Batch) error {
	var s struct {
		Stream map[string]string `json:"stream"`
		Values []json.RawMessage `json:"values"`
	}
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	base := b.Labels(nil, labelsOf(s.Stream))
	for i, v := range s.Values {
		l, more, err := decodeEntry(v)
		if err != nil {
			return fmt.Errorf("values[%d]: %w", i, err)
		}
		l.Labels = b.Labels(base, labelsOf(more))
		hints(&l)
		if err := b.Add(l); err != nil {
			return err
		}
	}
	return nil
}

func labelsOf(m map[string]string) []ingest.Label {
	out := make([]ingest.Label, 0, len(m))
	for k, v := range m {
		out = append(out, ingest.Label{Name: k, Value: v})
	}
	return out
}

// decodeEntry reads ["<ns>", "line"] with or without structured metadata.
func decodeEntry(v json.RawMessage) (l ingest.Line, more map[string]string, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(v, &parts); err != nil {
		return l, nil, fmt.Errorf("JSON: %w", err)
	}
	if len(parts) < 2 || len(parts) > 3 {
		return l, nil, fmt.Errorf("want a time, a line and perhaps metadata, got %d values", len(parts))
	}
	var at string
	if err := json.Unmarshal(parts[0], &at); err != nil {
		return l, nil, errors.New("the time is no string of nanoseconds")
	}
	ns, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return l, nil, errors.New("the time is no number of nanoseconds")
	}
	l.T = ns / 1e6
	if err := json.Unmarshal(parts[1], &l.Text); err != nil {
		return l, nil, errors.New("the line is no string")
	}
	if len(parts) == 3 {
		if err := json.Unmarshal(parts[2], &more); err != nil {
			return l, nil, errors.New("the metadata is no object of strings")
		}
	}
	return l, more, nil
}
