// Package elasticapi searches an Elasticsearch (7.10 or later) or an OpenSearch over
// its HTTP API, page by page and in one view of the data. An answer is bounded in bytes
// and time, each failure has a Reason from a closed set, and an answer that leaves
// something out says so: both servers answer 200 when shards failed or time ran out.
//
// It must not know what is searched for, and who asks: no metric, no log, and neither
// environment nor files.
package elasticapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults of Options.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 32 << 20 // 1,000 documents of 32 KiB
)

// Options say which server to ask and how. URL is required. At most one of User,
// APIKey and Token may be given.
type Options struct {
	// URL is the address of the server: http or https, with the path that a proxy puts
	// in front. A user and password in it are used and never printed.
	URL string
	// Client sends the requests. nil is a client of its own, without proxy.
	Client *http.Client
	User   string
	// Password goes with User.
	Password string
	// APIKey is what Elasticsearch prints as encoded: base64 of id:key.
	APIKey   string
	Token    string        // of a bearer
	Timeout  time.Duration // of a call as a whole; 0 is DefaultTimeout
	MaxBytes int64         // of an answer after decompression; 0 is DefaultMaxBytes
}

// Client asks one server. It is safe for concurrent use. Every error of a call is an
// *Error.
type Client struct {
	base     *url.URL
	http     *http.Client
	auth     string
	timeout  time.Duration
	maxBytes int64
	server   string
}

// New returns a client. It does not call the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("elasticsearch address: not a URL") // the text may hold a password
	}
	ways := 0
	for _, s := range []string{o.User, o.APIKey, o.Token} {
		if s != "" {
			ways++
		}
		if strings.ContainsAny(s, "\r\n\x00") {
			return nil, errors.New("elasticsearch client: a credential is not fit for a header")
		}
	}
	switch {
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fmt.Errorf("elasticsearch address %q: want http://host:port or https://host:port", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("elasticsearch address %q: want no query and no fragment", u.Redacted())
	case ways > 1:
		return nil, errors.New("elasticsearch client: give a user, an API key or a token, not several")
	case o.Timeout < 0 || o.MaxBytes < 0:
		return nil, errors.New("elasticsearch client: timeout and size limit may not be negative")
	}
	c := &Client{base: u, http: o.Client, timeout: o.Timeout, maxBytes: o.MaxBytes, server: u.Redacted()}
	switch {
	case o.User != "":
		c.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Password))
	case o.APIKey != "":
		c.auth = "ApiKey " + o.APIKey
	case o.Token != "":
		c.auth = "Bearer " + o.Token
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxBytes == 0 {
		c.maxBytes = DefaultMaxBytes
	}
	if c.http == nil {
		c.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}}
	}
	return c, nil
}

// call sends a request and decodes the answer into out. path is escaped already.
func (c *Client) call(ctx context.Context, op, method, path string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return c.fail(op, &Error{Reason: ReasonBadData, Err: err})
		}
		body = bytes.NewReader(raw)
	}
	u := strings.TrimRight(c.base.Scheme+"://"+c.base.Host+c.base.EscapedPath(), "/") + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return c.fail(op, &Error{Reason: ReasonBadData, Err: errors.New("the request cannot be made")})
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json") // OpenSearch refuses the vendor's media types
	}
	req.Header.Set("Accept", "application/json")
	switch {
	case c.auth != "":
		req.Header.Set("Authorization", c.auth)
	case c.base.User != nil:
		password, _ := c.base.User.Password()
		req.SetBasicAuth(c.base.User.Username(), password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.fail(op, ofNetwork(ctx, err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	if err != nil {
		return c.fail(op, ofNetwork(ctx, err))
	}
	if int64(len(text)) > c.maxBytes {
		return c.fail(op, &Error{Reason: ReasonTooLarge, Status: resp.StatusCode, Hint: "ask for fewer documents at once", Err: fmt.Errorf("the answer has more than %d bytes", c.maxBytes)})
	}
	if resp.StatusCode/100 != 2 {
		return c.fail(op, ofStatus(resp, text))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(out); err != nil {
		return c.fail(op, &Error{Reason: ReasonNotElastic, Status: resp.StatusCode, Hint: hintNotElastic, Err: errors.New("the answer is not that of a search API")})
	}
	return nil
}

// Info says what answers.
type Info struct {
	OpenSearch bool
	Version    string
}

// Info asks the server what it is. A role may not be allowed to.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var out struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	if err := c.call(ctx, "ask for the version", http.MethodGet, "/", nil, nil, &out); err != nil {
		return Info{}, err
	}
	if out.Version.Number == "" {
		return Info{}, c.fail("ask for the version", &Error{Reason: ReasonNotElastic, Status: http.StatusOK, Hint: hintNotElastic, Err: errors.New("the answer names no version")})
	}
	return Info{OpenSearch: out.Version.Distribution == "opensearch", Version: out.Version.Number}, nil
}
