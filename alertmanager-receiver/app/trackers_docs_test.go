package app

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket/email"
	"github.com/portent-dev/portent/internal/ticket/remedy"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/teams"
	"github.com/portent-dev/portent/internal/ticket/webhook"
)

// The page of a messenger names every key of its configuration.
func TestMessengersAreDocumented(t *testing.T) {
	for kind, config := range map[string]reflect.Type{
		TrackerSlack: reflect.TypeFor[slack.Config](), TrackerTeams: reflect.TypeFor[teams.Config](), TrackerWebhook: reflect.TypeFor[webhook.Config](),
		TrackerEmail: reflect.TypeFor[email.Config](), TrackerRemedy: reflect.TypeFor[remedy.Config](),
	} {
		page, err := os.ReadFile("../../docs/trackers/" + kind + ".md")
		require.NoError(t, err)
		for i := range config.NumField() {
			key, _, _ := strings.Cut(config.Field(i).Tag.Get("yaml"), ",")
			require.Contains(t, string(page), "| `"+key+"` |", kind)
		}
	}
}
