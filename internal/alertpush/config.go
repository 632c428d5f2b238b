package alertpush

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Config says where alerts go. The zero value sends none.
type Config struct {
	Alertmanagers  []Alertmanager    `yaml:"alertmanagers"`
	ExternalLabels map[string]string `yaml:"external_labels"`
	// ResendInterval is how often what is active is sent. Default 1 m; an Alertmanager
	// that hears nothing for four of them takes an alert for over.
	ResendInterval model.Duration `yaml:"resend_interval"`
	Timeout        model.Duration `yaml:"timeout"`
	// MaxAlerts bounds the alerts that are active or ended of late. Default 1000.
	MaxAlerts int `yaml:"max_alerts"`
}

// Alertmanager is one of them. All get all alerts.
type Alertmanager struct {
	URL        string                  `yaml:"url"` // without /api/v2
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
}

// UnmarshalYAML fills in the defaults of a client.
func (a *Alertmanager) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Alertmanager
	a.HTTPClient = config.DefaultHTTPClientConfig
	return unmarshal((*plain)(a))
}

// DefaultConfig sends nothing.
func DefaultConfig() Config {
	return Config{
		Alertmanagers: []Alertmanager{}, ExternalLabels: map[string]string{},
		ResendInterval: model.Duration(time.Minute), Timeout: model.Duration(10 * time.Second), MaxAlerts: 1000,
	}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.ResendInterval == 0 {
		c.ResendInterval = d.ResendInterval
	}
	if c.Timeout == 0 {
		c.Timeout = d.Timeout
	}
	if c.MaxAlerts == 0 {
		c.MaxAlerts = d.MaxAlerts
	}
	return c
}

// SetDirectory makes relative paths start at the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Alertmanagers {
		c.Alertmanagers[i].HTTPClient.SetDirectory(dir)
	}
}

// Validate reports everything that is wrong, each error beginning with its key.
func (c *Config) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for i, am := range c.Alertmanagers {
		u, err := url.Parse(am.URL)
		switch {
		case err == nil && u.User != nil:
			errs = append(errs, fmt.Errorf("alertmanagers[%d].url: must hold no user and password; http_client.basic_auth takes them", i))
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, fmt.Errorf("alertmanagers[%d].url: must be an address such as http://localhost:9093, is %q", i, am.URL))
		case seen[am.URL]:
			errs = append(errs, fmt.Errorf("alertmanagers[%d].url: %q is given twice", i, am.URL))
		}
		seen[am.URL] = true
		if err := am.HTTPClient.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("alertmanagers[%d].http_client: %w", i, err))
		}
	}
	for name := range c.ExternalLabels {
		if !validLabel(name) {
			errs = append(errs, fmt.Errorf("external_labels: %q cannot be an external label", name))
		}
	}
	if c.ResendInterval < 0 || c.Timeout < 0 || c.MaxAlerts < 0 {
		errs = append(errs, errors.New("resend_interval: this, timeout and max_alerts must not be below 0"))
	}
	return errors.Join(errs...)
}

// host names an Alertmanager in metrics and logs.
func (a *Alertmanager) host() string {
	u, err := url.Parse(a.URL)
	if err != nil {
		return a.URL
	}
	return u.Host + u.Path
}

type metrics struct {
	active                 prometheus.Gauge
	dropped                prometheus.Counter
	sent, errors, requests *prometheus.CounterVec
	duration               *prometheus.HistogramVec
}

type targetMetrics struct {
	sent, errors, requests prometheus.Counter
	duration               prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "portent_exporter_alerts_"
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{"alertmanager"})
	}
	m := &metrics{
		active:   prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "held", Help: "Alerts that are sent to Alertmanagers now: active ones, and those that ended in the last 15 minutes."}),
		dropped:  prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "dropped_total", Help: "Times that an alert was left out because of alerting.max_alerts."}),
		sent:     vec("sent_total", "Alerts that an Alertmanager took, each as often as it was sent."),
		errors:   vec("errors_total", "Requests with alerts that failed or were refused; they are repeated."),
		requests: vec("requests_total", "Requests with alerts."),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "request_duration_seconds", Help: "Time that an Alertmanager took to answer.", Buckets: []float64{0.005, 0.02, 0.1, 0.5, 2, 10},
		}, []string{"alertmanager"}),
	}
	reg.MustRegister(m.active, m.dropped, m.sent, m.errors, m.requests, m.duration)
	return m
}

func (m *metrics) of(name string) targetMetrics {
	return targetMetrics{m.sent.WithLabelValues(name), m.errors.WithLabelValues(name), m.requests.WithLabelValues(name), m.duration.WithLabelValues(name)}
}
