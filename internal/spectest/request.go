package spectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CheckRequest reports everything in which the request differs from the
// contract, as one error: unknown path, unknown, missing or wrong query names,
// headers and path parameters, wrong content type, and a body that the strict
// schema refuses. body is the request's whole body; r.Body is not read.
func (c *Contract) CheckRequest(r *http.Request, body []byte) error {
	op, path, err := c.Find(r.Method, r.URL.EscapedPath())
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%s %s: query: %w", r.Method, op.Path, err)
	}
	return wrap(fmt.Sprintf("%s %s", r.Method, op.Path), errors.Join(
		c.checkNames(op, query),
		c.checkParameters(op, path, query, r.Header),
		c.checkBody(op, r.Header.Get("Content-Type"), body),
	))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (c *Contract) checkNames(op Operation, query url.Values) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.ContainsFunc(op.Parameters, func(p Parameter) bool { return p.In == "query" && p.Name == name }) {
			errs = append(errs, fmt.Errorf("unknown query name %q", name))
		}
	}
	return errors.Join(errs...)
}

func (c *Contract) checkParameters(op Operation, path map[string]string, query url.Values, header http.Header) error {
	var errs []error
	for i, p := range op.Parameters {
		var got []string
		switch p.In {
		case "query":
			got = query[p.Name]
		case "header":
			got = header.Values(p.Name)
		case "path":
			got = []string{path[p.Name]}
		default:
			errs = append(errs, fmt.Errorf("parameter %q is in %q, which this checker does not know", p.Name, p.In))
			continue
		}
		if len(got) == 0 {
			if p.Required {
				errs = append(errs, fmt.Errorf("%s %q is missing", p.In, p.Name))
			}
			continue
		}
		if len(p.Schema) == 0 {
			continue
		}
		if err := c.checkValue(got, op.pointer("parameters", strconv.Itoa(i), "schema")); err != nil {
			errs = append(errs, fmt.Errorf("%s %s=%q: %w", p.In, p.Name, got, err))
		}
	}
	return errors.Join(errs...)
}

// checkValue accepts the text of a parameter when any reading of it fits the
// schema: as a string, a number, a boolean, or a list of those. The error is the
// one of the plain string.
func (c *Contract) checkValue(got []string, pointer []string) error {
	var first error
	for i, v := range readings(got) {
		err := c.check(v, pointer...)
		if err == nil {
			return nil
		}
		if i == 0 {
			first = err
		}
	}
	return first
}

func readings(got []string) []any {
	var out []any
	if len(got) == 1 {
		out = append(out, scalars(got[0])...)
	}
	lists := [][]string{got}
	if len(got) == 1 && strings.Contains(got[0], ",") {
		lists = append(lists, strings.Split(got[0], ","))
	}
	for _, list := range lists {
		texts, typed := make([]any, len(list)), make([]any, len(list))
		for i, s := range list {
			readings := scalars(s)
			texts[i], typed[i] = s, readings[len(readings)-1]
		}
		out = append(out, texts)
		if !slices.Equal(texts, typed) {
			out = append(out, typed)
		}
	}
	return out
}

// scalars returns s and, when it can be read so, the number or boolean it is.
func scalars(s string) []any {
	if _, err := strconv.ParseFloat(s, 64); err == nil && json.Valid([]byte(s)) {
		return []any{s, json.Number(s)}
	}
	if s == "true" || s == "false" {
		return []any{s, s == "true"}
	}
	return []any{s}
}

func (c *Contract) checkBody(op Operation, contentType string, body []byte) error {
	if op.Request == nil {
		if len(body) > 0 {
			return errors.New("has a body where the contract has none")
		}
		return nil
	}
	if len(body) == 0 {
		if op.Request.Required {
			return errors.New("has no body")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	key := media
	if _, ok := op.Request.Strict[key]; !ok {
		if key = "*/*"; op.Request.Strict[key] == nil {
			return fmt.Errorf("content type %q, want one of %q", media, slices.Sorted(maps.Keys(op.Request.Strict)))
		}
	}
	pointer := op.pointer("requestBody", "strict", key)
	if media == "application/x-www-form-urlencoded" {
		return c.checkForm(body, pointer)
	}
	v, err := parseBody(media, body)
	if err != nil {
		return err
	}
	return wrap("body", c.check(v, pointer...))
}

// maxReadings bounds how often one form is tried.
const maxReadings = 256

// checkForm accepts a form when it fits the schema with any reading of its
// values, as checkValue does for one. The error is the one of plain strings.
func (c *Contract) checkForm(body []byte, pointer []string) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	names := slices.Sorted(maps.Keys(form))
	ways := make([][]any, len(names))
	total := 1
	for i, name := range names {
		ways[i] = readings(form[name])
		total = min(total*len(ways[i]), maxReadings)
	}
	var first error
	for n := range total {
		object := map[string]any{}
		rest := n
		for i, name := range names {
			object[name] = ways[i][rest%len(ways[i])]
			rest /= len(ways[i])
		}
		err := c.check(object, pointer...)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return wrap("body", first)
}

// parseBody reads a body as the JSON value that the contract's schema is for.
func parseBody(media string, body []byte) (any, error) {
	switch media {
	case "application/x-ndjson":
		var lines []any
		for line := range bytes.Lines(body) {
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
			if err != nil {
				return nil, fmt.Errorf("body line %d: %w", len(lines)+1, err)
			}
			lines = append(lines, v)
		}
		return lines, nil
	case "multipart/form-data":
		return nil, errors.New("body: multipart is not checked by any schema here; send it to a double of your own")
	default:
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("body is not JSON: %w", err)
		}
		return v, nil
	}
}
