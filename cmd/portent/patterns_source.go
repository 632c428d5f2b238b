package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/elasticapi"
	"github.com/portent-dev/portent/internal/logquery"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// patternsSource says which server is read, if any, and how.
type patternsSource struct {
	loki, tenant, elastic, index, query   string
	user, passwordFile, tokenFile, apiKey string
	timeField, messageField               string
	timeout                               time.Duration
	grafana, lokiUID, kibana, dataView    string
}

func (s *patternsSource) register(c *kingpin.CmdClause) {
	c.Flag("loki", "Read lines of the Loki at this address.").PlaceHolder("URL").StringVar(&s.loki)
	c.Flag("tenant", "Tenant of the Loki (X-Scope-OrgID).").StringVar(&s.tenant)
	c.Flag("elasticsearch", "Read documents of the Elasticsearch or OpenSearch at this address.").PlaceHolder("URL").StringVar(&s.elastic)
	c.Flag("index", "Names or patterns of the indices, separated by commas.").PlaceHolder("INDEX").StringVar(&s.index)
	c.Flag("query", "Which lines: a LogQL log query with any filters and parsers for a Loki; Lucene's syntax, as in Kibana, for an Elasticsearch.").PlaceHolder("QUERY").StringVar(&s.query)
	c.Flag("user", "User of the server; its password comes from --password-file.").StringVar(&s.user)
	c.Flag("password-file", "File with the password.").StringVar(&s.passwordFile)
	c.Flag("token-file", "File with a bearer token.").StringVar(&s.tokenFile)
	c.Flag("api-key-file", "File with an API key of Elasticsearch, as it prints it encoded.").StringVar(&s.apiKey)
	c.Flag("time-field", "Field with the time of a document.").Default("@timestamp").StringVar(&s.timeField)
	c.Flag("message-field", "Field with the text of a document.").Default("message").StringVar(&s.messageField)
	c.Flag("timeout", "How long one call of the server may take.").Default("30s").DurationVar(&s.timeout)
	c.Flag("grafana", "Address of a Grafana: each pattern gets a link into its Explore. Needs --loki-uid.").PlaceHolder("URL").StringVar(&s.grafana)
	c.Flag("loki-uid", "UID of the Loki data source in that Grafana.").PlaceHolder("UID").StringVar(&s.lokiUID)
	c.Flag("kibana", "Address of a Kibana: each pattern gets a link into its Discover. Needs --data-view.").PlaceHolder("URL").StringVar(&s.kibana)
	c.Flag("data-view", "Id of the data view in that Kibana.").PlaceHolder("ID").StringVar(&s.dataView)
}

func (s *patternsSource) isServer() bool { return s.loki != "" || s.elastic != "" }

func (s *patternsSource) check() error {
	switch {
	case s.loki != "" && s.elastic != "":
		return errors.New("--loki and --elasticsearch exclude each other")
	case s.loki != "" && s.query == "":
		return errors.New(`--loki needs --query, a log query as {app="shop"}`)
	case s.elastic != "" && s.index == "":
		return errors.New("--elasticsearch needs --index, names or patterns as logs-*")
	case !s.isServer() && s.query != "":
		return errors.New("--query needs --loki or --elasticsearch; for a file use grep")
	case (s.grafana == "") != (s.lokiUID == "") || s.grafana != "" && s.loki == "":
		return errors.New("--grafana and --loki-uid go together, with --loki")
	case (s.kibana == "") != (s.dataView == "") || s.kibana != "" && s.elastic == "":
		return errors.New("--kibana and --data-view go together, with --elasticsearch")
	case s.user != "" && s.tokenFile != "" || s.apiKey != "" && s.user+s.tokenFile != "":
		return errors.New("give a user, a token or an API key, not several")
	}
	return nil
}

func (s *patternsSource) open() (logquery.Source, error) {
	password, err := secretFile("--password-file", s.passwordFile)
	if err != nil {
		return nil, err
	}
	token, err := secretFile("--token-file", s.tokenFile)
	if err != nil {
		return nil, err
	}
	if s.loki != "" {
		client, err := lokiapi.New(lokiapi.Options{URL: s.loki, Tenant: s.tenant, Timeout: s.timeout, Client: authorized(s.user, password, token)})
		if err != nil {
			return nil, usageError{err}
		}
		store, err := logquery.NewLoki(client, s.query)
		if err != nil {
			return nil, usageError{err}
		}
		return logquery.Stored{Store: store}, nil
	}
	key, err := secretFile("--api-key-file", s.apiKey)
	if err != nil {
		return nil, err
	}
	client, err := elasticapi.New(elasticapi.Options{URL: s.elastic, Timeout: s.timeout, User: s.user, Password: password, Token: token, APIKey: key})
	if err != nil {
		return nil, usageError{err}
	}
	store, err := logquery.NewElastic(logquery.ElasticOptions{Client: client, Indices: s.index, Query: s.query, TimeField: s.timeField, MessageField: s.messageField})
	if err != nil {
		return nil, usageError{err}
	}
	return logquery.Stored{Store: store}, nil
}

// link opens a query where a person reads logs; "" when no such place was named.
func (s *patternsSource) link(q logquery.Query, w logquery.Window) string {
	switch {
	case q.Text == "":
		return ""
	case s.grafana != "":
		return logquery.ExploreLink(s.grafana, s.lokiUID, q.Text, w)
	case s.kibana != "":
		return logquery.KibanaLink(s.kibana, s.dataView, q.Text, w)
	}
	return ""
}

// secretFile reads a secret, which stands in no command line: other users see those.
func secretFile(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("%s: the file is empty", flag)
	}
	return secret, nil
}

// authorized returns a client that logs in; nil for the client's own when there is
// nothing to log in with.
func authorized(user, password, token string) *http.Client {
	if user == "" && token == "" {
		return nil
	}
	return &http.Client{Transport: login{user, password, token}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // another host would get the login
	}}
}

type login struct{ user, password, token string }

func (l login) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if l.token != "" {
		r.Header.Set("Authorization", "Bearer "+l.token)
	} else {
		r.SetBasicAuth(l.user, l.password)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// textSource reads files, or standard input for none and "-". A pipe can be read once:
// twice is what a comparison needs.
func textSource(files []string, std stdio, twice bool) (src logquery.Text) {
	if len(files) == 0 {
		files = []string{"-"}
	}
	for _, path := range files {
		f := logquery.TextFile{Name: path}
		pipe := path == "-" || path == "" // the parser makes "" of a dash that ends the line
		if pipe {
			f.Name = "standard input"
		}
		f.Open = func() (io.ReadCloser, error) {
			if pipe && twice {
				return nil, errors.New("a pipe can be read once, and --compare reads twice: give a file")
			}
			in, err := openInput(path, std)
			if err != nil {
				return nil, err
			}
			return readCloser{in.reader, in.close}, nil
		}
		src.Files = append(src.Files, f)
	}
	return src
}

type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }
