package pagerduty

import (
	"context"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Check asks PagerDuty whether it accepts the API token and the search by which
// incidents are found again. It changes nothing. A routing key cannot be checked
// without making an incident.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	if t.api == nil {
		return []string{"without api_token incidents that people resolve are not noticed, and comments become events"}, nil
	}
	if _, err = t.incidents(ctx, "portent-check"); err == nil {
		return nil, nil
	}
	switch e := ticket.AsError(err); e.Reason {
	case ticket.ReasonAuth:
		return nil, wrong("api_token is refused: " + e.Err.Error())
	case ticket.ReasonPermission:
		return nil, wrong("api_token may not read incidents: " + e.Err.Error())
	case ticket.ReasonNotFound, ticket.ReasonInvalid:
		return nil, wrong("api_url: " + e.Err.Error())
	default:
		return nil, err
	}
}

func wrong(problem string) error {
	return &ticketrest.CheckError{Vendor: "pagerduty", Problems: []string{problem}}
}
