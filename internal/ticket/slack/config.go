package slack

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
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
	// SigningSecrets are those of the app that the token is of, by which what people press is believed; SigningSecretFiles are
	// files that hold one each. All of them count, so that a secret can be changed: up to four. Without any the program that
	// is asked has one for all.
	SigningSecrets     []web.Secret `yaml:"signing_secrets,omitempty"`
	SigningSecretFiles []string     `yaml:"signing_secret_files,omitempty"`
	// Approvers are who may decide about drafts by the buttons of a message, by the id of the user (U…). Without any the
	// channel is not asked.
	Approvers map[string]Approver `yaml:"approvers,omitempty"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
}

// Approver is somebody of the workspace. In YAML it is a role, or a mapping.
type Approver struct {
	// Role is what somebody may do, in the words of the program that is asked.
	Role string `yaml:"role"`
	// As is the name that the same person has elsewhere, so that two approvals of one person do not count as two. Empty:
	// slack: and the id.
	As string `yaml:"as,omitempty"`
	// Matchers bound what somebody may decide about, in the words of the program that is asked. Without any it is everything.
	Matchers []string `yaml:"matchers,omitempty"`
}

// UnmarshalYAML reads a role or a mapping.
func (a *Approver) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&a.Role) == nil {
		return nil
	}
	type plain Approver
	return unmarshal((*plain)(a))
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
	userID    = regexp.MustCompile(`^[UW][A-Z0-9]{6,20}$`)
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
	if n := len(c.SigningSecrets) + len(c.SigningSecretFiles); n > maxSecrets {
		add("signing_secrets", fmt.Errorf("%d: want at most %d", n, maxSecrets))
	}
	for i, s := range c.SigningSecrets {
		add(fmt.Sprintf("signing_secrets[%d]", i), checkSigning(s))
	}
	for severity, m := range c.Mention {
		if !mention.MatchString(m) {
			add("mention."+severity, fmt.Errorf("%q: want <!here>, <!channel>, <!subteam^ID> or <@ID>", m))
		}
	}
	for user, a := range c.Approvers {
		key := "approvers." + user
		if !userID.MatchString(user) {
			add(key, errors.New("is no id of a user, such as U0123456789: it stands in the user's profile"))
		}
		if a.Role == "" {
			add(key+".role", errors.New("is missing"))
		}
		if name := strings.TrimPrefix(a.As, "oidc:"); len(name) > 100 || strings.ContainsAny(name, ":\n\r\t") {
			add(key+".as", fmt.Errorf("%.100q: want at most 100 characters, with a colon in oidc: only", a.As))
		}
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	return errors.Join(errs...)
}

// maxSecrets bounds the signing secrets: two while one is changed, and two more by mistake.
const maxSecrets = 4

// checkSigning reports a signing secret that is none: Slack's have 32 characters.
func checkSigning(s web.Secret) error {
	if len(s) < 16 {
		return errors.New("is shorter than 16 characters")
	}
	return ticketrest.CheckSecret(s.Reveal())
}

// Signing reads the signing secrets, in the order in which they are given.
func (c *Config) Signing() ([]web.Secret, error) {
	out := slices.Clone(c.SigningSecrets)
	for i, file := range c.SigningSecretFiles {
		s, err := web.ReadSecret("", file)
		if err == nil {
			err = checkSigning(s)
		}
		if err != nil {
			return nil, web.Invalid(fmt.Sprintf("signing_secret_files[%d]", i), err)
		}
		out = append(out, s)
	}
	return out, nil
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
