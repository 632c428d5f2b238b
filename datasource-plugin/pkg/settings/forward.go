package settings

import (
	"net/http"
	"strconv"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/httpclient"
	"golang.org/x/net/http/httpguts"
)

// Headers that name who asked, as Grafana itself writes them to data sources.
const (
	HeaderUser = "X-Grafana-User"
	HeaderOrg  = "X-Grafana-Org-Id"
)

// forwardUser names the Grafana user and organisation in each request. A request by Grafana itself, such as
// from an alert rule, has no user; whatever the configuration set under these names is removed, so that the
// other side can rely on them.
func forwardUser(_ httpclient.Options, next http.RoundTripper) http.RoundTripper {
	return httpclient.RoundTripperFunc(func(req *http.Request) (*http.Response, error) {
		pc := backend.PluginConfigFromContext(req.Context())
		req = req.Clone(req.Context())
		req.Header.Del(HeaderUser)
		req.Header.Set(HeaderOrg, strconv.FormatInt(pc.OrgID, 10)) //nolint:staticcheck // the header is this number, in Grafana too
		if pc.User != nil && pc.User.Login != "" && httpguts.ValidHeaderFieldValue(pc.User.Login) {
			req.Header.Set(HeaderUser, pc.User.Login)
		}
		return next.RoundTrip(req)
	})
}
