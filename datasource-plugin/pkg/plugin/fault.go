package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/lokiapi"
	"github.com/portent-dev/portent/internal/promapi"
)

// statusClientClosed is what proxies log when the caller went away. Nobody reads the answer.
const statusClientClosed = backend.Status(499)

// fault is an error as Grafana shows and counts it. Source is "plugin" only for what must be mended in this
// plugin; what a person configured or asked wrongly and what another server did is "downstream".
type fault struct {
	status backend.Status
	source backend.ErrorSource
	err    error
	hint   string
}

func (f fault) dataResponse() backend.DataResponse {
	return backend.ErrDataResponseWithSource(f.status, f.source, f.text())
}

// text is the error with what to do about it.
func (f fault) text() string {
	if f.hint == "" {
		return f.err.Error()
	}
	return f.err.Error() + " (" + f.hint + ")"
}

// faultOf is the only place where an error becomes a status and a source.
func faultOf(err error) fault {
	var (
		asked      *query.Error
		config     *configError
		timeout    *timeoutError
		parameter  *parameterError
		prometheus *promapi.Error
		receiver   *incidentapi.Error
		loki       *lokiapi.Error
		violation  *ask.Violation
		notStored  *questions.NotStoredError
		refused    *questions.QueryError
	)
	switch {
	case errors.As(err, &asked), errors.As(err, &parameter):
		return fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: err}
	case errors.As(err, &config):
		return fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: err, hint: "change it in the settings of the data source"}
	case errors.As(err, &timeout):
		return fault{status: backend.StatusTimeout, source: backend.ErrorSourceDownstream, err: err}
	case errors.Is(err, context.Canceled):
		return fault{status: statusClientClosed, source: backend.ErrorSourceDownstream, err: err}
	case errors.As(err, &violation):
		return fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: fmt.Errorf("the query may not run: %w", err)}
	case errors.As(err, &notStored), errors.Is(err, questions.ErrNoPrometheus), errors.Is(err, questions.ErrNoLoki), errors.Is(err, errDisposed):
		return fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: err}
	case errors.As(err, &prometheus):
		f := prometheusFault(err, prometheus)
		if errors.As(err, &refused) && refused.Person && prometheus.Reason == promapi.ReasonBadData {
			f = fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: err} // that person's query
		}
		return f
	case errors.As(err, &loki):
		f := lokiFault(err, loki)
		if errors.As(err, &refused) && refused.Person && loki.Reason == lokiapi.ReasonBadData {
			f = fault{status: backend.StatusBadRequest, source: backend.ErrorSourceDownstream, err: err}
		}
		return f
	case errors.As(err, &receiver):
		return receiverFault(err, receiver)
	case errors.Is(err, context.DeadlineExceeded):
		return fault{status: backend.StatusTimeout, source: backend.ErrorSourceDownstream, err: err}
	}
	return fault{status: backend.StatusInternal, source: backend.ErrorSourcePlugin, err: err}
}

func prometheusFault(err error, e *promapi.Error) fault {
	f := fault{status: backend.StatusBadGateway, source: backend.ErrorSourceDownstream, err: err, hint: e.Hint}
	switch e.Reason {
	case promapi.ReasonCanceled:
		f.status = statusClientClosed
	case promapi.ReasonTimeout:
		f.status = backend.StatusTimeout
	case promapi.ReasonUnauthorized:
		f.status = backend.StatusUnauthorized
	case promapi.ReasonForbidden:
		f.status = backend.StatusForbidden
	case promapi.ReasonTooMany:
		f.status = backend.StatusTooManyRequests
	case promapi.ReasonExecution:
		f.status = backend.StatusBadRequest // too much was asked for
	case promapi.ReasonBadData:
		f.status, f.source = backend.StatusInternal, backend.ErrorSourcePlugin // we wrote that query
		f.hint = "this Prometheus does not understand the query of this plugin: is it a very old version?"
	case promapi.ReasonDown, promapi.ReasonTLS, promapi.ReasonNotFound, promapi.ReasonNotPrometheus, promapi.ReasonTooLarge, promapi.ReasonServer:
	}
	return f
}

func receiverFault(err error, e *incidentapi.Error) fault {
	f := fault{status: backend.StatusBadGateway, source: backend.ErrorSourceDownstream, err: err}
	switch e.Reason {
	case incidentapi.ReasonCanceled:
		f.status = statusClientClosed
	case incidentapi.ReasonTimeout:
		f.status = backend.StatusTimeout
	case incidentapi.ReasonUnauthorized:
		f.status = backend.Status(max(e.Status, http.StatusUnauthorized))
	case incidentapi.ReasonBadRequest, incidentapi.ReasonBadParameter:
		f.status, f.source = backend.StatusInternal, backend.ErrorSourcePlugin // we made that request
	case incidentapi.ReasonUnreachable, incidentapi.ReasonTLS, incidentapi.ReasonNotFound, incidentapi.ReasonConflict, incidentapi.ReasonUnavailable,
		incidentapi.ReasonNotReceiver, incidentapi.ReasonBadAnswer, incidentapi.ReasonTooLarge, incidentapi.ReasonBadAddress:
	}
	return f
}

func lokiFault(err error, e *lokiapi.Error) fault {
	f := fault{status: backend.StatusBadGateway, source: backend.ErrorSourceDownstream, err: err, hint: e.Hint}
	switch e.Reason {
	case lokiapi.ReasonCanceled:
		f.status = statusClientClosed
	case lokiapi.ReasonTimeout:
		f.status = backend.StatusTimeout
	case lokiapi.ReasonUnauthorized:
		f.status = backend.StatusUnauthorized
	case lokiapi.ReasonForbidden:
		f.status = backend.StatusForbidden
	case lokiapi.ReasonTooMany:
		f.status = backend.StatusTooManyRequests
	case lokiapi.ReasonTooLarge:
		f.status = backend.StatusBadRequest // too much was asked for
	case lokiapi.ReasonBadData:
		f.status, f.source = backend.StatusInternal, backend.ErrorSourcePlugin // we wrote that query
		f.hint = "this Loki does not understand the query of this plugin: is it a very old version?"
	case lokiapi.ReasonDown, lokiapi.ReasonNotFound, lokiapi.ReasonNotLoki, lokiapi.ReasonServer:
	}
	return f
}
