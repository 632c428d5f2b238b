package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/lokiapi"
	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/runbook"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/web"
)

// EvidenceConfig says where evidence about incidents is looked for. What is not given is not asked; the past, the
// runbooks that alerts name and the events of Kubernetes that were sent here need no configuration.
type EvidenceConfig struct {
	// Timeout of each source.
	Timeout    model.Duration        `yaml:"timeout"`
	Prometheus *EvidenceServer       `yaml:"prometheus,omitempty"`
	Loki       *EvidenceServer       `yaml:"loki,omitempty"`
	Exporter   *EvidenceServer       `yaml:"exporter,omitempty"`
	Runbooks   RunbooksConfig        `yaml:"runbooks"`
	Links      []enrich.LinkTemplate `yaml:"links"`
}

// EvidenceServer is a server that is asked.
type EvidenceServer struct {
	URL        string                  `yaml:"url"`
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
}

// UnmarshalYAML implements yaml.Unmarshaler: the defaults of http_client are not those of Go.
func (s *EvidenceServer) UnmarshalYAML(unmarshal func(any) error) error {
	type plain EvidenceServer
	s.HTTPClient = config.DefaultHTTPClientConfig
	return unmarshal((*plain)(s))
}

// RunbooksConfig is a folder of runbooks as Markdown.
type RunbooksConfig struct {
	Dir string `yaml:"dir"`
	// URL is what people reach the folder under; the path of a runbook is put behind it.
	URL string `yaml:"url"`
}

// maxEvidenceBytes bounds an answer of Prometheus or Loki.
const maxEvidenceBytes = 32 << 20

func (c *EvidenceConfig) validate() error {
	var errs []error
	if t := time.Duration(c.Timeout); t < time.Second || t > time.Minute {
		errs = append(errs, web.Invalid("timeout", fmt.Errorf("%s: want 1s to 1m", c.Timeout)))
	}
	for _, s := range []struct {
		key    string
		server *EvidenceServer
	}{{"prometheus", c.Prometheus}, {"loki", c.Loki}, {"exporter", c.Exporter}} {
		if s.server != nil {
			errs = append(errs, web.Invalid(s.key, s.server.validate()))
		}
	}
	if c.Runbooks.URL != "" {
		if _, ok := ticket.SafeURL(c.Runbooks.URL); !ok {
			errs = append(errs, web.Invalid("runbooks.url", errors.New("want http://host or https://host")))
		}
		if c.Runbooks.Dir == "" {
			errs = append(errs, web.Invalid("runbooks.url", errors.New("makes no sense without runbooks.dir")))
		}
	}
	if _, err := enrich.NewLinks(c.Links); err != nil {
		errs = append(errs, web.Invalid("links", err))
	}
	return errors.Join(errs...)
}

func (s *EvidenceServer) validate() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return web.Invalid("url", errors.New("want http://host or https://host"))
	}
	return web.Invalid("http_client", s.HTTPClient.Validate())
}

func (s *EvidenceServer) client(name string) (*http.Client, error) {
	return config.NewClientFromConfig(s.HTTPClient, name)
}

// enricher makes what a configuration asks for. words link to incidents.
func (a *App) enricher(c EvidenceConfig, links report.Links) (*enrich.Enricher, error) {
	more, err := c.sources()
	if err != nil {
		return nil, web.Invalid("evidence", err)
	}
	own := []enrich.Source{enrich.Similar{Past: enrich.NewLately(a.db, time.Now), URL: links.Incident}, enrich.Events{Keeper: a.db}}
	return enrich.New(time.Duration(c.Timeout), append(own, more...)...), nil
}

// sources are those that the configuration names. They ask nothing yet.
func (c EvidenceConfig) sources() ([]enrich.Source, error) {
	var sources []enrich.Source
	for _, add := range []func(EvidenceConfig) ([]enrich.Source, error){
		prometheusSources, lokiSources, exporterSources, runbookSources, linkSources,
	} {
		more, err := add(c)
		if err != nil {
			return nil, err
		}
		sources = append(sources, more...)
	}
	return sources, nil
}

func prometheusSources(c EvidenceConfig) ([]enrich.Source, error) {
	if c.Prometheus == nil {
		return nil, nil
	}
	client, err := c.Prometheus.client("evidence_prometheus")
	if err != nil {
		return nil, web.Invalid("prometheus", err)
	}
	p, err := promapi.New(promapi.Options{URL: c.Prometheus.URL, Client: client, Timeout: time.Duration(c.Timeout), MaxBytes: maxEvidenceBytes})
	if err != nil {
		return nil, web.Invalid("prometheus", err)
	}
	return []enrich.Source{enrich.Scores{Prometheus: p}, enrich.Changes{Prometheus: p}}, nil
}

func lokiSources(c EvidenceConfig) ([]enrich.Source, error) {
	if c.Loki == nil {
		return nil, nil
	}
	client, err := c.Loki.client("evidence_loki")
	if err != nil {
		return nil, web.Invalid("loki", err)
	}
	l, err := lokiapi.New(lokiapi.Options{URL: c.Loki.URL, Client: client, Timeout: time.Duration(c.Timeout), MaxBytes: maxEvidenceBytes})
	if err != nil {
		return nil, web.Invalid("loki", err)
	}
	return []enrich.Source{enrich.Logs{Loki: l}}, nil
}

func exporterSources(c EvidenceConfig) ([]enrich.Source, error) {
	if c.Exporter == nil {
		return nil, nil
	}
	client, err := c.Exporter.client("evidence_exporter")
	if err != nil {
		return nil, web.Invalid("exporter", err)
	}
	x, err := enrich.NewExporter(c.Exporter.URL, client)
	if err != nil {
		return nil, web.Invalid("exporter", err)
	}
	return []enrich.Source{x.Anomalies(), x.Patterns()}, nil
}

func runbookSources(c EvidenceConfig) ([]enrich.Source, error) {
	books := enrich.Runbooks{}
	if c.Runbooks.Dir != "" {
		index, err := runbook.Load(os.DirFS(c.Runbooks.Dir))
		if err != nil {
			return nil, web.Invalid("runbooks.dir", fmt.Errorf("%s: %w", c.Runbooks.Dir, err))
		}
		books.Index = index
	}
	if c.Runbooks.URL != "" {
		base, err := url.Parse(c.Runbooks.URL)
		if err != nil {
			return nil, web.Invalid("runbooks.url", err)
		}
		books.URL = func(path string) string { return base.JoinPath(path).String() }
	}
	return []enrich.Source{books}, nil
}

func linkSources(c EvidenceConfig) ([]enrich.Source, error) {
	links, err := enrich.NewLinks(c.Links)
	return []enrich.Source{links}, web.Invalid("links", err)
}

// evidenceWorker looks for evidence while the receiver runs. In a replay it looks for none: what is asked knows the
// present, not the time that is replayed.
type evidenceWorker struct {
	current atomic.Pointer[enrich.Enricher]
	worker  *enrich.Worker
	held    func(ctx context.Context) (context.Context, func(), error)
	replay  bool
}

func (a *App) newEvidence() *evidenceWorker {
	e := &evidenceWorker{replay: a.opts.ClockHeader != "", held: func(ctx context.Context) (context.Context, func(), error) { return a.db.Lead(ctx, "evidence") }}
	e.worker = enrich.NewWorker(enrich.WorkerOptions{
		Store: a.db, Enricher: e.current.Load, Comment: a.words.evidence, Tell: a.words.tell, TellByModel: a.words.tellByModel, Now: time.Now, Logger: a.log.With("component", "evidence"),
		Registerer: a.reg, Wrote: func() { a.worker.Wake() },
	})
	return e
}

// run looks in one of the replicas at a time; another takes over when it ends.
func (e *evidenceWorker) run(ctx context.Context) error {
	if e.replay {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		held, release, err := e.held(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // asked to stop: what failed by it is no failure
			}
			return err
		}
		err = e.worker.Run(held)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// dossier is what was found about an incident, nil when nothing was looked for.
func (s *server) dossier(ctx context.Context, id string) (*incident.Dossier, error) {
	d, err := s.dossiers.Dossier(ctx, id)
	switch {
	case errors.Is(err, incident.ErrNotFound):
		return nil, nil //nolint:nilnil // nothing is a fine answer here
	case err != nil:
		return nil, err
	}
	return &d, nil
}

// serveReport answers GET /api/v1/incidents/{id}/report: the draft of a post-incident review as Markdown.
func (s *server) serveReport(w http.ResponseWriter, r *http.Request, p principal) {
	inc, whole, err := s.see(r.Context(), p, r.PathValue("id"))
	if err == nil && whole { // evidence is of the whole incident, and may name what others may not see
		inc.Dossier, err = s.dossier(r.Context(), inc.ID)
		inc.Dossier = p.dossier(inc.Dossier)
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	w.Header().Set("Content-Disposition", `inline; filename="incident-`+inc.ID+`.md"`)
	//nolint:gosec // Markdown, sent as such with nosniff; the reader may have gone
	_, _ = w.Write([]byte(s.settings.Load().words.Review(inc).Markdown()))
}
