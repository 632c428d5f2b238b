package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/web"
)

// API says who may change what the exporter does by a call: feedback, maintenance windows, rollouts.
type API struct {
	Token     web.Secret `yaml:"token"`
	TokenFile string     `yaml:"token_file"`
}

func (a *API) setDirectory(dir string) {
	if a.TokenFile != "" && !filepath.IsAbs(a.TokenFile) {
		a.TokenFile = filepath.Join(dir, a.TokenFile)
	}
}

func (a *API) validate() error {
	if a.Token.Reveal() != "" && a.TokenFile != "" {
		return web.Invalid("token_file", errors.New("must not be set beside token"))
	}
	return nil
}

// errClosed says that nobody may call, since nobody could be told from a stranger.
var errClosed = errors.New("this call changes what the exporter does, and nothing here tells callers from strangers")

// guard lets those call who may. With a token that is: who sends it as a bearer. Without one: whoever has passed the
// authentication of --web.config.file, and, where there is none, whoever is on this machine and listened to there alone. A body
// must be JSON by its type, which no page of another site can send unasked.
func (a *App) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := a.mayCall(r); err != nil {
			status, hint := http.StatusForbidden, "set api.token_file, or basic_auth_users in the file of --web.config.file, or listen on a loopback address only"
			if !errors.Is(err, errClosed) {
				status, hint = http.StatusUnauthorized, "send the header Authorization: Bearer TOKEN, with the token of api.token or api.token_file"
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			web.Error(w, status, err, hint)
			return
		}
		if r.Method == http.MethodPost {
			if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
				web.Error(w, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: want application/json", r.Header.Get("Content-Type")), "set the header Content-Type")
				return
			}
		}
		next(w, r)
	}
}

func (a *App) mayCall(r *http.Request) error {
	api := a.parts.Load().config.API
	token, err := web.ReadSecret(api.Token, api.TokenFile)
	if err != nil {
		a.logger.Error("api.token_file cannot be read: nobody may call", "err", err)
		return errClosed
	}
	guarded, err := authenticates(*a.opts.WebConfig.WebConfigFile)
	if err != nil {
		return errClosed
	}
	if want := token.Reveal(); want != "" {
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		// Hashes, so that the time tells nothing, not even the length.
		g, x := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
		if ok && subtle.ConstantTimeCompare(g[:], x[:]) == 1 {
			return nil
		}
		if !guarded {
			return errors.New("the token is missing or wrong")
		}
	}
	if guarded || web.LoopbackOnly(a.opts.WebConfig) {
		return nil
	}
	return errClosed
}

// authenticates reports whether exporter-toolkit asks every caller who they are: by basic auth or a client's certificate. The
// toolkit reads the file at each connection too.
func authenticates(file string) (bool, error) {
	if file == "" {
		return false, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	var c struct {
		Users map[string]string `yaml:"basic_auth_users"`
		TLS   struct {
			ClientAuth string `yaml:"client_auth_type"`
		} `yaml:"tls_server_config"`
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		return false, err
	}
	return len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert", nil
}
