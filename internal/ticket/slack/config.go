package slack

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Config is how a Slack channel is reached. Start from DefaultConfig.
type Config struct {
	// URL is the address of the Web API. http is accepted for loopback addresses only.
	URL string `yaml:"url"`
	// Token is a bot token (xoxb-…) with the scope chat:write. TokenFile is a file that holds it.
	Token     web.Secret `yaml:"token,omitempty"`
	TokenFile string     `yaml:"token_file,omitempty"`
	// Channel is the id of the channel (C…), not its name: a name changes. The app must be a member.
	Channel string `yaml:"channel"`
	// Mention is put in front of messages by severity, such as <!subteam^S0123456> or <!here>.
	Mention map[string]string `yaml:"mention,omitempty"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults. A token and a channel have none.
func DefaultConfig() Config {
	return Config{URL: "https://slack.com", Timeout: model.Duration(30 * time.Second)}
}

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

var (
	channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,20}$`)
	mention   = regexp.MustCompile(`^(<!(here|channel)>|<!subteam\^[A-Z0-9]+>|<@[A-Z0-9]+>)( (<!(here|channel)>|<!subteam\^[A-Z0-9]+>|<@[A-Z0-9]+>))*$`)
)

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("url", ticketrest.CheckURL(c.URL))
	switch {
	case c.Token == "" && c.TokenFile == "":
		add("token", errors.New("is missing: give token or token_file"))
	case c.Token != "" && c.TokenFile != "":
		add("token_file", errors.New("give token or token_file, not both"))
	case c.Token != "":
		add("token", ticketrest.CheckSecret(c.Token.Reveal()))
	}
	if !channelID.MatchString(c.Channel) {
		add("channel", fmt.Errorf("%q is no id of a channel, such as C0123456789: it stands at the end of the channel's details", c.Channel))
	}
	for severity, m := range c.Mention {
		if !mention.MatchString(m) {
			add("mention."+severity, fmt.Errorf("%q: want <!here>, <!channel>, <!subteam^ID> or <@ID>", m))
		}
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	return errors.Join(errs...)
}

// Secret reads the token, from a file where that is set.
func (c *Config) Secret() (web.Secret, error) {
	token, err := web.ReadSecret(c.Token, c.TokenFile)
	if err == nil {
		err = ticketrest.CheckSecret(token.Reveal())
	}
	return token, web.Invalid("token_file", err)
}

// HTTPClient returns the client to send with.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }
