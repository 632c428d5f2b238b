package fluentbit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// decodeJSON reads an array of records (json), or records one after the other, with
// newlines or nothing between (json_lines, json_stream). One record is held at a time.
func decodeJSON(body []byte, b *linehttp.Batch) error {
	body = bytes.TrimLeft(body, " \t\r\n")
	d := json.NewDecoder(bytes.NewReader(body))
	array := len(body) > 0 && body[0] == '['
	if array {
		if _, err := d.Token(); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
	}
	for n := 0; !array || d.More(); n++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			if !array && errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("JSON: record %d: %w", n, err)
		}
		if err := linehttp.CheckRecord(raw); err != nil {
			return err
		}
		record, err := decodeRecord(raw)
		if err != nil {
			return fmt.Errorf("JSON: record %d: %w", n, err)
		}
		if record == nil {
			return fmt.Errorf("JSON: record %d is null", n)
		}
		if err := add(b, record, 0); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("JSON: something follows the array")
	}
	return nil
}

func decodeRecord(raw []byte) (record map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&record)
	return record, err
}
