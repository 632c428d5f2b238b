package app

import (
	"os"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// webUsers knows which users the web configuration asks a password of. exporter-toolkit reads that file anew
// for each request, so a user that was taken out of it must lose its role at once: whoever is not in the
// file was not checked by anybody. Safe for concurrent use.
type webUsers struct {
	path string

	mu    sync.Mutex
	mod   time.Time
	size  int64
	users map[string]string
}

// trusted reports whether the password of user was checked before the request came to us.
func (w *webUsers) trusted(user string) bool {
	if w.path == "" || user == "" {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fi, err := os.Stat(w.path)
	if err != nil {
		w.users = nil
		return false
	}
	if w.users == nil || !fi.ModTime().Equal(w.mod) || fi.Size() != w.size {
		w.mod, w.size, w.users = fi.ModTime(), fi.Size(), readWebUsers(w.path)
	}
	_, ok := w.users[user]
	return ok
}

func readWebUsers(path string) map[string]string {
	var c struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	b, err := os.ReadFile(path)
	if err != nil || yaml.Unmarshal(b, &c) != nil || c.Users == nil {
		return map[string]string{}
	}
	return c.Users
}

// webTLS reports whether the web configuration makes the server speak TLS.
func webTLS(path string) bool {
	var c struct {
		TLS *yaml.Node `yaml:"tls_server_config"`
	}
	b, err := os.ReadFile(path) //nolint:gosec // the path of --web.config.file
	return path != "" && err == nil && yaml.Unmarshal(b, &c) == nil && c.TLS != nil
}
