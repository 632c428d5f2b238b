// Package settings reads what an administrator configured for one data source: the addresses, how each is
// reached, and which secrets go with which address. It must not call any of them.
//
// A secret belongs to exactly one address: the password of Prometheus is never sent to the receiver or to the
// model. Secrets come only from secureJsonData, which Grafana keeps encrypted.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Name names one of the addresses.
type Name string

// Names of the addresses. They are also the keys under jsonData.connections and the prefixes of the secrets.
const (
	Prometheus Name = "prometheus"
	Loki       Name = "loki"
	Receiver   Name = "receiver"
	Model      Name = "model"
)

// Names returns all addresses in the order of the editor.
func Names() []Name { return []Name{Prometheus, Loki, Receiver, Model} }

// Title is the name for a person.
func (n Name) Title() string {
	switch n {
	case Prometheus:
		return "Prometheus"
	case Loki:
		return "Loki"
	case Receiver:
		return "Portent receiver"
	case Model:
		return "Language model"
	}
	panic("BUG: address without a title: " + string(n))
}

// Bounds and defaults.
const (
	DefaultScrapeInterval = 15 * time.Second // as Grafana's own Prometheus data source assumes
	DefaultTimeout        = 30 * time.Second // as the SDK's client and Grafana's data proxy have it
	MaxTimeout            = 10 * time.Minute // longer than any proxy between a browser and Grafana waits
)

// Settings of one data source instance.
type Settings struct {
	UID            string
	ScrapeInterval time.Duration // the interval at which the scores are scraped; steps are not finer
	ReceiverLink   string        // the receiver's address as a browser reaches it, without a slash at the end; empty when not configured
	ModelName      string        // empty: any model
	// ModelTokensPerDay bounds what the language model may take; 0 is no bound.
	ModelTokensPerDay int
	// Scope is what every query of the data source is limited by: it cannot be left.
	Scope []*labels.Matcher
	// Cost says what is done with queries that cost too much: off, warn or enforce.
	Cost string
	// PrometheusUID and LokiUID name Grafana's own data sources of the same servers, for links into Explore; empty
	// for none.
	PrometheusUID, LokiUID string

	targets map[Name]Target
}

// Target is one address and how to reach it. URL is empty when the address is not configured. Err says why a
// configured address cannot be used; other addresses still can.
type Target struct {
	Name Name
	URL  string
	Err  error

	conn    connection
	secrets map[string]string // by suffix of the key: password, token, …
	source  backend.DataSourceInstanceSettings
}

// Target returns one address.
func (s *Settings) Target(n Name) Target { return s.targets[n] }

// jsonData is what the config editor stores; src/types.ts has the same.
type jsonData struct {
	PrometheusURL   string              `json:"prometheusUrl"`
	LokiURL         string              `json:"lokiUrl"`
	ReceiverURL     string              `json:"receiverUrl"`
	ReceiverLinkURL string              `json:"receiverLinkUrl"`
	ModelURL        string              `json:"modelUrl"`
	ModelName       string              `json:"modelName"`
	ModelTokens     int                 `json:"modelTokensPerDay"`
	ScrapeInterval  string              `json:"scrapeInterval"`
	Connections     map[Name]connection `json:"connections"`
	Scope           []scopeMatcher      `json:"scope"`
	Cost            string              `json:"cost"`
	PrometheusUID   string              `json:"prometheusUid"`
	LokiUID         string              `json:"lokiUid"`

	SecureSocksProxy bool `json:"enableSecureSocksProxy"`
}

// Load reads the settings of a data source. An error means that none of them can be read; what is wrong with a
// single address is in its Target. Unknown keys are left to Grafana, which adds its own.
func Load(source backend.DataSourceInstanceSettings) (*Settings, error) {
	var d jsonData
	if len(source.JSONData) > 0 {
		if err := json.Unmarshal(source.JSONData, &d); err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
	}
	s := &Settings{UID: source.UID, ModelName: strings.TrimSpace(d.ModelName), ScrapeInterval: DefaultScrapeInterval, targets: map[Name]Target{}}
	if t := strings.TrimSpace(d.ScrapeInterval); t != "" {
		iv, err := model.ParseDuration(t)
		if err != nil || iv <= 0 {
			return nil, fmt.Errorf("scrape interval: got %q, want a duration such as 15s", t)
		}
		s.ScrapeInterval = time.Duration(iv)
	}
	var err error
	if s.Scope, err = readScope(d.Scope); err != nil {
		return nil, err
	}
	if s.Cost, err = readCost(d.Cost); err != nil {
		return nil, err
	}
	if s.ModelTokensPerDay = d.ModelTokens; s.ModelTokensPerDay < 0 {
		return nil, fmt.Errorf("tokens of the language model a day: got %d, want 0 or more", s.ModelTokensPerDay)
	}
	s.PrometheusUID, s.LokiUID = strings.TrimSpace(d.PrometheusUID), strings.TrimSpace(d.LokiUID)
	for name := range d.Connections {
		switch name {
		case Prometheus, Loki, Receiver, Model:
		default:
			return nil, fmt.Errorf("connections: unknown address %q, want prometheus, loki, receiver or model", name)
		}
	}
	addresses := map[Name]string{Prometheus: d.PrometheusURL, Loki: d.LokiURL, Receiver: d.ReceiverURL, Model: d.ModelURL}
	for _, n := range Names() {
		s.targets[n] = newTarget(n, addresses[n], d, source)
	}
	if s.ReceiverLink, err = parseAddress(d.ReceiverLinkURL); err != nil {
		return nil, fmt.Errorf("address of the receiver for browsers: %w", err)
	}
	return s, nil
}

func newTarget(n Name, address string, d jsonData, source backend.DataSourceInstanceSettings) Target {
	t := Target{Name: n, conn: d.Connections[n], secrets: map[string]string{}, source: source}
	t.conn.secureSocksProxy = d.SecureSocksProxy
	for key, value := range source.DecryptedSecureJSONData {
		if suffix, ok := strings.CutPrefix(key, string(n)); ok {
			t.secrets[suffix] = value
		}
	}
	t.URL, t.Err = parseAddress(address)
	switch {
	case t.Err != nil:
		t.URL = redacted(address)
		t.Err = fmt.Errorf("address: %w", t.Err)
	case t.URL != "":
		t.Err = t.conn.validate(t.secrets)
	}
	return t
}

// redacted is an address that cannot be used, for a message. It may hold a password in any part.
func redacted(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "(not an address)" // what looks like a scheme may be a user name
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// parseAddress returns the address without a slash at the end, or "" when there is none. An error never holds
// the address, which might hold a password.
func parseAddress(address string) (string, error) {
	address = strings.TrimSpace(address)
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", errors.New("this is not an address such as http://host:9090")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", errors.New("want http://host:port or https://host:port")
	case u.User != nil:
		return "", errors.New("it holds a user name or password: put them into the fields for authentication, where they are kept secret")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("it has a part after ? or #, want only the address")
	}
	return strings.TrimRight(u.String(), "/"), nil
}
