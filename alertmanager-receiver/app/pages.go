package app

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/version"

	"github.com/portent-dev/portent/internal/ticket"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages renders the HTML pages. All of it is made once at start and immutable.
type pages struct {
	templates *template.Template
	assets    map[string]asset
	now       func() time.Time
}

type asset struct {
	content     []byte
	contentType string
	tag         string
}

func newPages(now func() time.Time) (*pages, error) {
	t, err := template.New("").Funcs(template.FuncMap{"pair": func(a, b any) map[string]any { return map[string]any{"A": a, "B": b} }}).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("BUG: templates: %w", err)
	}
	p := &pages{templates: t, assets: map[string]asset{}, now: now}
	for name, contentType := range map[string]string{"portent.css": "text/css; charset=utf-8", "portent.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		b, err := assetFiles.ReadFile(path.Join("assets", name))
		if err != nil {
			return nil, fmt.Errorf("BUG: assets: %w", err)
		}
		sum := sha256.Sum256(b)
		p.assets[name] = asset{b, contentType, hex.EncodeToString(sum[:8])}
	}
	return p, nil
}

// page is what every page has. Root leads from the page to the receiver's root: addresses are relative, so
// that they hold behind a proxy with a path prefix too.
type page struct {
	Head       string
	Root       string
	Style      string
	Script     string
	Live       string // what the page follows: all, the id of an incident, or nothing
	Nav        []navItem
	Now        stamp
	Version    string
	User, Role string
	CSRF       string // of the session, empty without one
}

type navItem struct {
	Href, Text string
	Current    bool
}

// The entries of the main navigation.
const (
	navIncidents  = "Incidents"
	navSuppressed = "Kept out"
	navOutbox     = "Outbox"
	navPolicy     = "Policy"
	navAudit      = "Audit"
	navNoise      = "Noise"
)

// frame makes the common part; depth is how many folders the page lies below the root.
func (g *pages) frame(head, current string, depth int, p principal) page {
	root := "./"
	if depth > 0 {
		root = strings.Repeat("../", depth)
	}
	out := page{Head: head, Root: root, Style: g.assets["portent.css"].tag, Script: g.assets["portent.js"].tag, Now: exactly(g.now()), Version: version.Version, User: p.name, Role: string(p.role), CSRF: p.csrf}
	if out.Version == "" {
		out.Version = "(unversioned build)"
	}
	for _, n := range []navItem{{root, navIncidents, false}, {root + "suppressed", navSuppressed, false}, {root + "outbox", navOutbox, false}, {root + "noise", navNoise, false}, {root + "policy", navPolicy, false}, {root + "audit", navAudit, false}} {
		if p.scoped() && n.Text != navIncidents && n.Text != navSuppressed {
			continue
		}
		n.Current = n.Text == current
		out.Nav = append(out.Nav, n)
	}
	return out
}

// render writes a page whole or not at all.
func (g *pages) render(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := g.templates.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("BUG: page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client is gone: nobody left to tell
	return nil
}

// message answers with a page that says what is wrong and what to do.
func (g *pages) message(w http.ResponseWriter, r *http.Request, status int, err error, hint string) {
	data := struct {
		Page       page
		Head, Text string
		Hint       string
	}{g.frame(http.StatusText(status), "", depth(r), principal{}), http.StatusText(status), upperFirst(ticket.OneLine(err.Error(), 300)) + ".", upperFirst(hint) + "."}
	if rerr := g.render(w, status, "message.html", data); rerr != nil {
		http.Error(w, err.Error(), status)
	}
}

// depth is how many folders the asked path lies below the root.
func depth(r *http.Request) int { return max(0, strings.Count(r.URL.Path, "/")-1) }

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// serveAsset serves the style sheet and the icon. Their address holds a hash, so they may be kept for long.
func (g *pages) serveAsset(w http.ResponseWriter, r *http.Request) {
	secure(w)
	a, ok := g.assets[r.PathValue("file")]
	if !ok {
		g.message(w, r, http.StatusNotFound, errors.New("no such file"), "the list of incidents is where everything starts")
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("ETag", `"`+a.tag+`"`)
	h.Set("Cache-Control", "public, max-age=3600")
	if r.URL.Query().Get("v") == a.tag {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
